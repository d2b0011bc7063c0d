package pipeline

import (
	"cmp"
	"context"
	"fmt"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// declare records that the caller has repaired a dirty environment by hand, and what serves there by now. It changes nothing and
// checks nothing, so that it ends the dirt whatever caused it: a target that can't be read is recorded as unknown.
func (r *Rollback) declare(ctx context.Context, st *State, d *deploy.Deployment) (done, error) {
	end := done{outcome: deploy.Passed, said: said("declared repaired; nothing was moved or checked")}
	if d.Changed != nil {
		return end, nil // an earlier attempt has written it down
	}
	if d.Repairs == "" {
		return done{}, deploy.Errorf(deploy.Conflict, "", "%s is not dirty: there is nothing to declare repaired", d.Environment)
	}
	from, err := r.Records.Deployment(ctx, d.Repairs)
	if err != nil {
		return done{}, err
	}

	found, serves, note, err := r.serving(ctx, d, from)
	if err != nil {
		return done{}, err
	}
	return end, r.update(ctx, st, d, func(d *deploy.Deployment) error {
		now := r.Now()
		d.RollbackFrom, d.Previous, d.Found, d.Changed, d.Undone = from.ID, from.Aim(), found, &now, true
		d.RollbackTo, d.CommitSHA, d.Fallback, d.Health = found.Deployment, found.CommitSHA, found.Fallback, found.Health
		if serves != nil {
			d.Branch, d.Release = serves.Branch, serves.Release
		}
		d.Log(now, "%s", note)
		return nil
	})
}

// serving finds out what serves. A Lambda target says it itself; of a script target the caller says it, or it is what the way back
// was to restore. Found has no deployment if no release is known to serve, and is empty if nothing is known.
func (r *Rollback) serving(ctx context.Context, d, from *deploy.Deployment) (found *deploy.Live, serves *deploy.Deployment, note string, err error) {
	t := d.Settings.Target
	if t.Type != deploy.TargetLambda {
		id := cmp.Or(d.RollbackTo, from.Aim().Deployment)
		if id == "" {
			return &deploy.Live{}, nil, "no release is known to serve", nil
		}
		serves, err := r.deployed(ctx, id)
		if err != nil || serves == nil {
			return &deploy.Live{}, nil, "the record of " + id + " is not there: what serves is recorded as unknown", err
		}
		return serves.Live(), serves, fmt.Sprintf("the release of %s is recorded as what serves", id), nil
	}

	serving, unread := r.Targets.Serving(ctx, t)
	if unread != nil {
		return &deploy.Live{}, nil, fmt.Sprintf("warning: what the target serves can't be read, and is recorded as unknown: %v", unread), nil
	}
	h, err := r.Heads.Head(ctx, d.App, d.Environment)
	if err != nil {
		return nil, nil, "", err
	}
	found, what, err := recognize(ctx, r.Records, h, serving)
	if err != nil {
		return nil, nil, "", err
	}
	serves, err = r.deployed(ctx, found.Deployment)
	return found, serves, fmt.Sprintf("alias %s serves %s", t.Alias, what), err
}

// deployed reads a deployment's record; nil for none.
func (r *Rollback) deployed(ctx context.Context, id string) (*deploy.Deployment, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	d, err := r.Records.Deployment(ctx, id)
	if deploy.KindOf(err) == deploy.NotFound {
		return nil, nil //nolint:nilnil // as above
	}
	return d, err
}
