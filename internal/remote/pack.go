package remote

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxObjects bounds how many objects a pack holds.
const maxObjects = 300_000

// inflate reads a pack into memory. What it would take there is counted first, on the disk: a pack of a few kilobytes can hold
// gigabytes.
func inflate(r io.Reader, limits Limits) (objects storer.EncodedObjectStorer, err error) {
	f, err := os.CreateTemp("", "pack-*")
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "fetch", "%w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	n, err := io.Copy(f, io.LimitReader(r, limits.Pack+1))
	if err != nil {
		return nil, explain("the server", err)
	}
	if n > limits.Pack {
		return nil, deploy.Errorf(deploy.TooLarge, "fetch", "the commit's pack is over %d bytes", limits.Pack)
	}
	if err := weigh(f, limits.Bytes); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "fetch", "%w", err)
	}
	store := memory.NewStorage()
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(f), store)
	if err == nil {
		_, err = parser.Parse()
	}
	if err != nil {
		return nil, broken(err)
	}
	return store, nil
}

func broken(err error) error {
	return deploy.Errorf(deploy.Internal, "fetch", "the server's pack is broken: %w", err)
}

// weigh adds up what a pack's objects hold: as each says itself, which the reader then keeps it to, and for the difference to
// another object as that says of what it makes.
func weigh(f io.ReadSeeker, bound int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return deploy.Errorf(deploy.Internal, "fetch", "%w", err)
	}
	scan := packfile.NewScanner(f)
	_, count, err := scan.Header()
	if err != nil {
		return broken(err)
	}
	if count > maxObjects {
		return deploy.Errorf(deploy.TooLarge, "fetch", "the commit has %d objects; want at most %d", count, maxObjects)
	}
	left := bound
	for range count {
		h, err := scan.NextObjectHeader()
		if err != nil {
			return broken(err)
		}
		if left -= h.Length; h.Length < 0 || left < 0 {
			return tooMuch(bound)
		}
		if !h.Type.IsDelta() {
			continue // skipped by the next
		}
		var head start
		if _, _, err := scan.NextObject(&head); err != nil {
			return broken(err)
		}
		made, err := head.makes()
		if err != nil {
			return broken(err)
		}
		if made > uint64(left) {
			return tooMuch(bound)
		}
		left -= int64(made)
	}
	return nil
}

func tooMuch(bound int64) error {
	return deploy.Errorf(deploy.TooLarge, "fetch", "the commit holds over %d bytes", bound)
}

// start keeps a delta's first bytes: the size of what it changes, and the size of what it makes, each in sevens of bits, the low
// ones first (git's pack-format).
type start struct {
	bytes [20]byte
	n     int
}

func (s *start) Write(p []byte) (int, error) {
	s.n += copy(s.bytes[s.n:], p)
	return len(p), nil
}

func (s *start) makes() (size uint64, err error) {
	text := s.bytes[:s.n]
	for range 2 {
		var shift uint
		for size = 0; ; shift += 7 {
			if len(text) == 0 || shift > 56 {
				return 0, fmt.Errorf("a delta without sizes")
			}
			b := text[0]
			text = text[1:]
			size |= uint64(b&0x7f) << shift
			if b&0x80 == 0 {
				break
			}
		}
	}
	return size, nil
}
