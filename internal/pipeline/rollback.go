package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Rollback takes a target back to the release that the record names.
type Rollback struct {
	Workshop
	Hooks   Hooks
	Heads   Heads
	Targets Targets
	Flags   Flags
}

// Run undoes what a failed deployment changed, or does a rollback that somebody asked for. Without a change, or with
// rollback_enabled false, there is nothing to do.
func (r *Rollback) Run(ctx context.Context, call Call) (*State, error) {
	st, d, err := r.open(ctx, call)
	if err != nil {
		return nil, err
	}
	st.Back = true
	if err := r.blame(ctx, st, d); err != nil {
		return nil, err
	}
	if s := d.Stage("rollback"); s != nil && s.End != nil {
		return st, earlier(s, d)
	}
	err = r.update(ctx, st, d, func(d *deploy.Deployment) error {
		if d.Action == deploy.Rollback && d.Changed == nil {
			if err := cancelled(d); err != nil {
				return err
			}
		}
		d.Healthy = false
		d.Begin("rollback", r.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	attempt := d.Stage("rollback").Attempt
	st.attempt = attempt
	told, outcome, err := r.rollback(ctx, st, d)
	return st, r.finish(ctx, st, d, ended{name: "rollback", attempt: attempt, done: done{outcome: outcome, said: told}, err: err})
}

// blame notes the error that brought the machine here, which the record doesn't have where a function crashed.
func (r *Rollback) blame(ctx context.Context, st *State, d *deploy.Deployment) error {
	if st.Error.Error == "" || d.ErrorKind != "" || d.Action == deploy.Rollback {
		return nil
	}
	return r.update(ctx, st, d, func(d *deploy.Deployment) error {
		blame(d, st.Error)
		d.Log(r.Now(), "failed: %s", d.Error)
		return nil
	})
}

// blame puts the machine's word for what went wrong on the record, where no handler put its own.
func blame(d *deploy.Deployment, f Failure) {
	kind, cause := f.read()
	d.Fail(kind, cause)
}

// read takes a Catch's error apart. A function's cause is JSON; a service's, text.
func (f Failure) read() (deploy.Kind, string) {
	var function struct {
		Message string `json:"errorMessage"`
	}
	text := f.Cause
	if json.Unmarshal([]byte(f.Cause), &function) == nil && function.Message != "" {
		text = function.Message
	}
	for _, kind := range deploy.Kinds {
		if string(kind) == f.Error {
			return kind, text
		}
	}
	return deploy.Internal, f.Error + ": " + text
}

func (r *Rollback) rollback(ctx context.Context, st *State, d *deploy.Deployment) (told string, _ deploy.Outcome, err error) {
	b := r.bench(st, d, "rollback")
	defer func() { err = errors.Join(err, b.close()) }()
	if d.Action == deploy.Deploy {
		if err := r.Hooks.run(ctx, b, "on_failure"); err != nil {
			return "", "", err
		}
		switch {
		case d.Changed == nil:
			return said("nothing was changed"), deploy.Skipped, nil
		case !d.Config.RollbackEnabled:
			return said("rollback_enabled is false: what the deployment changed stays"), deploy.Skipped, nil
		}
		return r.back(ctx, st, b, d.Previous)
	}
	to, err := r.ask(ctx, st, d)
	if err != nil {
		return "", "", err
	}
	return r.back(ctx, st, b, to)
}

// ask looks again at what a rollback that somebody asked for undoes and restores, now that it has its turn, and writes
// it down before the first change.
func (r *Rollback) ask(ctx context.Context, st *State, d *deploy.Deployment) (*deploy.Live, error) {
	if d.Changed != nil {
		return restored(d), nil
	}
	h, err := r.Heads.Head(ctx, d.App, d.Environment)
	if err != nil {
		return nil, err
	}
	way, err := findWayBack(ctx, r.Records, h, d)
	if err != nil {
		return nil, err
	}
	live, note, err := liveNow(ctx, h, r.Targets, d)
	if err != nil {
		return nil, err
	}
	return way.to, r.update(ctx, st, d, func(d *deploy.Deployment) error {
		now := r.Now()
		way.apply(d)
		d.Previous, d.Changed, d.RollbackTo = live, &now, way.to.Deployment
		if way.rel == nil {
			d.Release = &deploy.Release{App: d.App, TargetVersion: way.to.TargetVersion, Artifacts: []deploy.Artifact{}}
		}
		if note != "" {
			d.Log(now, "%s", note)
		}
		d.Log(now, "%s", way)
		return nil
	})
}

// restored is what a rollback puts live, read from its own record.
func restored(d *deploy.Deployment) *deploy.Live {
	l := d.Live()
	l.Deployment = d.RollbackTo
	return l
}

// back switches the release's flags off, runs hooks and script, and moves the target.
func (r *Rollback) back(ctx context.Context, st *State, b *bench, to *deploy.Live) (string, deploy.Outcome, error) {
	d := b.d
	b.vars = map[string]string{"SLIPWAY_ROLLBACK_TO_COMMIT": to.CommitSHA}
	if err := r.switchOff(ctx, st, d, to); err != nil {
		return "", "", err
	}
	if err := r.Hooks.run(ctx, b, "pre_rollback"); err != nil {
		return "", "", err
	}
	if command := rollbackScript(d); command != "" {
		if err := r.place(ctx, b, to); err != nil {
			return "", "", err
		}
		if err := b.run(ctx, deploy.RollbackFailed, "rollback", command); err != nil {
			return "", "", err
		}
	}
	if err := r.move(ctx, st, d, to); deploy.KindOf(err) == deploy.Fenced {
		return "", "", err
	} else if err != nil {
		return "", "", deploy.Errorf(deploy.RollbackFailed, "rollback", "%w", err)
	}
	if err := r.Hooks.run(ctx, b, "post_rollback"); err != nil {
		return "", "", err
	}
	err := r.update(ctx, st, d, func(d *deploy.Deployment) error { d.Undone = true; return nil })
	return said("%s", backTo(to)), deploy.Passed, err
}

// move points the target to the release's version. Where that is gone, as with a function that was deleted and made again, a
// rollback that somebody asked for publishes the release anew: Lambda gives no number out twice, so nothing else would bring it back.
func (r *Rollback) move(ctx context.Context, st *State, d *deploy.Deployment, to *deploy.Live) error {
	t := d.Settings.Target
	if t.Type != deploy.TargetLambda {
		return nil
	}
	set := func(version string) error {
		return r.Targets.SetWeight(ctx, t, version, version, 100, r.still(st, "rollback"))
	}
	err := set(to.TargetVersion)
	if deploy.KindOf(err) != deploy.NotFound || d.Action != deploy.Rollback || to.Deployment == "" {
		return err
	}
	zip, none := d.Release.ZipFor(t)
	if none != nil {
		return errors.Join(err, none)
	}
	version, err := r.Targets.Publish(ctx, t, zip, "slipway "+deploy.ShortCommit(to.CommitSHA)+" "+d.ID)
	if err != nil {
		return err
	}
	err = r.update(ctx, st, d, func(d *deploy.Deployment) error {
		d.Log(r.Now(), "version %s is gone; its release is version %s now", to.TargetVersion, version)
		d.Release.TargetVersion = version
		return nil
	})
	if err != nil {
		return err
	}
	return set(version)
}

func backTo(to *deploy.Live) string {
	switch {
	case to.Deployment != "":
		return fmt.Sprintf("back to %s of %s", deploy.ShortCommit(to.CommitSHA), to.Deployment)
	case to.TargetVersion != "":
		return fmt.Sprintf("there is no earlier release; back to version %s, which was there before Slipway", to.TargetVersion)
	}
	return "there is no earlier release"
}

// place puts the restored release's artifacts where the script of the undone commit can take them.
func (r *Rollback) place(ctx context.Context, b *bench, to *deploy.Live) error {
	if to.Deployment == "" {
		return nil
	}
	d, err := r.Records.Deployment(ctx, to.Deployment)
	if err != nil || d.Release == nil {
		return err
	}
	return b.put(ctx, d.Release.Artifacts)
}

// rollbackScript is the commit's. A script target has no other way back, so it has a default.
func rollbackScript(d *deploy.Deployment) string {
	if d.Config == nil {
		return ""
	}
	if d.Config.Scripts.Rollback == "" && d.Settings.Target.Type == deploy.TargetScript {
		return deploy.DefaultRollback
	}
	return d.Config.Scripts.Rollback
}
