package pipeline

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Deploy brings a release to its target, without traffic where the target can keep it back.
type Deploy struct {
	Workshop
	Hooks   Hooks
	Heads   Heads
	Targets Targets
	Flags   Flags
}

// Targets reads and changes what serves. Weights are absolute and read back, so that a call may be made again. Still is asked before
// each write, and is given what serves; a write that another call came before is refused, or asks again. Find and SetWeight are
// NotFound where a version is not there whole: with its function, its number and its code.
type Targets interface {
	Serving(ctx context.Context, t deploy.Target) (deploy.Serving, error)
	Find(ctx context.Context, t deploy.Target, v deploy.FunctionVersion) (deploy.FunctionVersion, error)
	Publish(ctx context.Context, t deploy.Target, a deploy.Artifact, description string) (deploy.FunctionVersion, error)
	SetWeight(ctx context.Context, t deploy.Target, from, to deploy.FunctionVersion, percent int, still func(context.Context, deploy.Serving) error) error
}

// Run runs hooks and pre_deploy, writes down what is live, and only then changes anything.
func (s *Deploy) Run(ctx context.Context, call Call) (*State, error) {
	st, at, err := openPlace(ctx, s.Heads, call)
	if err != nil {
		return nil, err
	}
	if err := comesAfter(at.Deployment, "admit"); err != nil {
		return nil, err
	}
	return s.pass(ctx, st, at.Deployment, "deploy", func(ctx context.Context, st *State, d *deploy.Deployment) (_ done, err error) {
		b := s.bench(st, d, "deploy")
		b.place = d.Release.Artifacts
		defer func() { err = errors.Join(err, b.close()) }()
		if err := s.prepare(ctx, b); err != nil {
			return done{}, err
		}
		if _, _, err := b.variables(ctx); err != nil { // a secret that is missing mustn't fail the way back as well
			return done{}, err
		}
		if err := s.introduce(ctx, st, d); err != nil {
			return done{}, err
		}
		mark, err := s.mark(ctx, at.Head, d)
		if err != nil {
			return done{}, err
		}
		if d.Config.Scripts.Deploy == "" && d.Settings.Target.Type != deploy.TargetLambda {
			return done{outcome: deploy.Passed, change: mark}, nil // what is changed is the scripts' of later stages
		}
		if err := s.begin(ctx, st, d, "deploy", mark); err != nil {
			return done{}, err
		}
		if d.Config.Scripts.Deploy != "" {
			if err := b.run(ctx, deploy.DeployFailed, "deploy", d.Config.Scripts.Deploy); err != nil {
				return done{}, err
			}
		}
		return s.publish(ctx, d)
	})
}

// prepare is all that may still fail without a trace on the target.
func (s *Deploy) prepare(ctx context.Context, b *bench) error {
	if err := s.Hooks.run(ctx, b, "pre_deploy"); err != nil {
		return err
	}
	if command := b.d.Config.Scripts.PreDeploy; command != "" {
		return b.run(ctx, deploy.DeployFailed, "pre_deploy", command)
	}
	return nil
}

// mark returns what writes onto the record what serves. From there on a failure is undone, and only this is read to undo
// it. It is nil where an earlier run has written it.
func (s *Deploy) mark(ctx context.Context, h *deploy.Head, d *deploy.Deployment) (func(*deploy.Deployment), error) {
	if d.Changed != nil {
		return nil, nil //nolint:nilnil // nothing is left to be written
	}
	live, note, err := s.before(ctx, h, d)
	if err != nil {
		return nil, err
	}
	fallback, err := s.fallback(ctx, h, live, d)
	if err != nil {
		return nil, err
	}
	return func(d *deploy.Deployment) {
		now := s.Now()
		d.Previous, d.Fallback, d.Changed = live, fallback, &now
		if note != "" {
			d.Log(now, "%s", note)
		}
	}, nil
}

// before returns what is live before the deployment's first change. In a dirty environment that is what its way back was to restore,
// as long as the app still has that target: what the target says now may be anything.
func (s *Deploy) before(ctx context.Context, h *deploy.Head, d *deploy.Deployment) (*deploy.Live, string, error) {
	if d.Repairs != "" {
		from, err := s.Records.Deployment(ctx, d.Repairs)
		if err != nil {
			return nil, "", err
		}
		aim := from.Aim()
		known := aim.TargetVersion != "" || d.Settings.Target.Type != deploy.TargetLambda
		if known && from.Settings != nil && from.Settings.Target.Same(d.Settings.Target) {
			return aim, "", nil
		}
	}
	return liveNow(ctx, s.Records, h, s.Targets, d)
}

