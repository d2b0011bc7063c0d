package source

import (
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxHops is how many links Linux follows on one way.
const maxHops = 40

// stepsAnEntry bounds the work of following links: so many steps for each entry that the archive may have.
const stepsAnEntry = 16

// settleLinks decides which symbolic links stay: those that lead to something inside the archive, or to nothing there. One that is
// absolute, that climbs out, or that leads through a link which does, is left out, and so is one that runs in a circle. The error is
// TooLarge where that can't be told within bounds.
func (t *tree) settleLinks() (stay []*entry, err error) {
	steps := t.limits.Entries * stepsAnEntry
	for _, link := range t.links {
		if t.staysInside(link.name, &steps) {
			stay = append(stay, link)
			continue
		}
		if steps < 0 {
			return nil, link.tooLarge("is one link too many to be followed")
		}
		t.out.add(link.name)
	}
	return stay, nil
}

// staysInside follows a link as the kernel would, part by part, through other links. What isn't there counts as a folder: it may be one
// by the time that a script has made it. The folders above a link are no links (see parents).
func (t *tree) staysInside(name string, steps *int) bool {
	at, left := path.Dir(name), []string{t.texts[name]}
	for hops := 0; len(left) > 0; {
		if *steps--; *steps < 0 {
			return false
		}

		// The front of what is left to go: a text of several parts, or the whole of one.
		text := left[len(left)-1]
		if strings.HasPrefix(text, "/") || !usable(text) {
			return false
		}
		part, rest, more := strings.Cut(text, "/")
		left = left[:len(left)-1]
		if rest = strings.TrimLeft(rest, "/"); more && rest != "" {
			left = append(left, rest)
		}

		switch part {
		case ".":
			continue
		case "..":
			if at == "." {
				return false
			}
			at = path.Dir(at)
			continue
		}

		next := path.Join(at, part)
		if len(next) > maxPath {
			return false
		}
		if t.kinds[next] != symlink {
			at = next
			continue
		}
		if hops++; hops > maxHops {
			return false
		}
		left = append(left, t.texts[next])
	}
	return true
}

// usable reports whether a text can be a link's.
func usable(text string) bool {
	return text != "" && len(text) <= maxPath && !strings.ContainsRune(text, 0)
}

// portable is the text of a link that can be packed. One that no file system could hold is packed as one that leads out.
func portable(text string) string {
	if !usable(text) {
		return "/"
	}
	return text
}

// lacks says what a commit names and its bundle doesn't hold, in words; none for most.
func (t *tree) lacks() (lacks []string) {
	submodules := t.submodules()
	for _, l := range []struct {
		what  string
		names list
	}{
		{"submodules are not fetched, and their folders are empty", submodules},
		{"git LFS is not asked, and its files are only pointers", t.lfs},
		{"links that lead out of the commit are left out", t.out},
	} {
		if l.names.count > 0 {
			lacks = append(lacks, l.what+": "+l.names.String())
		}
	}
	return lacks
}

// submodules finds the folders of submodules. git keeps no empty folder, so that each one in a bundle of git's is a submodule, unless
// what was in it is kept out of archives. Elsewhere those are that .gitmodules names; in a zip they may be missing altogether.
func (t *tree) submodules() (found list) {
	if !t.git || t.ignores {
		for _, name := range t.named {
			if k := t.kinds[name]; k == "" && !t.git || k == folder && !t.full[name] {
				found.add(name)
			}
		}
		return found
	}
	for name, k := range t.kinds {
		if k == folder && !t.full[name] && name != "." {
			found.add(name)
		}
	}
	return found
}

// modulesIn lists the folders that a .gitmodules names.
func modulesIn(text []byte) (names []string) {
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, "=")
		if name := strings.Trim(strings.TrimSpace(value), `"`); ok && strings.TrimSpace(key) == "path" && name != "" {
			names = append(names, path.Clean(name))
		}
	}
	return names
}

// lfsMark is what a file that git LFS keeps elsewhere begins with in the repository, and maxPointer how long such a file may be (git
// LFS's specification).
const (
	lfsMark    = "version https://git-lfs.github.com/spec/"
	maxPointer = 1024
)

// list counts names and keeps some of them.
type list struct {
	count int
	names []string // the first in the alphabet
}

// shown is how many names a list shows, and nameShown how many bytes of one.
const (
	shown     = 3
	nameShown = 80
)

func (l *list) add(name string) {
	l.count++
	i := 0
	for i < len(l.names) && l.names[i] < name {
		i++
	}
	l.names = append(l.names[:i], append([]string{name}, l.names[i:]...)...)
	l.names = l.names[:min(len(l.names), shown)]
}

func (l *list) String() string {
	var text strings.Builder
	for i, name := range l.names {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(deploy.Cut(strings.Map(printable, strings.ToValidUTF8(name, "?")), nameShown))
	}
	if l.count > len(l.names) {
		fmt.Fprintf(&text, " and %d more", l.count-len(l.names))
	}
	return text.String()
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}
