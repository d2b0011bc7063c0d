package source

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Unpack writes a gzipped tar into dir, an existing and empty folder. Whatever the archive says, nothing is written outside dir
// and no link leads out of it: each entry is checked first, and os.Root holds every write besides. Symbolic links are made last, so
// that nothing is written through one; those that lead out, by themselves or through others, are not made at all.
//
// Files are 0755 where any executable bit is set and 0644 elsewhere, less the umask, and keep their time, so that make sees what
// git's own archive would give it. A folder may appear more than once, all else once. Devices and pipes are refused.
//
// The error is Invalid or TooLarge and names the entry, or Internal where the disk or r failed. What was unpacked before it stays
// for the caller to remove.
func Unpack(r io.Reader, dir string, l Limits) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return deploy.Errorf(deploy.Internal, op, "open the folder to unpack into: %w", err)
	}
	defer root.Close()
	t, made := newTree(l.orDefault()), "." // the folder of the entry before, most often this one's too
	put := func(e *entry, body io.Reader) error {
		var err error
		if above := path.Dir(e.name); above != made {
			err, made = disk(root.MkdirAll(above, 0o755)), above
		}
		if err == nil {
			err = write(root, e, body)
		}
		if d := new(diskError); errors.As(err, &d) {
			return deploy.Errorf(deploy.Internal, op, "write entry %q: %w", deploy.Cut(e.name, 200), d.error)
		}
		return err
	}

	err = walk(r, t, func(e *entry, body io.Reader) error {
		if e.kind == symlink {
			return nil
		}
		return put(e, body)
	})
	if err != nil {
		return err
	}
	return putLinks(t, put)
}

// putLinks makes the symbolic links that stay inside.
func putLinks(t *tree, put func(e *entry, body io.Reader) error) error {
	links, err := t.settleLinks()
	for _, link := range links {
		if err == nil {
			err = put(link, nil)
		}
	}
	return err
}

// diskError marks an error as the disk's, apart from those of the archive that is read meanwhile.
type diskError struct{ error }

func disk(err error) error {
	if err == nil {
		return nil
	}
	return &diskError{err}
}

func write(root *os.Root, e *entry, body io.Reader) error {
	switch e.kind {
	case folder:
		if err := root.Mkdir(e.name, 0o755); !errors.Is(err, fs.ErrExist) {
			return disk(err)
		}
		return nil
	case symlink:
		return disk(root.Symlink(e.link, e.name))
	case hard:
		return disk(root.Link(e.link, e.name))
	}
	f, err := root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.mode)
	if err != nil {
		return disk(err)
	}
	_, err = io.Copy(diskWriter{f}, body)
	if err := errors.Join(err, disk(f.Close())); err != nil {
		return err
	}
	return disk(touch(root, e))
}

// touch sets the file's time, where the archive's is one that file systems know.
func touch(root *os.Root, e *entry) error {
	if e.modTime.Unix() <= 0 || e.modTime.Year() > 2100 {
		return nil
	}
	return root.Chtimes(e.name, time.Time{}, e.modTime)
}

type diskWriter struct{ w io.Writer }

func (d diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	return n, disk(err)
}
