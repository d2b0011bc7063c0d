package pipeline

import (
	"context"
	"fmt"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// wayBack is what a rollback that somebody asked for undoes and restores.
type wayBack struct {
	from *deploy.Deployment // what is live, or what left the environment dirty; its scripts and hooks are run
	to   *deploy.Live       // what shall serve
	rel  *deploy.Release    // to's, nil where Slipway did not build it
}

// String says it in a line.
func (w *wayBack) String() string {
	if w.to.Deployment == "" {
		return fmt.Sprintf("back from %s to what was there before", w.from.ID)
	}
	return fmt.Sprintf("back from %s to the release %s of %s", w.from.ID, deploy.ShortCommit(w.to.CommitSHA), w.to.Deployment)
}

// apply writes the way onto the rollback's record.
func (w *wayBack) apply(d *deploy.Deployment) {
	d.RollbackFrom, d.Config, d.Source = w.from.ID, w.from.Config, w.from.Source
	d.CommitSHA = w.to.CommitSHA
	d.Release, d.Fallback, d.Health = w.rel, w.to.Fallback, w.to.Health
}

// findWayBack resolves a rollback against what its environment is now. Conflict where there is nothing to undo, nothing
// to go back to, or where the environment has moved on since the rollback was asked for.
func findWayBack(ctx context.Context, records Records, h *deploy.Head, d *deploy.Deployment) (*wayBack, error) {
	dirty := d.Repairs
	if dirty == "" && h.Dirty {
		dirty = h.Holder.Deployment
	}
	fromID := dirty
	if fromID == "" && h.Live != nil {
		fromID = h.Live.Deployment
	}
	if fromID == "" {
		return nil, deploy.Errorf(deploy.Conflict, "", "nothing of %s was ever live in %s: there is nothing to roll back", d.App, d.Environment)
	}
	if d.RollbackFrom != "" && d.RollbackFrom != fromID && d.RollbackTo == "" {
		return nil, deploy.Errorf(deploy.Conflict, "", "%s shall be undone, but %s is live by now; say which release to go back to", d.RollbackFrom, fromID)
	}
	from, err := records.Deployment(ctx, fromID)
	if err != nil {
		return nil, err
	}
	w := &wayBack{from: from}
	switch {
	case d.RollbackTo != "":
		err = w.named(ctx, records, d)
	case dirty != "":
		err = w.repair(ctx, records)
	default:
		err = w.fallback(ctx, records)
	}
	return w, err
}

// named restores the release of a deployment that the operator named.
func (w *wayBack) named(ctx context.Context, records Records, d *deploy.Deployment) error {
	to, err := records.Deployment(ctx, d.RollbackTo)
	if err != nil {
		return err
	}
	switch {
	case to.App != d.App || to.Environment != d.Environment:
		return deploy.FieldErrorf("to", "%s is a deployment of %s to %s, not of %s to %s", to.ID, to.App, to.Environment, d.App, d.Environment)
	case to.Release == nil || to.Status != deploy.Success && to.Status != deploy.RolledBack:
		return deploy.FieldErrorf("to", "%s is %s and put nothing live that could be restored", to.ID, to.Status)
	case to.Action == deploy.Deploy && !to.WentLive():
		return deploy.FieldErrorf("to", "%s was rolled back before it was healthy", to.ID)
	}
	w.restore(to)
	return nil
}

// repair restores what was live before the deployment that left the environment dirty.
func (w *wayBack) repair(ctx context.Context, records Records) error {
	before := w.from.Previous
	if before == nil {
		before = &deploy.Live{}
	}
	if before.Deployment == "" {
		w.to = before
		return nil
	}
	to, err := records.Deployment(ctx, before.Deployment)
	if err != nil {
		return err
	}
	w.restore(to)
	return nil
}

// fallback restores what was live before the release that is.
func (w *wayBack) fallback(ctx context.Context, records Records) error {
	if w.from.Fallback == "" {
		return deploy.Errorf(deploy.Conflict, "", "there is no earlier release: %s was the first in its environment, or everything before it was undone", w.from.ID)
	}
	to, err := records.Deployment(ctx, w.from.Fallback)
	if err != nil {
		return err
	}
	w.restore(to)
	return nil
}

func (w *wayBack) restore(to *deploy.Deployment) {
	w.to, w.rel = to.Live(), to.Release
}
