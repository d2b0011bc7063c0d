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

// heard keeps what hooks send.
type heard struct{ calls, events []string }

func (h *heard) Invoke(_ context.Context, function string, payload []byte) error {
	h.calls = append(h.calls, function+" "+string(payload))
	return nil
}

func (h *heard) Put(_ context.Context, detailType string, detail []byte) error {
	h.events = append(h.events, detailType+" "+string(detail))
	return nil
}

// TestHooksOfARecord: a record from before hook_functions calls no function that its settings don't allow; and whatever an event is
// called, its detail says whose it is.
func TestHooksOfARecord(t *testing.T) {
	u := newTurns(t)
	d := u.running(1)
	u.admit(d)
	err := u.store.Update(t.Context(), u.record(d), func(d *deploy.Deployment) error {
		d.Config.Hooks.OnFailure = []deploy.Hook{{Function: "of-another-app"}, {Function: "pager"}, {Event: "blog failed"}}
		d.Settings = &deploy.Settings{HookFunctions: []string{"pager"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var sent heard
	s := pipeline.Settle{Workshop: pipeline.Workshop{Desk: u.desk()}, Heads: u.store, Tokens: &u.tokens, Hooks: pipeline.Hooks{Functions: &sent, Events: &sent}}
	failed, _ := json.Marshal(pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: 1,
		Error: pipeline.Failure{Error: "States.Timeout"}})
	if _, err := s.Run(t.Context(), pipeline.Call{State: failed, Execution: d.Execution}); err != nil {
		t.Fatal(err)
	}
	own := `"deployment":"` + d.ID + `","app":"` + d.App + `","environment":"` + d.Environment + `"`
	if len(sent.calls) != 1 || !strings.HasPrefix(sent.calls[0], "pager {") || !strings.Contains(sent.calls[0], own) {
		t.Errorf("the functions were called with %q", sent.calls)
	}
	if len(sent.events) != 1 || !strings.HasPrefix(sent.events[0], "blog failed {") || !strings.Contains(sent.events[0], own) {
		t.Errorf("the events are %q", sent.events)
	}
	if log := strings.Join(u.record(d).Logs, "\n"); !strings.Contains(log, `function of-another-app: failed, which stops nothing`) {
		t.Error(log)
	}
}

// TestHangingHook: a function that doesn't answer leaves the handler time for its own work, as a script that hangs does.
func TestHangingHook(t *testing.T) {
	u := newTurns(t)
	d := u.running(1)
	u.admit(d)
	err := u.store.Update(t.Context(), u.record(d), func(d *deploy.Deployment) error {
		d.Config.Hooks.OnFailure, d.Settings = []deploy.Hook{{Function: "pager"}}, &deploy.Settings{HookFunctions: []string{"pager"}}
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
	if _, err := s.Run(ctx, pipeline.Call{State: failed, Execution: d.Execution}); err != nil {
		t.Fatal(err)
	}
	if got := u.record(d); got.Status != deploy.Failed || !strings.Contains(strings.Join(got.Logs, "\n"), "hook on_failure, function pager: failed, which stops nothing") {
		t.Errorf("%s, %q", got.Status, got.Logs)
	}
}
