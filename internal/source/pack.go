package source

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Packer writes a bundle entry by entry. Each is checked as Unpack will check it, so that what isn't fit to unpack isn't packed;
// the same entries give the same bytes. Links that lead out are packed, for Scan to tell of and Unpack to leave out.
type Packer struct {
	zip  *gzip.Writer
	tar  *tar.Writer
	tree *tree
}

// NewPacker makes a Packer onto w.
func NewPacker(w io.Writer, l Limits) *Packer {
	zip := gzip.NewWriter(w) // without a name or a time in its header
	return &Packer{zip: zip, tar: tar.NewWriter(zip), tree: newTree(l.orDefault())}
}

// Add writes a file of h.Size bytes of body, a folder, or a link. Of h it takes the type, name, link's text, size and time, and of
// the mode whether the file may be run. A global header that notes a commit, as git archive writes it first, says that what follows is
// all of a git repository's. The error is Invalid or TooLarge and names the entry, or the one of body or w.
func (p *Packer) Add(h *tar.Header, body io.Reader) error {
	e, err := p.tree.add(h)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader && ofGit(h) {
		return p.tar.WriteHeader(&tar.Header{Typeflag: h.Typeflag, Name: "pax_global_header",
			PAXRecords: map[string]string{"comment": h.PAXRecords["comment"]}})
	}
	if e == nil {
		return nil
	}
	out := &tar.Header{Typeflag: h.Typeflag, Name: e.name, Linkname: e.link, ModTime: e.modTime, Mode: int64(e.mode), Format: tar.FormatPAX}
	switch e.kind {
	case folder:
		out.Name, out.Mode = e.name+"/", 0o755
	case file:
		out.Size = e.size
	case symlink:
		out.Linkname = portable(e.link)
	}
	if err := p.tar.WriteHeader(out); err != nil {
		return e.errorf("can't be packed: %w", err)
	}
	if e.kind != file {
		return nil
	}
	if _, err := io.CopyN(p.tar, body, e.size); err != nil {
		return deploy.Errorf(deploy.Internal, op, "pack entry %q: %w", deploy.Cut(strings.ToValidUTF8(e.name, "?"), 200), err)
	}
	return nil
}

// Close writes the end. It does not close the writer below.
func (p *Packer) Close() error {
	if err := p.tar.Close(); err != nil {
		return err
	}
	return p.zip.Close()
}
