package pipeline

import (
	"context"
	"errors"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Test runs the commit's tests.
type Test struct{ Workshop }

// Run runs scripts.test; force skips it.
func (t *Test) Run(ctx context.Context, call Call) (*State, error) {
	return t.once(ctx, call, "test", func(ctx context.Context, st *State, d *deploy.Deployment) (_ string, _ deploy.Outcome, err error) {
		switch {
		case d.Force:
			return said("force_deployment"), deploy.Skipped, nil
		case d.Config.Scripts.Test == "":
			return said("no test script"), deploy.Skipped, nil
		}
		b := t.bench(st, d, "test")
		defer func() { err = errors.Join(err, b.close()) }()
		return "", deploy.Passed, b.run(ctx, deploy.TestFailed, "test", d.Config.Scripts.Test)
	})
}
