package remote

import (
	"archive/tar"
	"context"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxLink bounds the text of a symbolic link that is read; a longer one is none.
const maxLink = 4096

// walk shows a tree's entries.
type walk struct {
	objects storer.EncodedObjectStorer
	time    time.Time
	add     func(h *tar.Header, body io.Reader) error
}

func show(ctx context.Context, objects storer.EncodedObjectStorer, id plumbing.Hash, add func(*tar.Header, io.Reader) error) error {
	commit, err := object.GetCommit(objects, id)
	if err != nil {
		return broken(err)
	}
	w := &walk{objects: objects, time: commit.Committer.When.UTC(), add: add}
	if w.time.Unix() < 0 || w.time.Year() > 2100 {
		w.time = time.Unix(0, 0).UTC() // no archive could hold it
	}
	note := map[string]string{"comment": id.String()}
	if err := add(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: note}, nil); err != nil {
		return err
	}
	return w.folder(ctx, "", commit.TreeHash)
}

// folder shows what is in one. A tree that refers to itself many times over is add's to stop, which counts.
func (w *walk) folder(ctx context.Context, path string, id plumbing.Hash) error {
	tree, err := object.GetTree(w.objects, id)
	if err != nil {
		return broken(err)
	}
	for _, e := range tree.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(ctx, path+e.Name, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(ctx context.Context, name string, e object.TreeEntry) error {
	h := &tar.Header{Name: name, ModTime: w.time, Mode: 0o644, Typeflag: tar.TypeReg}
	switch e.Mode {
	case filemode.Dir, filemode.Submodule:
		h.Name, h.Mode, h.Typeflag = name+"/", 0o755, tar.TypeDir
		if err := w.add(h, nil); err != nil || e.Mode == filemode.Submodule {
			return err
		}
		return w.folder(ctx, name+"/", e.Hash)
	case filemode.Symlink:
		return w.link(h, e.Hash)
	case filemode.Executable:
		h.Mode = 0o755
	case filemode.Regular, filemode.Deprecated:
	default:
		return deploy.Errorf(deploy.Invalid, "source", "entry %q has mode %s; want a file, a folder or a link", deploy.Cut(name, 200), e.Mode)
	}
	return w.file(h, e.Hash)
}

func (w *walk) file(h *tar.Header, id plumbing.Hash) error {
	blob, body, err := w.open(id)
	if err != nil {
		return err
	}
	defer body.Close()
	h.Size = blob.Size
	return w.add(h, body)
}

func (w *walk) link(h *tar.Header, id plumbing.Hash) error {
	_, body, err := w.open(id)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxLink))
	if err != nil {
		return broken(err)
	}
	h.Typeflag, h.Linkname = tar.TypeSymlink, string(text)
	return w.add(h, nil)
}

func (w *walk) open(id plumbing.Hash) (*object.Blob, io.ReadCloser, error) {
	blob, err := object.GetBlob(w.objects, id)
	if err != nil {
		return nil, nil, broken(err)
	}
	body, err := blob.Reader()
	if err != nil {
		return nil, nil, broken(err)
	}
	return blob, body, nil
}
