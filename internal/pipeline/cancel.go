package pipeline

import (
	"context"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Cancel asks a deployment to stop. Whoever works on it sees the mark, undoes what it changed, and ends cancelled.
type Cancel struct {
	Desk
	Heads  Heads
	Tokens Tokens
	Builds Builds
}

// Builds tells builds to stop.
type Builds interface {
	Stop(ctx context.Context, id string) error
}

// Run sets the mark; one that waits for its turn is told at once, and so is a build, begun or not: it looks before its first
// script, and twice a second while one runs. Conflict where there is nothing to stop any more.
func (c *Cancel) Run(ctx context.Context, id string) (*deploy.Deployment, error) {
	d, err := c.Records.Deployment(ctx, id)
	if err != nil {
		return nil, err
	}
	var waited *deploy.Turn
	err = c.Heads.Change(ctx, d.App, d.Environment, func(h *deploy.Head, record func(string) (*deploy.Deployment, error)) (err error) {
		waited = nil
		if d, err = record(id); err != nil {
			return err
		}
		if err := cancellable(d); err != nil {
			return err
		}
		if h.Waiting != nil && h.Waiting.Deployment == id {
			turn := *h.Waiting
			waited = &turn
		}
		if d.CancelTime == nil {
			now := c.Now()
			d.CancelTime = &now
			d.Log(now, "cancel asked for")
		}
		return nil
	}, nil)
	if err == nil && d.Runner == deploy.RunnerCodeBuild && d.Stage("build") == nil {
		err = c.Builds.Stop(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if waited != nil {
		err = c.refuse(ctx, d, *waited)
	}
	return d, err
}

// refuse ends the wait of a deployment for its turn. It stays in the queue until its execution was told: if that fails, the next cancel
// tries again, and its turn finds the mark.
func (c *Cancel) refuse(ctx context.Context, d *deploy.Deployment, turn deploy.Turn) error {
	err := c.Tokens.Refuse(ctx, turn.Token, deploy.Cancelled, "cancelled while it waited for its turn")
	if err != nil && deploy.KindOf(err) != deploy.Conflict {
		return deploy.Errorf(deploy.Internal, "cancel", "%s is marked as cancelled, but its execution was not told, and ends only when its turn comes; cancel it again: %w", d.ID, err)
	}
	return c.Heads.Change(ctx, d.App, d.Environment, func(h *deploy.Head, _ func(string) (*deploy.Deployment, error)) error {
		if h.Waiting != nil && h.Waiting.Deployment == d.ID {
			h.Waiting = nil
		}
		return nil
	}, nil)
}

func cancellable(d *deploy.Deployment) error {
	switch {
	case d.Status.Ended():
		return deploy.Errorf(deploy.Conflict, "", "deployment %s has ended: %s", d.ID, d.Status)
	case d.Stage("rollback") != nil && (d.Action == deploy.Deploy || d.Changed != nil):
		return deploy.Errorf(deploy.Conflict, "", "deployment %s is %s and on its way back; that can't be cancelled", d.ID, d.Status)
	}
	return nil
}
