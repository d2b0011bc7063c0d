package source

import (
	"archive/tar"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

const op = "source archive"

// Bounds on names, those of Linux; the path's leaves room for the folder that it is unpacked into.
const (
	maxComponent = 255
	maxPath      = 2048
)

type kind string

const (
	file    kind = "file"
	folder  kind = "folder"
	symlink kind = "symbolic link"
	hard    kind = "hard link"
)

// entry is one thing to make.
type entry struct {
	name    string // slash-separated, clean, inside
	kind    kind
	link    string // of a symlink: its text; of a hard link: the earlier file's name
	size    int64
	mode    fs.FileMode
	modTime time.Time
}

func (e *entry) errorf(format string, args ...any) error {
	return fault(deploy.Invalid, e.name, format, args...)
}

func (e *entry) tooLarge(format string, args ...any) error {
	return fault(deploy.TooLarge, e.name, format, args...)
}

// fault names the entry. Names are foreign bytes: quoted, and cut.
func fault(kind deploy.Kind, name, format string, args ...any) error {
	return deploy.Errorf(kind, op, "entry %q "+format, append([]any{deploy.Cut(name, 200)}, args...)...)
}

// tree is what the archive's entries so far make up. It knows folders that are only implied by a path, too, so that every
// decision is the same with and without a disk beneath it.
type tree struct {
	limits  Limits
	entries int
	bytes   int64
	kinds   map[string]kind
}

func newTree(l Limits) *tree {
	return &tree{limits: l, kinds: map[string]kind{".": folder}}
}

// add checks the next header. A nil entry is nothing to make: a global header, or a folder that is there already.
func (t *tree) add(h *tar.Header) (*entry, error) {
	if err := t.count(h.Name); err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil, nil // git archive notes the commit in one
	}
	name, err := inside(h.Name, h.Name)
	if err != nil {
		return nil, err
	}
	e := &entry{name: name, size: h.Size, mode: 0o644, modTime: h.ModTime}
	if h.Mode&0o111 != 0 {
		e.mode = 0o755
	}
	if err := t.classify(e, h); err != nil {
		return nil, err
	}
	if e.kind == folder && t.kinds[name] == folder {
		return nil, nil
	}
	if was, ok := t.kinds[name]; ok {
		return nil, e.errorf("appears twice, first as a %s", was)
	}
	if err := t.parents(name); err != nil {
		return nil, err
	}
	t.kinds[name] = e.kind
	return e, nil
}

func (t *tree) count(name string) error {
	if t.entries++; t.entries > t.limits.Entries {
		return fault(deploy.TooLarge, name, "is one too many; want at most %d files and folders", t.limits.Entries)
	}
	return nil
}

// classify sets the entry's kind and checks what only that kind has.
func (t *tree) classify(e *entry, h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg:
		e.kind = file
		if h.Size > t.limits.Bytes-t.bytes { // so written, since a header may claim any size
			return e.tooLarge("brings the archive over %d bytes", t.limits.Bytes)
		}
		t.bytes += h.Size
		return nil
	case tar.TypeDir:
		e.kind = folder
		return nil
	case tar.TypeSymlink:
		e.kind, e.link = symlink, h.Linkname
		return e.checkSymlink()
	case tar.TypeLink:
		e.kind = hard
		return t.checkHardLink(e, h.Linkname)
	}
	return e.errorf("is a device, a pipe or something else (tar type %q); want files, folders and links", h.Typeflag)
}

// checkSymlink allows steps up only at the front of the link's text, and no more than there are folders above the link. Those
// folders are real ones (see parents), so the steps up stay inside; what follows only descends, through links for which the same
// holds. Counting alone isn't enough: a/b, linked to "../..", makes "a/b/.." lead out although it looks like "a".
func (e *entry) checkSymlink() error {
	text := e.link
	if text == "" || len(text) > maxPath || strings.ContainsRune(text, 0) {
		return e.errorf("links to %q, which is no path", deploy.Cut(text, 200))
	}
	up, descending := 0, false
	for part := range strings.SplitSeq(text, "/") {
		switch part {
		case "", ".":
		case "..":
			if descending {
				return e.errorf("links to %q; want .. only at the front of it", deploy.Cut(text, 200))
			}
			up++
		default:
			descending = true
		}
	}
	if strings.HasPrefix(text, "/") || up > strings.Count(e.name, "/") {
		return e.errorf("links to %q, outside the archive", deploy.Cut(text, 200))
	}
	return nil
}

func (t *tree) checkHardLink(e *entry, target string) error {
	name, err := inside(target, e.name)
	if err != nil {
		return err
	}
	if was := t.kinds[name]; was != file && was != hard {
		return e.errorf("is a hard link to %q, which is no earlier file of the archive", deploy.Cut(target, 200))
	}
	e.link = name
	return nil
}

// parents sees to it that every folder above name is a folder and no link to one.
func (t *tree) parents(name string) error {
	for dir := path.Dir(name); t.kinds[dir] != folder; dir = path.Dir(dir) {
		if was, ok := t.kinds[dir]; ok {
			return fault(deploy.Invalid, name, "lies under %q, which is a %s", deploy.Cut(dir, 200), was)
		}
		if err := t.count(name); err != nil {
			return err
		}
		t.kinds[dir] = folder
	}
	return nil
}

// inside cleans a name from the archive; entry is the one to blame.
func inside(name, entry string) (string, error) {
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		return "", fault(deploy.Invalid, entry, "has no usable name")
	case len(name) > maxPath:
		return "", fault(deploy.Invalid, entry, "has a name of %d bytes; want at most %d", len(name), maxPath)
	case strings.HasPrefix(name, "/"):
		return "", fault(deploy.Invalid, entry, "is an absolute path; want one inside the archive")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fault(deploy.Invalid, entry, "climbs out with ..; want a path inside the archive")
		}
		if len(part) > maxComponent {
			return "", fault(deploy.Invalid, entry, "has a part of %d bytes; want at most %d", len(part), maxComponent)
		}
	}
	return path.Clean(name), nil
}
