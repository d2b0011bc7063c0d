package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Build makes a commit's release.
type Build struct {
	Workshop
	Releases Releases
	Results  Results // nil inside of a build, which has none to collect
}

// Releases keeps what was built of each commit.
type Releases interface {
	Release(ctx context.Context, app, commit string) (*deploy.Release, error)
	PutRelease(ctx context.Context, r *deploy.Release, replace bool) (*deploy.Release, error)
}

// Run runs scripts.build and keeps the artifacts, or takes the release that the commit already has, or collects what CodeBuild did.
func (s *Build) Run(ctx context.Context, call Call) (*State, error) {
	st, d, err := s.open(ctx, call)
	if err != nil {
		return nil, err
	}
	if d.Runner == deploy.RunnerCodeBuild && s.Results != nil {
		return s.collect(ctx, st, d)
	}
	if err := comesAfter(d, "test"); err != nil {
		return nil, err
	}
	return s.pass(ctx, st, d, "build", func(ctx context.Context, st *State, d *deploy.Deployment) (done, error) {
		if !builds(d.Config) {
			return s.nothing(ctx, d)
		}
		r, why, err := taken(ctx, s.Releases, d)
		if err != nil {
			return done{}, err
		}
		end := done{outcome: deploy.Skipped, said: said("release built by %s", builder(r))}
		if r == nil {
			if r, err = s.build(ctx, st, d); err != nil {
				return done{}, err
			}
			end = done{outcome: deploy.Passed, said: said("artifacts: %d%s", len(r.Artifacts), why)}
		}
		if err := s.check(ctx, d, r); err != nil {
			return done{}, err
		}
		end.change = hold(r)
		return end, nil
	})
}

// taken finds the release that the commit already has, nil where there is none that d may take; then why says what is wrong with the
// one that there is.
func taken(ctx context.Context, releases Built, d *deploy.Deployment) (_ *deploy.Release, why string, err error) {
	r, err := releases.Release(ctx, d.App, d.CommitSHA)
	if err != nil || r == nil {
		return nil, "", err
	}
	if err := d.CheckSource(r); err != nil {
		return nil, "", err
	}
	ok, why := d.Takes(r)
	if ok {
		return r, "", nil
	}
	return nil, fmt.Sprintf("; built anew, not taken from %s: %s", r.BuiltBy, why), nil
}

// builds tells whether a commit has anything to build.
func builds(c *deploy.Config) bool { return c.Scripts.Build != "" || len(c.Artifacts) > 0 }

// nothing is the release of a commit that has nothing to build: nothing of it is kept for others.
func (s *Build) nothing(ctx context.Context, d *deploy.Deployment) (done, error) {
	r := s.release(d)
	return done{outcome: deploy.Skipped, said: said("no build script, no artifacts"), change: hold(r)}, s.check(ctx, d, r)
}

// hold puts a release on the record.
func hold(r *deploy.Release) func(*deploy.Deployment) {
	return func(d *deploy.Deployment) {
		d.Release, d.Artifacts = r, map[string]string{}
		for _, a := range r.Artifacts {
			d.Artifacts[a.Path] = a.Key
		}
	}
}

// release is d's own, without artifacts yet, and tested by d where its tests have passed.
func (s *Build) release(d *deploy.Deployment) *deploy.Release {
	r := &deploy.Release{App: d.App, CommitSHA: d.CommitSHA, BuiltBy: d.ID, BuiltAt: s.Now().UTC(), Artifacts: []deploy.Artifact{},
		BuildVariables: deploy.VariablesDigest(d.Variables)}
	if d.Source != nil {
		r.SourceSHA256 = d.Source.SHA256
	}
	if t := d.Stage("test"); t != nil && t.Outcome == deploy.Passed {
		r.TestedBy = d.ID
	}
	return r
}

func builder(r *deploy.Release) string {
	if r == nil {
		return ""
	}
	return r.BuiltBy
}

// check looks at the artifacts where they lie, and at whether the target could use them.
func (s *Build) check(ctx context.Context, d *deploy.Deployment, r *deploy.Release) error {
	for _, a := range r.Artifacts {
		if err := s.Artifacts.CheckArtifact(ctx, a); err != nil {
			return deploy.Errorf(deploy.BuildFailed, "artifact "+a.Path, "%w", err)
		}
	}
	if d.Settings.Target.Type != deploy.TargetLambda {
		return nil
	}
	_, err := r.ZipFor(d.Settings.Target)
	return err
}

func (s *Build) build(ctx context.Context, st *State, d *deploy.Deployment) (_ *deploy.Release, err error) {
	b := s.bench(st, d, "build")
	defer func() { err = errors.Join(err, b.close()) }()
	if d.Config.Scripts.Build != "" {
		if err := b.run(ctx, deploy.BuildFailed, "build", d.Config.Scripts.Build); err != nil {
			return nil, err
		}
	} else if err := b.open(ctx); err != nil {
		return nil, err
	}
	r := s.release(d)
	for _, name := range d.Config.Artifacts {
		a, err := s.keep(ctx, b, name)
		if err != nil {
			return nil, err
		}
		r.Artifacts = append(r.Artifacts, a)
	}
	return s.Releases.PutRelease(ctx, r, d.Rebuild)
}

// keep stores one artifact. A build may leave links; only a regular file inside the workspace is an artifact.
func (s *Build) keep(ctx context.Context, b *bench, name string) (deploy.Artifact, error) {
	root, err := os.OpenRoot(b.root())
	if err != nil {
		return deploy.Artifact{}, deploy.Errorf(deploy.Internal, "build", "%w", err)
	}
	defer root.Close()
	info, err := root.Lstat(filepath.FromSlash(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return deploy.Artifact{}, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "the build did not make it")
	case err != nil:
		return deploy.Artifact{}, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "%w", err)
	case !info.Mode().IsRegular():
		return deploy.Artifact{}, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "is a %s; want a file", info.Mode().Type())
	}
	return s.Artifacts.PutArtifact(ctx, b.d.App, b.d.CommitSHA, name, filepath.Join(b.root(), filepath.FromSlash(name)))
}
