// Package remote fetches one commit from a git server, over https or ssh, within bounds, and shows what is in it.
package remote

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Limits bounds a fetch. A field that is zero stands for its default.
type Limits struct {
	Time  time.Duration // of everything
	Idle  time.Duration // without a byte from the server
	Pack  int64         // bytes of what the server sends of the commit
	Bytes int64         // of the commit's objects, inflated
	Pause time.Duration // before a server that can't be reached is asked again; twice that before the third and last time
}

// The bounds that hold where the caller names none.
const (
	DefaultTime  = 4 * time.Minute
	DefaultIdle  = 20 * time.Second
	DefaultPack  = 128 << 20
	DefaultBytes = 256 << 20
	DefaultPause = time.Second
)

// How far a commit is looked for below a branch's tip: where the server can send commits alone, and where it sends all that
// they hold.
const (
	deepCommits = 1000
	deepWhole   = 50
)

// Fetcher fetches commits. The zero value is ready for servers that need no AWS credentials.
type Fetcher struct {
	Limits Limits
	Local  bool // 127.0.0.1 may be asked; a function there would find Lambda's own runtime

	Region      string // of CodeCommit, and what its repositories are asked with
	Credentials aws.CredentialsProvider
	CodeCommit  string // its address; "" for AWS's own
}

// Request says what to fetch.
type Request struct {
	Source deploy.Source
	Secret string // the token, or the private key; "" for none
	Commit string // 40 hex digits
	Branch string // where the commit is said to be; "" where nobody said
	Verify bool   // fail unless it is there
}

// Fetch gets the commit and shows add a global header that notes it, as git archive does, and each folder, file and link of its tree,
// folders first, in the tree's own order. A submodule is an empty folder, and a file of git LFS its pointer. Where add
// is nil, it only looks whether the commit is on the branch. The error is NotFound about commit_sha, branch or source.url; Invalid
// about a source.* that the server refuses, or about branch where the commit isn't found on it; TooLarge over a bound, which it
// names; Internal where the server can't be reached; else add's own. None holds a secret.
func (f *Fetcher) Fetch(ctx context.Context, r Request, add func(h *tar.Header, body io.Reader) error) error {
	limits := f.Limits.orDefault()
	ctx, stop := context.WithTimeoutCause(ctx, limits.Time, deploy.Errorf(deploy.TooLarge, "fetch", "it took over %s", limits.Time))
	defer stop()
	err := f.fetch(ctx, r, limits, add)
	if late := (*deploy.Error)(nil); err != nil && errors.As(context.Cause(ctx), &late) {
		return late // whatever it was that the end of the time made fail
	}
	return err
}

func (f *Fetcher) fetch(ctx context.Context, r Request, limits Limits, add func(*tar.Header, io.Reader) error) error {
	s, err := f.server(ctx, r, limits)
	if err != nil {
		return err
	}
	defer s.close()
	refs, err := patiently(ctx, limits.Pause, s.refs)
	if err != nil {
		return err
	}
	h := &hunt{server: s, refs: refs, commit: plumbing.NewHash(r.Commit), branch: r.Branch, limits: limits}
	if r.Verify {
		if err := h.verify(ctx); err != nil {
			return err
		}
	}
	if add == nil {
		return nil
	}
	objects, err := h.objects(ctx)
	if err != nil {
		return err
	}
	return show(ctx, objects, h.commit, add)
}

func (l Limits) orDefault() Limits {
	if l.Time <= 0 {
		l.Time = DefaultTime
	}
	if l.Idle <= 0 {
		l.Idle = DefaultIdle
	}
	if l.Pause <= 0 {
		l.Pause = DefaultPause
	}
	if l.Pack <= 0 {
		l.Pack = DefaultPack
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	return l
}

// server is one repository on a git server.
type server interface {
	refs(ctx context.Context) (*packp.AdvRefs, error)
	pack(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error)
	close()
}

func (f *Fetcher) server(ctx context.Context, r Request, limits Limits) (server, error) {
	if r.Source.Type == deploy.SourceCodeCommit {
		return f.codeCommit(ctx, r.Source.Repository, limits)
	}
	u, err := url.Parse(r.Source.URL)
	if err != nil || u.Host == "" {
		return nil, deploy.FieldErrorf("source.url", "is not a URL")
	}
	if u.Scheme == "ssh" {
		return f.dialSSH(ctx, u, r.Secret, r.Source.HostKeys, limits)
	}
	return newHTTP(u, basic(r.Secret), f.dialer(limits)), nil
}

// unreachable is an error that the next try may not meet.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// patiently tries again what a server that restarts, or a lost packet, makes fail.
func patiently[T any](ctx context.Context, pause time.Duration, ask func(context.Context) (T, error)) (v T, err error) {
	for try := 1; ; try++ {
		v, err = ask(ctx)
		if again := (unreachable{}); !errors.As(err, &again) || try == 3 {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(pause):
		}
		pause *= 2
	}
}
