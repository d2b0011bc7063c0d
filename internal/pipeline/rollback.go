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
		if d.Scripts != nil || runsScripts(d, "rollback") {
			if err := st.claim(d, "rollback"); err != nil {
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
	live, note, err := liveNow(ctx, r.Records, h, r.Targets, d)
	if err != nil {
		return nil, err
	}
	published, err := r.ready(ctx, d, way)
	if err != nil {
		return nil, err
	}
	return way.to, r.update(ctx, st, d, func(d *deploy.Deployment) error {
		now := r.Now()
		way.apply(d)
		d.Previous, d.Changed, d.RollbackTo = live, &now, way.to.Deployment
		if way.rel == nil {
			d.Release = &deploy.Release{App: d.App, FunctionVersion: way.to.FunctionVersion, Artifacts: []deploy.Artifact{}}
		}
		for _, each := range []string{note, published} {
			if each != "" {
				d.Log(now, "%s", each)
			}
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
	return said("%s", wentBack(d, to)), deploy.Passed, err
}

// ready makes sure that the target's function has the version of the release that shall serve, before anything is changed. Where it
// doesn't have it whole, the release is published again from its artifact, without traffic: it was another function's, or the version
// is gone. Lambda gives no number out twice, so nothing else would bring it back.
func (r *Rollback) ready(ctx context.Context, d *deploy.Deployment, way *wayBack) (note string, err error) {
	t := d.Settings.Target
	if t.Type != deploy.TargetLambda || way.rel == nil {
		return "", nil
	}
	want := way.to.FunctionVersion
	zip, none := way.rel.ZipFor(t)
	if none == nil {
		want.TargetCodeSHA256 = zip.CodeSHA256()
	}
	found, err := r.Targets.Find(ctx, t, want)
	if err == nil {
		way.publishedAs(found)
		return "", nil
	}
	if deploy.KindOf(err) != deploy.NotFound {
		return "", err
	}

	if none != nil {
		return "", deploy.Errorf(deploy.Conflict, "", "%w; and the release can't be published again: %w", err, none)
	}
	version, failed := r.Targets.Publish(ctx, t, zip, describe(d, way.to.CommitSHA))
	if failed != nil {
		return "", deploy.Errorf(deploy.RollbackFailed, "publish the release again", "%w; that is why: %w", failed, err)
	}
	way.publishedAs(version)
	return fmt.Sprintf("%v: the release was published again as %s", err, version), nil
}

// move points the target to the release's version. The way back of a failed deployment takes back its own change, and nothing that
// somebody else did: a target that serves neither its release nor the one before is left as it is.
func (r *Rollback) move(ctx context.Context, st *State, d *deploy.Deployment, to *deploy.Live) error {
	t := d.Settings.Target
	if t.Type != deploy.TargetLambda {
		return nil
	}
	still := r.still(st, "rollback")
	for attempt := 0; ; attempt++ {
		err := r.Targets.SetWeight(ctx, t, to.FunctionVersion, to.FunctionVersion, 100, func(ctx context.Context, found deploy.Serving) error {
			if err := still(ctx); err != nil {
				return err
			}
			return backward(d, found)
		})
		if deploy.KindOf(err) != deploy.Moved || attempt == maxMoves {
			return err
		}
		serving, err := r.Targets.Serving(ctx, t)
		if err != nil {
			return err
		}
		if backward(d, serving) != nil {
			return r.leave(ctx, st, d, serving)
		}
	}
}

// maxMoves is how often move starts again because somebody else moved the target and moved it back.
const maxMoves = 3

// backward is the error of a target that a failed deployment's way back must not touch: neither the deployment's release takes
// traffic, nor does the target serve what served before. A rollback that somebody asked for, and a repair, may change anything.
func backward(d *deploy.Deployment, found deploy.Serving) error {
	if d.Action == deploy.Rollback || d.Repairs != "" || found.Includes(d.Release.FunctionVersion) {
		return nil
	}
	if found.Is(d.Previous.FunctionVersion) && (len(found.Others) == 0 || found.OtherVersions() == d.Previous.OtherVersions) {
		return nil
	}
	return deploy.Errorf(deploy.Moved, "", "the target serves %s", found)
}

// leave notes what serves instead of the release before.
func (r *Rollback) leave(ctx context.Context, st *State, d *deploy.Deployment, serving deploy.Serving) error {
	h, err := r.Heads.Head(ctx, d.App, d.Environment)
	if err != nil {
		return err
	}
	found, what, err := recognize(ctx, r.Records, h, serving)
	if err != nil {
		return err
	}
	return r.update(ctx, st, d, func(d *deploy.Deployment) error {
		moved(d, found)
		d.Log(r.Now(), "alias %s serves %s: somebody else moved it, so it stays", d.Settings.Target.Alias, what)
		return nil
	})
}

// moved notes on the record what somebody else had the target serve. From what is no release, the way leads back to where a rollback
// had been.
func moved(d *deploy.Deployment, found *deploy.Live) {
	if found.Deployment == "" && d.Action == deploy.Rollback {
		found.Fallback = d.RollbackTo
	}
	d.Found = found
}

// wentBack says what a way back came to.
func wentBack(d *deploy.Deployment, to *deploy.Live) string {
	if d.Found != nil {
		return "the target stays at " + liveText(d.Found)
	}
	return backTo(to)
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