// fallback returns the deployment of the release before d's, which a rollback of d restores: what serves now, unless that is the
// same release or was never healthy. Where the target is another function by now, it is what served on the one before.
func (s *Deploy) fallback(ctx context.Context, h *deploy.Head, live *deploy.Live, d *deploy.Deployment) (string, error) {
	if live.Deployment == "" && h.Live != nil {
		known, err := whole(ctx, s.Records, h.Live)
		if err != nil {
			return "", err
		}
		if !deploy.SameFunction(known.TargetFunction, live.TargetFunction) {
			live = known
		}
	}
	before, err := deploy.ReleaseBefore(d.Release, live.Deployment, func(id string) (*deploy.Deployment, error) { return s.Records.Deployment(ctx, id) })
	if deploy.KindOf(err) == deploy.NotFound && live.CommitSHA != d.CommitSHA {
		return live.Deployment, nil // a record that is gone holds up nothing
	}
	return before, err
}

// publish makes the release a version of the target's function.
func (s *Deploy) publish(ctx context.Context, d *deploy.Deployment) (done, error) {
	t := d.Settings.Target
	if t.Type != deploy.TargetLambda {
		return done{outcome: deploy.Passed}, nil
	}
	zip, err := d.Release.ZipFor(t)
	if err != nil {
		return done{}, err
	}
	version, err := s.Targets.Publish(ctx, t, zip, describe(d, d.CommitSHA))
	if err != nil {
		return done{}, err
	}
	return done{
		outcome: deploy.Passed, said: said("%s version %s", t.Function, version.TargetVersion),
		change: func(d *deploy.Deployment) { d.Release.FunctionVersion = version },
	}, nil
}

// Shift moves traffic.
type Shift struct {
	Workshop
	Hooks   Hooks
	Targets Targets
}

// Run sets the weight of the plan's next step. With the last one the release serves alone, and post_deploy runs.
func (s *Shift) Run(ctx context.Context, call Call) (*State, error) {
	st, d, err := s.open(ctx, call)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(comesAfter(d, "deploy"), stepOf(st, d)); err != nil {
		return nil, err
	}
	if d.Shifted > st.Step {
		return st, nil
	}
	if err := cancelled(d); err != nil {
		return nil, err
	}
	start := s.Now()
	if d.Settings.Target.Type == deploy.TargetLambda {
		if err := s.begin(ctx, st, d, "shift", nil); err != nil {
			return nil, err
		}
	}
	weight := d.Plan[st.Step].WeightPercent
	err = s.shift(ctx, st, d, weight)
	end := done{outcome: deploy.Passed, change: func(d *deploy.Deployment) { d.Shifted = st.Step + 1 }}
	if d.Settings.Target.Type == deploy.TargetLambda {
		end.said = said("version %s takes %d %% of the traffic", d.Release.TargetVersion, weight)
	}
	return st, s.finish(ctx, st, d, ended{name: "shift", attempt: st.attempt, start: start, done: end, err: err})
}

// stepOf returns the error of a step that is not the plan's, or whose turn it is not yet.
func stepOf(st *State, d *deploy.Deployment) error {
	switch {
	case st.Step < 0 || st.Step >= len(d.Plan):
		return deploy.Errorf(deploy.Internal, "plan", "step %d of %d", st.Step, len(d.Plan))
	case st.Step > d.StepsDone:
		return deploy.Errorf(deploy.Invalid, "state", "step %d comes after step %d, which is not checked yet", st.Step, d.StepsDone)
	}
	return nil
}

func (s *Shift) shift(ctx context.Context, st *State, d *deploy.Deployment, weight int) error {
	if t := d.Settings.Target; t.Type == deploy.TargetLambda {
		still := s.still(st, "shift")
		err := s.Targets.SetWeight(ctx, t, d.Previous.FunctionVersion, d.Release.FunctionVersion, weight, func(ctx context.Context, found deploy.Serving) error {
			if err := still(ctx); err != nil {
				return err
			}
			return forward(d, found)
		})
		if err != nil {
			return err
		}
	}
	if st.Step < len(d.Plan)-1 {
		return nil
	}
	return s.after(ctx, st, d)
}

// forward is the error of a target that serves neither the deployment's own release nor what served at its start.
func forward(d *deploy.Deployment, found deploy.Serving) error {
	if d.Repairs != "" || found.Includes(d.Release.FunctionVersion) || found.Is(d.Previous.FunctionVersion) {
		return nil
	}
	return deploy.Errorf(deploy.Moved, "", "alias %s serves %s; it was at version %s when this deployment began: somebody else moved it, so it stays",
		d.Settings.Target.Alias, found, d.Previous.TargetVersion)
}

// after runs what follows once the release serves. A failing post_deploy only warns.
func (s *Shift) after(ctx context.Context, st *State, d *deploy.Deployment) (err error) {
	b := s.bench(st, d, "shift")
	b.place = d.Release.Artifacts
	defer func() { err = errors.Join(err, b.close()) }()
	if command := d.Config.Scripts.PostDeploy; command != "" {
		err := b.run(ctx, deploy.DeployFailed, "post_deploy", command)
		switch k := deploy.KindOf(err); {
		case k == deploy.DeployFailed:
			if err := s.note(ctx, st, d, "warning: %v; the deployment goes on", err); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return s.Hooks.run(ctx, b, "post_deploy")
}

// seconds rounds a wait up to what Bake takes.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
