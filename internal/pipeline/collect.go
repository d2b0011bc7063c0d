package pipeline

import (
	"context"
	"slices"
	"time"

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
		start := within(ran.Start, d.StartTime, now)
		end := now
		if ran.End != nil {
			end = within(*ran.End, start, now)
		}
		stage := deploy.Stage{Name: name, Start: start, End: &end, Outcome: ran.Outcome, Attempt: min(max(ran.Attempt, 1), maxAttempts)}
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

// maxAttempts is the most attempts of a stage that a build's result is believed about.
const maxAttempts = 10

// within returns a time that a build says, or the nearest that can be true.
func within(t, first, last time.Time) time.Time {
	if t.Before(first) {
		return first
	}
	if t.After(last) {
		return last
	}
	return t.UTC()
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
	r := s.release(d) // of the record, since a build could name another bundle's digest, for which that one would pass later
	if t := result.Stage("test"); t != nil && t.Outcome == deploy.Passed {
		r.TestedBy = d.ID
	}
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
