package pipeline

import (
	"context"
	"fmt"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// wayBack is what a rollback that somebody asked for undoes and restores.
type wayBack struct {
	from *deploy.Deployment // what is live, or what left the environment dirty; nil: what is live is none of Slipway's
	to   *deploy.Live       // what shall serve
	rel  *deploy.Release    // to's, nil where Slipway did not build it
	own  *deploy.Deployment // whose scripts and hooks are run: from, or else what to is of
}

// String says it in a line.
func (w *wayBack) String() string {
	from := "what somebody else put there"
	switch {
	case w.from != nil && w.from.Dirty:
		from = "where " + w.from.ID + " left it"
	case w.from != nil:
		from = fmt.Sprintf("%s of %s", deploy.ShortCommit(w.from.CommitSHA), w.from.ID)
	}
	if w.to.Deployment == "" {
		return fmt.Sprintf("back from %s to what was there before", from)
	}
	return fmt.Sprintf("back from %s to the release %s of %s", from, deploy.ShortCommit(w.to.CommitSHA), w.to.Deployment)
}

// apply writes the way onto the rollback's record.
func (w *wayBack) apply(d *deploy.Deployment) {
	d.RollbackFrom = ""
	if w.from != nil {
		d.RollbackFrom = w.from.ID
	}
	d.Config, d.Source = w.own.Config, w.own.Source
	d.CommitSHA = w.to.CommitSHA
	d.Release, d.Fallback, d.Health = w.rel, w.to.Fallback, w.to.Health
}

// publishedAs has the release serve as another version than its deployment published.
func (w *wayBack) publishedAs(v deploy.FunctionVersion) {
	to, rel := *w.to, *w.rel
	to.FunctionVersion, rel.FunctionVersion = v, v
	w.to, w.rel = &to, &rel
}

// findWayBack resolves a rollback against what its environment is now. Conflict where there is nothing to undo, nothing to go back
// to, nothing that would change, or where the environment has moved on since the rollback was asked for; in a dirty environment also where
// a release is named and the caller asked for no repair, which is a right of its own.
func findWayBack(ctx context.Context, records Records, h *deploy.Head, d *deploy.Deployment) (*wayBack, error) {
	dirty := d.Repairs
	if dirty == "" && h.Dirty {
		dirty = h.Holder.Deployment
	}
	if dirty != "" && d.RollbackTo != "" && d.Repairing == nil {
		return nil, deploy.RollbackToRefused(d.Environment, dirty, d.RollbackTo)
	}
	fromID := dirty
	if fromID == "" && h.Live != nil {
		fromID = h.Live.Deployment
	}
	switch {
	case fromID == "" && h.Live == nil:
		return nil, deploy.Errorf(deploy.Conflict, "", "nothing of %s was ever live in %s: there is nothing to roll back", d.App, d.Environment)
	case d.RollbackFrom != "" && d.RollbackFrom != fromID && d.RollbackTo == "":
		return nil, deploy.Errorf(deploy.Conflict, "", "%s shall be undone, but %s is live by now; say which release to go back to", d.RollbackFrom, liveName(h, fromID))
	}

	w := &wayBack{}
	if fromID != "" {
		from, err := records.Deployment(ctx, fromID)
		if err != nil {
			return nil, err
		}
		w.from, w.own = from, from
		if err := w.undoes(ctx, records, dirty != ""); err != nil {
			return nil, err
		}
	}
	switch {
	case d.RollbackTo != "":
		live := w.from
		if dirty != "" {
			live = nil
		}
		return w, w.named(ctx, records, live, d)
	case dirty != "":
		return w, w.repair(ctx, records, d)
	}
	return w, w.fallback(ctx, records, h, d)
}

func liveName(h *deploy.Head, id string) string {
	if id == "" {
		return liveText(h.Live)
	}
	return id
}

// named restores the release of a deployment that the operator named, unless it is what is live.
func (w *wayBack) named(ctx context.Context, records Records, live, d *deploy.Deployment) error {
	to, err := records.Deployment(ctx, d.RollbackTo)
	if err != nil {
		return err
	}
	if to.App != d.App || to.Environment != d.Environment {
		return deploy.FieldErrorf("to", "%s is a deployment of %s to %s, not of %s to %s", to.ID, to.App, to.Environment, d.App, d.Environment)
	}
	if err := to.CheckRestore(d.Settings.Target); err != nil {
		return err
	}
	if err := to.CheckChange(live, d.Settings.Target); err != nil {
		return err
	}
	w.restore(to)
	return nil
}

// undoes finds whose scripts and hooks undo what from did. A rollback's own record holds those of the commit that it undid: they
// are right to run the same way back again, and wrong to undo what it put live.
func (w *wayBack) undoes(ctx context.Context, records Records, dirty bool) error {
	if dirty || w.from.Action == deploy.Deploy {
		return nil
	}
	made, err := origin(ctx, records, w.from.RollbackTo)
	switch {
	case deploy.KindOf(err) == deploy.NotFound:
		return nil
	case err != nil:
		return err
	case made != nil:
		w.own = made
	}
	return nil
}

// repair restores what the way back that failed was to restore.
func (w *wayBack) repair(ctx context.Context, records Records, d *deploy.Deployment) error {
	if err := w.from.CheckRepair(d.Settings.Target); err != nil {
		return err
	}
	aim := w.from.Aim()
	w.to = aim
	if aim.Deployment == "" {
		return nil
	}
	to, err := records.Deployment(ctx, aim.Deployment)
	if err != nil {
		return err
	}
	w.restore(to)
	return nil
}

// fallback restores the release before the one that is live. From what is no release, it is the last one that Slipway put live.
func (w *wayBack) fallback(ctx context.Context, records Records, h *deploy.Head, d *deploy.Deployment) error {
	read := func(id string) (*deploy.Deployment, error) { return records.Deployment(ctx, id) }
	from := w.from
	if from == nil {
		from = &deploy.Deployment{Fallback: h.Live.Fallback, Previous: h.Live}
	}
	to, err := from.Before(d.Settings.Target, read)
	if err != nil {
		return err
	}
	w.restore(to)
	return nil
}

func (w *wayBack) restore(to *deploy.Deployment) {
	w.to, w.rel = to.Live(), to.Release
	if w.own == nil {
		w.own = to
	}
}
