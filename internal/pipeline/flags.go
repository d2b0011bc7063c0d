package pipeline

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Flags are the feature flags of an environment. Each call is one change, made in a deployment's name, and gives the keys
// of what it changed: flags that are there, or off, already stay as they are.
type Flags interface {
	Introduce(ctx context.Context, app, environment string, keys []string, deployment string, now time.Time) (created []string, err error)
	SwitchOff(ctx context.Context, app, environment string, keys []string, deployment string, now time.Time) (off []string, err error)
}

// introduce creates the flags that the commit names, off, before the code that asks for them serves.
func (s *Deploy) introduce(ctx context.Context, st *State, d *deploy.Deployment) error {
	if len(d.Config.Flags) == 0 {
		return nil
	}
	created, err := s.Flags.Introduce(ctx, d.App, d.Environment, d.Config.Flags, d.ID, s.Now())
	if err != nil {
		return deploy.Errorf(deploy.KindOf(err), "create the release's flags", "%w", err)
	}
	if len(created) == 0 {
		return nil
	}
	return s.note(ctx, st, d, "flags created, off: %s", strings.Join(created, ", "))
}

// switchOff switches off the flags that the release on its way out brought with it, before the code moves. That they
// can't be reached must not keep the code where it is: it is a warning.
func (r *Rollback) switchOff(ctx context.Context, st *State, d *deploy.Deployment, to *deploy.Live) error {
	keys, err := r.brought(ctx, d, to)
	if err != nil {
		return r.note(ctx, st, d, "warning: which flags the release brought can't be read: %v; they stay as they are, and the rollback goes on", err)
	}
	if len(keys) == 0 {
		return nil
	}
	off, err := r.Flags.SwitchOff(ctx, d.App, d.Environment, keys, d.ID, r.Now())
	switch {
	case err != nil:
		return r.note(ctx, st, d, "warning: the flags %s could not be switched off: %v; the rollback goes on", strings.Join(keys, ", "), err)
	case len(off) > 0:
		return r.note(ctx, st, d, "flags switched off: %s", strings.Join(off, ", "))
	}
	return nil
}

// brought lists the flags that a release names and the one to be restored doesn't: those it introduced. A list that
// only grows from commit to commit must not take flags down that were there before.
func (r *Rollback) brought(ctx context.Context, d *deploy.Deployment, to *deploy.Live) ([]string, error) {
	if d.Config == nil || len(d.Config.Flags) == 0 {
		return nil, nil
	}
	before, err := r.configOf(ctx, to.Deployment)
	if err != nil || before == nil {
		return d.Config.Flags, err
	}
	return slices.DeleteFunc(slices.Clone(d.Config.Flags), func(key string) bool { return slices.Contains(before.Flags, key) }), nil
}

// configOf finds the config of the commit that a deployment put live. A rollback's own is that of what it undid.
func (r *Rollback) configOf(ctx context.Context, id string) (*deploy.Config, error) {
	d, err := origin(ctx, r.Records, id)
	if err != nil || d == nil {
		return nil, err
	}
	return d.Config, nil
}
