package pipeline

import (
	"context"
	"encoding/json"
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

	end, err := r.rollback(ctx, st, d)
	return st, r.finish(ctx, st, d, ended{name: "rollback", attempt: attempt, done: end, err: err})
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

func (r *Rollback) rollback(ctx context.Context, st *State, d *deploy.Deployment) (done, error) {
	if d.Declared() {
		return r.declare(ctx, st, d)
	}
	b := r.bench(st, d, "rollback")
	defer func() {
		if err := b.close(); err != nil { // the target is right or wrong whatever is left of the workspace
			r.Log.Warn("the workspace of a way back is not removed", "deployment", d.ID, "error", err)
		}
	}()

	if d.Action == deploy.Rollback {
		to, err := r.ask(ctx, st, d)
		if err != nil {
			return done{}, err
		}
		return r.back(ctx, st, b, to)
	}

	end := done{outcome: deploy.Skipped}
	var err error
	switch {
	case d.Changed == nil:
		end.said = said("nothing was changed")
	case !d.Config.RollbackEnabled:
		end.said = said("rollback_enabled is false: what the deployment changed stays")
	default:
		end, err = r.back(ctx, st, b, d.Previous)
	}
	if deploy.KindOf(err) == deploy.Fenced {
		return done{}, err
	}
	if err := r.Hooks.run(ctx, b, "on_failure"); err != nil { // where back did not come so far
		return done{}, err
	}
	return end, err
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
	live, note, err := r.before(ctx, h, d, way.from)
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

// before returns what was live before the rollback's first change. In a dirty environment that is what it was before it
// became dirty: what the target says now may be anything.
func (r *Rollback) before(ctx context.Context, h *deploy.Head, d, from *deploy.Deployment) (*deploy.Live, string, error) {
	if d.Repairs != "" {
		return from.Aim(), "", nil
	}
	return liveNow(ctx, r.Records, h, r.Targets, d)
}

// back switches the release's flags off and moves the target; only then scripts and hooks run, so that none of them can
// keep the bad release serving. An earlier attempt that crashed may have moved it already.
func (r *Rollback) back(ctx context.Context, st *State, b *bench, to *deploy.Live) (done, error) {
	d := b.d
	b.vars = map[string]string{"SLIPWAY_ROLLBACK_TO_COMMIT": to.CommitSHA}

	if !d.Undone {
		if err := r.switchOff(ctx, st, d, to); err != nil {
			return done{}, err
		}
		moved, err := r.restore(ctx, st, b, to)
		switch {
		case deploy.KindOf(err) == deploy.Fenced:
			return done{}, err
		case err != nil:
			return done{}, deploy.Errorf(deploy.RollbackFailed, "rollback", "%w", err)
		case !moved && d.Action == deploy.Deploy:
			return done{outcome: deploy.Skipped, said: said("there is no earlier healthy release and no rollback script: what the deployment changed stays")}, nil
		}
		err = r.update(ctx, st, d, func(d *deploy.Deployment) error {
			d.Undone, d.OwesScript = true, owesScript(d)
			return nil
		})
		if err != nil {
			return done{}, err
		}
	}
	return r.after(ctx, st, b, to)
}

// restore makes the target serve the release to, and reports whether there was any way to do it.
func (r *Rollback) restore(ctx context.Context, st *State, b *bench, to *deploy.Live) (moved bool, err error) {
	if b.d.Settings.Target.Type == deploy.TargetLambda {
		return true, r.move(ctx, st, b.d, to)
	}
	return r.runBack(ctx, st, b, to)
}

// after runs the scripts and hooks of a way back whose target serves the release before. A hook that fails is a warning. The
// commit's rollback script may change more than the target, a database for one: if it fails, the environment is dirty while
// the release before serves.
func (r *Rollback) after(ctx context.Context, st *State, b *bench, to *deploy.Live) (done, error) {
	d := b.d
	if d.Action == deploy.Deploy {
		if err := r.Hooks.run(ctx, b, "on_failure"); err != nil {
			return done{}, err
		}
	}
	if err := r.Hooks.run(ctx, b, "pre_rollback"); err != nil {
		return done{}, err
	}

	if d.OwesScript {
		err := r.runOwn(ctx, b, to)
		if deploy.KindOf(err) == deploy.Fenced {
			return done{}, err
		}
		if err != nil {
			return done{
				outcome: deploy.StageFailed, said: said("%s, but %v", wentBack(d, to), err),
				change: func(d *deploy.Deployment) { d.Fail(deploy.RollbackFailed, err.Error()) },
			}, nil
		}
		err = r.update(ctx, st, d, func(d *deploy.Deployment) error { d.OwesScript = false; return nil })
		if err != nil {
			return done{}, err
		}
	}

	if err := r.Hooks.run(ctx, b, "post_rollback"); err != nil {
		return done{}, err
	}
	return done{outcome: deploy.Passed, said: said("%s", wentBack(d, to))}, nil
}

// owesScript reports whether a rollback script is still to run once the target serves the release before: a script target's
// has run by then, since nothing else moves it.
func owesScript(d *deploy.Deployment) bool {
	return d.Settings.Target.Type != deploy.TargetScript && ownScript(d) != ""
}

// ownScript is the rollback script of the commit that is undone, unless the caller skips scripts.
func ownScript(d *deploy.Deployment) string {
	if d.Config == nil || d.SkipsScripts() {
		return ""
	}
	return d.Config.Scripts.Rollback
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
	return fmt.Sprintf("%v: the release was published again as %s", err, version.Name()), nil
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
		return "there is no earlier release; back to " + liveText(to)
	}
	return "there is no earlier release"
}
