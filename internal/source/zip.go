package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// zipTime is every entry's time in a bundle that was a zip: zips of one commit carry the time of their making.
var zipTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// A zip's list of entries is read into memory before anything of it can be counted, and takes several times its length there. So the
// list is bounded: what stands at its end, and for each entry more than most need.
const (
	listEnd   = 80 << 10
	listEntry = 1 << 10
)

// bounded fails once more was read than may be.
type bounded struct {
	r    io.ReaderAt
	left int64
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errOver
	}
	return b.r.ReadAt(p, off)
}

// FromZip writes the zip of size bytes in r to w as a bundle, within l and by the rules of Unpack. A file that the zip has no Unix mode
// of may be run where it is a script or an ELF program. The bytes depend on the entries' names, content and modes alone. The error is Invalid or TooLarge and names the entry, or the one of r or w.
func FromZip(r io.ReaderAt, size int64, l Limits, w io.Writer) error {
	l = l.orDefault()
	list := &bounded{r, int64(listEnd + l.Entries*listEntry)}
	z, err := zip.NewReader(list, size)
	switch {
	case list.left < 0:
		return deploy.Errorf(deploy.TooLarge, op, "the zip's list of entries is too long; want at most %d entries", l.Entries)
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // the packer has its own rules for paths
		return deploy.Errorf(deploy.Invalid, op, "not a zip: %w", err)
	}
	list.left = math.MaxInt64 // of the entries themselves the packer counts what they hold
	if len(z.File) > l.Entries {
		return deploy.Errorf(deploy.TooLarge, op, "the zip has %d entries; want at most %d", len(z.File), l.Entries)
	}
	slices.SortStableFunc(z.File, func(a, b *zip.File) int { return cmp.Compare(a.Name, b.Name) })
	p := NewPacker(w, l)
	for _, f := range z.File {
		if err := p.addZipped(f); err != nil {
			return err
		}
	}
	return p.Close()
}

func (p *Packer) addZipped(f *zip.File) error {
	mode := f.Mode()
	h := &tar.Header{Name: f.Name, Typeflag: tar.TypeReg, Mode: int64(mode.Perm()), ModTime: zipTime}
	switch {
	case strings.HasSuffix(f.Name, "/"):
		h.Typeflag = tar.TypeDir
		return p.Add(h, nil)
	case mode&fs.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
	case !mode.IsRegular():
		return fault(deploy.Invalid, f.Name, "is a %s; want files, folders and links", mode.Type())
	}
	if f.UncompressedSize64 > 1<<62 {
		return fault(deploy.TooLarge, f.Name, "claims %d bytes", f.UncompressedSize64)
	}
	body, err := f.Open()
	if err != nil {
		return fault(deploy.Invalid, f.Name, "can't be read: %w", err)
	}
	defer body.Close()
	if h.Typeflag == tar.TypeSymlink {
		text, err := io.ReadAll(io.LimitReader(body, maxPath+1))
		if err != nil {
			return fault(deploy.Invalid, f.Name, "can't be read: %w", err)
		}
		h.Linkname = string(text)
		return p.Add(h, nil)
	}
	h.Size = int64(f.UncompressedSize64)
	var content io.Reader = body
	if !hasModes(f) {
		head := make([]byte, min(int64(len("\x7fELF")), h.Size))
		if _, err := io.ReadFull(body, head); err != nil {
			return fault(deploy.Invalid, f.Name, "can't be read: %w", err)
		}
		h.Mode, content = modeOf(head), io.MultiReader(bytes.NewReader(head), body)
	}
	if err := p.Add(h, content); err != nil {
		return err
	}
	// The checksum is compared at the end, which has to be here.
	if n, err := io.Copy(io.Discard, io.LimitReader(body, 1)); err != nil || n > 0 {
		return fault(deploy.Invalid, f.Name, "isn't what the zip says it is: %v", err)
	}
	return nil
}

// What makes a zip, as the entries' "version made by" has it (PKWARE's application note, 4.4.2).
const (
	madeByUnix  = 3
	madeByMacOS = 19
)

// hasModes reports whether an entry has a Unix mode. One that was made on Unix without a mode has none either.
func hasModes(f *zip.File) bool {
	by := f.CreatorVersion >> 8
	return (by == madeByUnix || by == madeByMacOS) && f.ExternalAttrs>>16 != 0
}

// modeOf guesses the mode of a file from its first bytes.
func modeOf(head []byte) int64 {
	if bytes.HasPrefix(head, []byte("#!")) || string(head) == "\x7fELF" {
		return 0o755
	}
	return 0o644
}
