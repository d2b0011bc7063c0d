package pipeline

import (
	"context"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// HasRule is hasRule, for its own test.
var HasRule = hasRule

// ScriptFailed is what a stage makes of a script's error.
func (w *Workshop) ScriptFailed(ctx context.Context, err error) error {
	return w.bench(&State{}, &deploy.Deployment{ID: "deploy-20260101-000000000-aaaaaaaa"}, "test").failed(ctx, deploy.TestFailed, "test", err)
}
