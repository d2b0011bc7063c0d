package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// RollbackRequest asks to restore a release that served before.
type RollbackRequest struct {
	To string `json:"to,omitempty"` // the deployment whose release to restore; "" for the one before what is live
}

// undoDeployment restores what served before one deployment, which must be what serves now, or what left its
// environment dirty.
func (c *Control) undoDeployment(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	return c.startOnce(r, nil, func(context.Context) (*deploy.Deployment, error) { return c.undone(r) })
}

func (c *Control) undone(r *http.Request) (*deploy.Deployment, error) {
	ctx := r.Context()
	d, err := c.deploymentOf(r)
	if err != nil {
		return nil, err
	}
	settings, err := c.environment(ctx, d.App, d.Environment)
	if err != nil {
		return nil, err
	}
	h, err := c.Store.Head(ctx, d.App, d.Environment)
	if err != nil {
		return nil, err
	}
	if h.Dirty {
		if d, err = c.dirtyHolder(ctx, h, d.ID); err != nil {
			return nil, err
		}
		return c.repairBy(ctx, h, d)
	}
	switch {
	case h.Live != nil && h.Live.Deployment == d.ID:
		return c.fallBack(ctx, h, settings.Target)
	}
	return nil, deploy.Errorf(deploy.Conflict, "", "%s (%s) is not what is live in %s; %s", d.ID, d.Status, d.Environment, serving(h))
}

// rollBackEnvironment restores the release before what is live, or the one that the request names.
func (c *Control) rollBackEnvironment(r *http.Request) (int, any, error) {
	var in RollbackRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	return c.startOnce(r, in, func(ctx context.Context) (*deploy.Deployment, error) {
		return c.rolledBack(ctx, r.PathValue("app"), r.PathValue("environment"), in.To)
	})
}

func (c *Control) rolledBack(ctx context.Context, app, environment, to string) (*deploy.Deployment, error) {
	settings, err := c.environment(ctx, app, environment)
	if err != nil {
		return nil, err
	}
	h, err := c.Store.Head(ctx, app, environment)
	if err != nil {
		return nil, err
	}
	switch {
	case to != "" && h.Dirty:
		// Repairing by another release is a right of its own, which the route of rollbacks does not give.
		if _, err := c.named(ctx, h, to); err != nil {
			return nil, err
		}
		return nil, deploy.RollbackToRefused(environment, h.Holder.Deployment, to)
	case to != "":
		return c.rollBackTo(ctx, h, to, settings.Target)
	case h.Dirty: // the same way back again, as repairAgain
		d, err := c.dirtyHolder(ctx, h, "")
		if err != nil {
			return nil, err
		}
		return c.repairBy(ctx, h, d)
	case h.Live == nil:
		return nil, deploy.Errorf(deploy.Conflict, "", "nothing is live in %s yet", environment)
	}
	return c.fallBack(ctx, h, settings.Target)
}

// serving says what is live, for whoever thought that it was something else.
func serving(h *deploy.Head) string {
	switch {
	case h.Dirty:
		return "it is dirty since " + h.Holder.Deployment
	case h.Live == nil:
		return "nothing is live there yet"
	case h.Live.Deployment == "":
		return "a release is live there that Slipway found"
	}
	return h.Live.Deployment + " is live there"
}

// fallBack restores the release before the one that is live.
func (c *Control) fallBack(ctx context.Context, h *deploy.Head, t deploy.Target) (*deploy.Deployment, error) {
	read := func(id string) (*deploy.Deployment, error) { return c.Store.Deployment(ctx, id) }
	if h.Live.Fallback == "" {
		return nil, deploy.Errorf(deploy.Conflict, "", "%s has no earlier release to go back to; %s", h.Environment, serving(h))
	}
	live := &deploy.Deployment{ID: serving(h), Fallback: h.Live.Fallback}
	if h.Live.Deployment != "" {
		var err error
		if live, err = read(h.Live.Deployment); err != nil {
			return nil, err
		}
	}
	to, err := live.Before(t, read)
	if err != nil {
		return nil, err
	}
	return c.restore(h, h.Live.Deployment, "", to)
}

// dirtyHolder finds the deployment to repair, by any id of a chain of failed repairs, or "".
func (c *Control) dirtyHolder(ctx context.Context, h *deploy.Head, id string) (*deploy.Deployment, error) {
	holder, err := c.launcher().DirtyHolder(ctx, h, id)
	if err != nil {
		return nil, err
	}
	return c.Store.Deployment(ctx, holder)
}

// repairBy restores what the way back that left the environment dirty was to restore. That may be no release of ours, but what
// Slipway found there.
func (c *Control) repairBy(ctx context.Context, h *deploy.Head, dirty *deploy.Deployment) (*deploy.Deployment, error) {
	settings, err := c.environment(ctx, h.App, h.Environment)
	if err != nil {
		return nil, err
	}
	if err := dirty.CheckRepair(settings.Target); err != nil {
		return nil, err
	}
	return c.undo(ctx, h, dirty.ID, dirty.Aim().Deployment)
}

// undo drafts a rollback without a name to go back to: the pipeline finds it again, and refuses when the environment
// has moved on by then. What is known of it now is on the record from the start.
func (c *Control) undo(ctx context.Context, h *deploy.Head, from, before string) (*deploy.Deployment, error) {
	to := &deploy.Deployment{}
	if before != "" {
		var err error
		if to, err = c.Store.Deployment(ctx, before); err != nil {
			return nil, err
		}
	}
	return c.restore(h, from, "", to)
}

// rollBackTo restores the release of a deployment that somebody named.
func (c *Control) rollBackTo(ctx context.Context, h *deploy.Head, id string, t deploy.Target) (*deploy.Deployment, error) {
	to, err := c.named(ctx, h, id)
	if err != nil {
		return nil, err
	}
	if err := to.CheckRestore(t); err != nil {
		return nil, err
	}
	switch {
	case h.Dirty:
		return c.restore(h, h.Holder.Deployment, to.ID, to)
	case h.Live == nil || h.Live.Deployment == "":
		return c.restore(h, "", to.ID, to)
	}
	live, err := c.Store.Deployment(ctx, h.Live.Deployment)
	if err != nil {
		return nil, err
	}
	if err := to.CheckChange(live, t); err != nil {
		return nil, err
	}
	return c.restore(h, live.ID, to.ID, to)
}

// named finds the deployment of an environment that a request names in its field to.
func (c *Control) named(ctx context.Context, h *deploy.Head, id string) (*deploy.Deployment, error) {
	to, err := c.deployment(ctx, id)
	if deploy.KindOf(err) == deploy.NotFound || err == nil && (to.App != h.App || to.Environment != h.Environment) {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "to",
			Err: fmt.Errorf("%s of %s has no deployment %q", h.Environment, h.App, deploy.Cut(id, 80))}
	}
	return to, err
}

// restore drafts a rollback, a deployment of its own. named is set only where somebody said what to go back to.
func (c *Control) restore(h *deploy.Head, from, named string, to *deploy.Deployment) (*deploy.Deployment, error) {
	d := deploy.New("", deploy.Rollback, h.App, h.Environment, c.Now())
	d.RollbackFrom, d.RollbackTo, d.CommitSHA, d.Branch = from, named, to.CommitSHA, to.Branch
	return d, nil
}
