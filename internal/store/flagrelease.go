package store

import (
	"context"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
)

// pipelineName is who changes flags on a deployment's behalf.
const pipelineName = "slipway"

// Introduce creates those of a release's flags that aren't there, off, and gives their keys.
func (f *Flags) Introduce(ctx context.Context, app, environment string, keys []string, deployment string, now time.Time) ([]string, error) {
	return f.release(ctx, app, environment, deployment, now, "the release introduces it",
		func(d *board.Draft) ([]string, error) { return d.Introduce(keys) })
}

// SwitchOff switches off those of a release's flags that are on, and gives their keys.
func (f *Flags) SwitchOff(ctx context.Context, app, environment string, keys []string, deployment string, now time.Time) ([]string, error) {
	return f.release(ctx, app, environment, deployment, now, "its release is rolled back",
		func(d *board.Draft) ([]string, error) { return d.SwitchOff(keys) })
}

func (f *Flags) release(ctx context.Context, app, environment, deployment string, now time.Time, why string,
	decide func(*board.Draft) ([]string, error)) (keys []string, err error) {
	o := board.Origin{Time: now.UTC(), By: pipelineName, Why: why, Deployment: deployment}
	_, err = f.Change(ctx, app, environment, o, func(d *board.Draft) (err error) {
		keys, err = decide(d)
		return err
	})
	return keys, err
}
