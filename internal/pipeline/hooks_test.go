package pipeline_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// hanging is a function that never answers.
type hanging struct{}

func (hanging) Invoke(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return deploy.Errorf(deploy.DeployFailed, "invoke", "%w", ctx.Err())
}

// TestHangingHook: a function that doesn't answer leaves the handler time for its own work, as a script that hangs does.
func TestHangingHook(t *testing.T) {
	u := newTurns(t)
	d := u.running(1)
	u.admit(d)
	err := u.store.Update(t.Context(), u.record(d), func(d *deploy.Deployment) error {
		d.Config.Hooks.OnFailure = []deploy.Hook{{Function: "pager"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 11*time.Second)
	defer stop()
	s := pipeline.Settle{Workshop: pipeline.Workshop{Desk: u.desk()}, Heads: u.store, Tokens: &u.tokens, Hooks: pipeline.Hooks{Functions: hanging{}}}
	failed, _ := json.Marshal(pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: 1,
		Error: pipeline.Failure{Error: "States.Timeout"}})
	if _, err := s.Run(ctx, pipeline.Call{State: failed}); err != nil {
		t.Fatal(err)
	}
	if got := u.record(d); got.Status != deploy.Failed || !strings.Contains(strings.Join(got.Logs, "\n"), "hook on_failure, function pager: failed, which stops nothing") {
		t.Errorf("%s, %q", got.Status, got.Logs)
	}
}
