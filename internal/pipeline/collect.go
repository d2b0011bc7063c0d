package pipeline

import (
	"context"
	"slices"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Results are what builds left.
type Results interface {
	Result(ctx context.Context, id string) (*deploy.Deployment, error)
}

// collected is what became of a build.
type collected struct {
	answer  Answer
	result  *deploy.Deployment // never nil
	release *deploy.Release
	said    string // of the release, behind the outcome
	err     error
}

// collect takes over what a build did: both stages with their times, and the release. Of the release it believes nothing but
// the digests, by which it looks for the artifacts itself.
func (s *Build) collect(ctx context.Context, st *State, d *deploy.Deployment) (*State, error) {
	c := collected{answer: st.answer()}
	st.Build, st.Error = Answer{}, Failure{}
	for _, name := range []string{"test", "build"} {
		if stage := d.Stage(name); stage != nil && stage.End != nil && (name == "build" || stage.Outcome == deploy.StageFailed) {
			return st, earlier(stage, d)
		}
	}
	var err error
	if c.result, err = s.result(ctx, d); err != nil {
		return nil, err
	}
	if c.err = c.answer.verdict(c.result); c.err == nil {
		c.release, c.said, c.err = s.receive(ctx, d, c.result)
	}
	err = s.update(ctx, st, d, func(d *deploy.Deployment) error { s.absorb(d, c); return nil })
	if err == nil {
		err = cancelled(d)
	}
	if err == nil {
		err = c.err
	}
	return st, err
}

// result reads what the build left; where that is nothing, or nothing that can be right, CodeBuild's own word has to do.
func (s *Build) result(ctx context.Context, d *deploy.Deployment) (*deploy.Deployment, error) {
	r, err := s.Results.Result(ctx, d.ID)
	switch deploy.KindOf(err) {
	case deploy.NotFound:
		return &deploy.Deployment{}, nil
	case deploy.Invalid:
		s.Log.Warn("a build left a result that can't be right", "deployment", d.ID, "error", err)
		return &deploy.Deployment{}, nil
	}
	return r, err
}

// absorb puts a build on the record.
func (s *Build) absorb(d *deploy.Deployment, c collected) {
	now := s.Now()
	d.Build = c.answer.ID
	for _, name := range []string{"test", "build"} {
		ran := c.result.Stage(name)
		if ran == nil || d.Stage(name) != nil {
			continue
		}
		stage := deploy.Stage{Name: name, Start: ran.Start, End: ran.End, Outcome: ran.Outcome, Attempt: ran.Attempt}
		if stage.End == nil {
			stage.End = &now
		}
		if !went(c.result, name) || name == "build" && c.err != nil || deploy.KindOf(c.err) == failed[name] {
			stage.Outcome = deploy.StageFailed
		}
		d.Stages = append(d.Stages, stage)
		d.Log(*stage.End, "%s %s in %s%s", name, stage.Outcome, c.answer.ID, c.about(name))
	}
	if deploy.KindOf(c.err) == deploy.Cancelled && d.CancelTime == nil {
		d.CancelTime = &now // whoever stopped the build asked for it
	}
	if err := cancelled(d); err != nil {
		d.Fail(deploy.Cancelled, err.Error())
	}
	if c.err != nil {
		d.Fail(deploy.KindOf(c.err), c.err.Error())
		d.Log(now, "failed: %v", c.err)
		return
	}
	hold(c.release)(d)
}

// about is what there is to say about the release, where the stage made it.
func (c *collected) about(stage string) string {
	if stage != "build" || c.err != nil {
		return ""
	}
	return c.said
}

// receive makes the commit's release of what a build left, or takes the one that there was.
func (s *Build) receive(ctx context.Context, d, result *deploy.Deployment) (_ *deploy.Release, said string, err error) {
	if !builds(d.Config) {
		r := s.release(d)
		return r, "", s.check(ctx, d, r)
	}

	r, why, err := taken(ctx, s.Releases, d)
	if err != nil {
		return nil, "", err
	}
	if r == nil {
		if r, err = s.look(ctx, d, result); err != nil {
			return nil, "", err
		}
		if r, err = s.Releases.PutRelease(ctx, r, d.Rebuild); err != nil {
			return nil, "", err
		}
	}
	return r, why, s.check(ctx, d, r)
}

// look finds each artifact that slipway.yaml names where its digest says that it is.
func (s *Build) look(ctx context.Context, d, result *deploy.Deployment) (*deploy.Release, error) {
	r := s.release(result)
	r.App, r.CommitSHA, r.BuiltBy = d.App, d.CommitSHA, d.ID
	r.BuildVariables = deploy.VariablesDigest(d.Variables)
	var said []deploy.Artifact
	if result.Release != nil {
		said = result.Release.Artifacts
	}
	for _, name := range d.Config.Artifacts {
		i := slices.IndexFunc(said, func(a deploy.Artifact) bool { return a.Path == name })
		if i < 0 {
			return nil, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "the build did not make it")
		}
		a, err := s.Artifacts.FindArtifact(ctx, d.App, d.CommitSHA, name, said[i].SHA256)
		if err != nil {
			return nil, deploy.Errorf(deploy.BuildFailed, "artifact "+name, "%w", err)
		}
		a.Executable = said[i].Executable // what may run is the commit's own word
		r.Artifacts = append(r.Artifacts, a)
	}
	return r, nil
}
