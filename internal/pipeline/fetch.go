package pipeline

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Fetch gets a commit's source from where the app's owner said it is, once Prepare has found that it must be fetched.
type Fetch struct {
	Desk
	App     func(ctx context.Context, name string) (*deploy.App, error)
	Secret  func(ctx context.Context, app, reference string) (string, error)
	Bundles Bundles
	Remote  func(ctx context.Context, w Wanted, add func(h *tar.Header, body io.Reader) error) error
	Packer  func(w io.Writer) Packer
}

// Bundles keeps what was fetched. A commit's bundle is never replaced.
type Bundles interface {
	Stat(ctx context.Context, app, commit string) (*deploy.Bundle, error)
	PutBundle(ctx context.Context, app, commit string, f *os.File) (*deploy.Bundle, error)
}

// Packer writes a bundle.
type Packer interface {
	Add(h *tar.Header, body io.Reader) error
	Close() error
}

// Wanted says what to get from where.
type Wanted struct {
	Source deploy.Source
	Secret string
	Commit string
	Branch string
	Verify bool // that the commit is on the branch
}

// Run fetches. Its input is the error that led here; which deployment it is follows from the execution, as in Prepare.
func (f *Fetch) Run(ctx context.Context, call Call) (*State, error) {
	d, err := f.Records.Deployment(ctx, executionID(call.Execution, call.StartTime))
	if err != nil {
		return nil, err
	}
	st := &State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, execution: call.Execution}
	if err := cmp.Or(theirs(d, call.Execution), mine(st, d)); err != nil {
		return nil, err
	}
	return f.pass(ctx, st, d, "fetch", f.fetch)
}

func (f *Fetch) fetch(ctx context.Context, st *State, d *deploy.Deployment) (done, error) {
	if err := f.begin(ctx, st, d, "fetch", nil); err != nil {
		return done{}, err
	}
	a, err := f.App(ctx, d.App)
	if err != nil {
		return done{}, err
	}
	w := Wanted{Source: a.Source, Commit: d.CommitSHA, Branch: d.Branch, Verify: onItsBranch(d)}
	if w.Secret, err = f.secret(ctx, a); err != nil {
		return done{}, err
	}
	b, said, err := f.get(ctx, d, w)
	if err != nil {
		return done{}, err
	}
	return done{outcome: deploy.Passed, said: said, change: func(d *deploy.Deployment) { d.Source = b }}, nil
}

// onItsBranch reports whether the git server has to say that the commit is on its branch: where only some branches may be deployed, and of
// a push, which deploys because of its branch. The sender of a push event need not be the git server.
func onItsBranch(d *deploy.Deployment) bool {
	return d.Settings != nil && len(d.Settings.Branches) > 0 || d.Metadata["started_by"] == "push"
}

// secret looks up what the source is fetched with. Its error names the setting.
func (f *Fetch) secret(ctx context.Context, a *deploy.App) (string, error) {
	s := a.Source
	field, reference := "source.token", s.Token
	if s.SSHKey != "" {
		field, reference = "source.ssh_key", s.SSHKey
	}
	if reference == "" {
		return "", nil
	}
	value, err := f.Secret(ctx, a.Name, reference)
	if err != nil {
		return "", &deploy.Error{Kind: deploy.KindOf(err), Field: field, Err: fmt.Errorf("look up: %w", err)}
	}
	return value, nil
}

// get takes the bundle that is there already, once its branch is known to be right, or makes it.
func (f *Fetch) get(ctx context.Context, d *deploy.Deployment, w Wanted) (b *deploy.Bundle, told string, err error) {
	b, err = f.Bundles.Stat(ctx, d.App, d.CommitSHA)
	if err == nil {
		if w.Verify {
			err = f.Remote(ctx, w, nil)
		}
		return b, said("the bundle was there"), err
	}
	if deploy.KindOf(err) != deploy.NotFound {
		return nil, "", err
	}
	file, err := os.CreateTemp("", "bundle-*.tar.gz")
	if err != nil {
		return nil, "", deploy.Errorf(deploy.Internal, "fetch", "%w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	packer := f.Packer(file)
	if err := f.Remote(ctx, w, packer.Add); err != nil {
		return nil, "", err
	}
	if err := packer.Close(); err != nil {
		return nil, "", deploy.Errorf(deploy.Internal, "fetch", "%w", err)
	}
	b, err = f.Bundles.PutBundle(ctx, d.App, d.CommitSHA, file)
	return b, "", err
}
