// Package source fetches a commit: packs it from a git repository, keeps it and what was built from it in S3, and unpacks it safely.
package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Limits bounds an archive. A field that is zero stands for its default.
type Limits struct {
	Bytes   int64 // of all files together, unpacked
	Entries int   // headers read and folders made
}

// The bounds that hold where the caller names none.
const (
	DefaultBytes   = 512 << 20
	DefaultEntries = 100_000
	MaxCompressed  = 256 << 20 // bytes of the gzipped archive
	MaxScanned     = 1 << 20   // bytes of the file that Scan gives back
)

// overhead is what an entry may cost the tar beside its content: its header, git's pax records, padding. It bounds the work
// that an archive of nothing but headers can make.
const overhead = 4 << 10

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	if l.Entries <= 0 {
		l.Entries = DefaultEntries
	}
	return l
}

// Scan reads a whole gzipped tar without writing anything, checks every entry as Unpack does, and gives the content of the file
// name, where there is one. lacks says in words what the commit names and the archive doesn't hold: submodules, files of git LFS, and
// links that Unpack leaves out. An archive that Scan accepts, Unpack accepts. The error is Invalid or TooLarge and names the entry; a
// failure of r itself is Internal.
func Scan(r io.Reader, l Limits, name string) (content []byte, found bool, lacks []string, err error) {
	t := newTree(l.orDefault())
	err = walk(r, t, func(e *entry, body io.Reader) error {
		if e.name == name {
			found = true
			content, err = e.read(body)
			return err
		}
		return t.peek(e, body)
	})
	if err == nil {
		_, err = t.settleLinks()
	}
	if err != nil {
		return nil, false, nil, err
	}
	return content, found, t.lacks(), nil
}

// read gives the content of a file that is small enough.
func (e *entry) read(body io.Reader) ([]byte, error) {
	if e.kind != file {
		return nil, e.errorf("is a %s; want a file", e.kind)
	}
	if e.size > MaxScanned {
		return nil, e.tooLarge("holds %d bytes; want at most %d", e.size, int64(MaxScanned))
	}
	return io.ReadAll(body)
}

// peek looks for what only a file's content tells.
func (t *tree) peek(e *entry, body io.Reader) error {
	switch {
	case e.kind != file:
		return nil
	case e.name == ".gitmodules" && e.size <= MaxScanned:
		text, err := io.ReadAll(body)
		t.named = modulesIn(text)
		return err
	case path.Base(e.name) == ".gitattributes" && e.size <= MaxScanned:
		text, err := io.ReadAll(body)
		t.ignores = t.ignores || bytes.Contains(text, []byte("export-ignore"))
		return err
	case e.size > maxPointer || e.size < int64(len(lfsMark)):
		return nil
	}

	head := make([]byte, len(lfsMark))
	if _, err := io.ReadFull(body, head); err != nil {
		return err
	}
	if string(head) == lfsMark {
		t.lfs.add(e.name)
	}
	return nil
}

// Find returns the first file in the archive whose name matches, "" where there is none. The error is as Scan's.
func Find(r io.Reader, l Limits, match func(name string) bool) (found string, err error) {
	err = walk(r, newTree(l.orDefault()), func(e *entry, _ io.Reader) error {
		if found == "" && e.kind == file && match(e.name) {
			found = e.name
		}
		return nil
	})
	return found, err
}

// walk reads the archive in order, checks each entry against the tree so far, and shows it to visit. What visit leaves unread of
// a body is skipped.
func walk(r io.Reader, t *tree, visit func(e *entry, body io.Reader) error) error {
	src := &source{r: r, left: MaxCompressed}
	zr, err := gzip.NewReader(bufio.NewReader(src))
	if err != nil {
		return src.explain(err)
	}
	flat := &source{r: zr, left: t.limits.Bytes + int64(t.limits.Entries)*overhead}
	for tr := tar.NewReader(flat); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return src.explain(flat.over(err))
		}
		e, err := t.add(h)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if err := visit(e, tr); err != nil {
			return src.explain(flat.over(err))
		}
	}
	// The rest is padding, then gzip's own checksum: only reading it tells a whole download from a cut one.
	_, err = io.Copy(io.Discard, flat)
	return src.explain(flat.over(err))
}

var errOver = errors.New("over its bound")

// source bounds a stream and remembers whether it was the stream that failed, and not what is in it.
type source struct {
	r    io.Reader
	left int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.left <= 0 {
		// A stream of exactly the bound ends here; anything more is over it.
		if n, err := s.r.Read(make([]byte, 1)); n == 0 {
			return 0, s.note(err)
		}
		return 0, s.note(errOver)
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, s.note(err)
}

func (s *source) note(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return err
}

// over puts the stream's own end in the place of whatever its reader made of it.
func (s *source) over(err error) error {
	if err != nil && errors.Is(s.err, errOver) {
		return errOver
	}
	return err
}

// explain gives err its Kind.
func (s *source) explain(err error) error {
	var known *deploy.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(s.err, errOver):
		return deploy.Errorf(deploy.TooLarge, op, "the archive is over %d bytes", int64(MaxCompressed))
	case s.err != nil:
		return deploy.Errorf(deploy.Internal, op, "read: %w", s.err)
	case errors.As(err, &known):
		return err
	case errors.Is(err, errOver):
		return deploy.Errorf(deploy.TooLarge, op, "the archive unpacks to more than its bound")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return deploy.Errorf(deploy.Invalid, op, "the archive ends early")
	}
	return deploy.Errorf(deploy.Invalid, op, "not a gzipped tar: %w", err)
}
