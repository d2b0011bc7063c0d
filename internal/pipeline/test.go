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
	return t.once(ctx, call, "test", func(ctx context.Context, st *State, d *deploy.Deployment) (_ done, err error) {
		switch {
		case d.Force:
			return done{outcome: deploy.Skipped, said: said("force_deployment")}, nil
		case d.Config.Scripts.Test == "":
			return done{outcome: deploy.Skipped, said: said("no test script")}, nil
		case d.TestedBy != "":
			return done{outcome: deploy.Skipped, said: said("release tested by %s", d.TestedBy)}, nil
		}
		b := t.bench(st, d, "test")
		defer func() { err = errors.Join(err, b.close()) }()
		return done{outcome: deploy.Passed}, b.run(ctx, deploy.TestFailed, "test", d.Config.Scripts.Test)
	})
}
