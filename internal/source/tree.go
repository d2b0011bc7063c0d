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
	full    map[string]bool   // folders that something is in
	texts   map[string]string // of the symbolic links
	links   []*entry          // these, in their order
	git     bool              // made by git archive, or by a Packer from a git server
	named   []string          // folders of submodules, as .gitmodules has them
	ignores bool              // .gitattributes keep something out of archives, which may leave a folder empty
	lfs     list              // files that git LFS keeps elsewhere
	out     list              // links that lead out
}

func newTree(l Limits) *tree {
	return &tree{limits: l, kinds: map[string]kind{".": folder}, full: map[string]bool{}, texts: map[string]string{}}
}

// add checks the next header. A nil entry is nothing to make: a global header, or a folder that is there already.
func (t *tree) add(h *tar.Header) (*entry, error) {
	if err := t.count(h.Name); err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		t.git = t.git || ofGit(h)
		return nil, nil
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
	t.full[path.Dir(name)] = true
	if e.kind == symlink {
		t.texts[name] = e.link
		t.links = append(t.links, e)
	}
	return e, nil
}

// ofGit reports whether a global header is the one in which git archive notes the commit.
func ofGit(h *tar.Header) bool { return deploy.ValidCommit(h.PAXRecords["comment"]) }

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
		return nil // where it leads is known when all entries are: see leavesOut
	case tar.TypeLink:
		e.kind = hard
		return t.checkHardLink(e, h.Linkname)
	}
	return e.errorf("is a device, a pipe or something else (tar type %q); want files, folders and links", h.Typeflag)
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
		t.full[path.Dir(dir)] = true
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
