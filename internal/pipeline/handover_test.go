package pipeline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// tokens notes what waiting executions are told; err is the answer to the next grant.
type tokens struct {
	granted []string
	refused map[string]deploy.Kind
	err     error
}

func (f *tokens) Grant(_ context.Context, token string, output any) error {
	if err := f.err; err != nil {
		f.err = nil
		return err
	}
	text, err := json.Marshal(output)
	f.granted = append(f.granted, token+" "+string(text))
	return err
}

func (f *tokens) Refuse(_ context.Context, token string, kind deploy.Kind, _ string) error {
	if f.refused == nil {
		f.refused = map[string]deploy.Kind{}
	}
	f.refused[token] = kind
	return nil
}

// turns runs Admit and Settle in this process, over the real store and with tokens of its own.
type turns struct {
	*app
	tokens tokens
	later  time.Duration
}

func (u *turns) desk() pipeline.Desk {
	return pipeline.Desk{Records: world.store, Now: func() time.Time { return time.Now().Add(u.later) }, Log: slog.New(slog.DiscardHandler)}
}

// running records a deployment that has passed Build.
func (u *turns) running(n int) *deploy.Deployment {
	u.t.Helper()
	start := time.Now().Add(time.Duration(n) * time.Second)
	d := deploy.New(deploy.NewID(start, []byte(u.name[len(u.name)-2:]+"-----")), deploy.Deploy, u.name, "production", start)
	config := deploy.DefaultConfig()
	d.Status, d.Config, d.Plan = deploy.Running, &config, deploy.AllAtOnce()
	if err := world.store.Create(u.t.Context(), d); err != nil {
		u.t.Fatal(err)
	}
	return d
}

func state(d *deploy.Deployment, fence int64) json.RawMessage {
	text, _ := json.Marshal(pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: fence})
	return text
}

func (u *turns) admit(d *deploy.Deployment) {
	u.t.Helper()
	a := pipeline.Admit{Desk: u.desk(), Heads: world.store, Tokens: &u.tokens}
	if _, err := a.Run(u.t.Context(), pipeline.Call{State: state(d, 0), Token: "token of " + d.ID}); err != nil {
		u.t.Fatal(err)
	}
}

func (u *turns) settle(d *deploy.Deployment, fence int64) {
	u.t.Helper()
	s := pipeline.Settle{Workshop: pipeline.Workshop{Desk: u.desk()}, Heads: world.store, Tokens: &u.tokens}
	if _, err := s.Run(u.t.Context(), pipeline.Call{State: state(d, fence)}); err != nil {
		u.t.Fatal(err)
	}
}

func (u *turns) record(d *deploy.Deployment) *deploy.Deployment {
	u.t.Helper()
	got, err := world.store.Deployment(u.t.Context(), d.ID)
	if err != nil {
		u.t.Fatal(err)
	}
	return got
}

// TestLostHandOver loses the answer to whoever waits; settling again gives it.
func TestLostHandOver(t *testing.T) {
	u := &turns{app: newApp(t)}
	first, second := u.running(1), u.running(2)
	u.admit(first)
	u.admit(second)
	if len(u.tokens.granted) != 1 {
		t.Fatalf("granted %v, want only the first", u.tokens.granted)
	}
	u.tokens.err = deploy.Errorf(deploy.Internal, "", "the connection was reset")
	u.settle(first, 1)
	if h := u.head("production"); h.Holder == nil || h.Holder.Deployment != second.ID || len(u.tokens.granted) != 1 {
		t.Fatalf("head %+v, granted %v; want the second inside, and not told", h, u.tokens.granted)
	}
	u.settle(first, 1)
	if d := u.record(second); len(u.tokens.granted) != 2 || d.Fence != 2 || d.Stage("admit").Outcome != deploy.Passed {
		t.Errorf("granted %v, record %+v; want the second told", u.tokens.granted, d)
	}
}

// TestDeadWaiter hands over to an execution that is no more: the environment must not stay locked.
func TestDeadWaiter(t *testing.T) {
	u := &turns{app: newApp(t)}
	first, second := u.running(1), u.running(2)
	u.admit(first)
	u.admit(second)
	u.tokens.err = deploy.Errorf(deploy.Conflict, "", "nothing waits with it")
	u.settle(first, 1)
	if h := u.head("production"); h.Holder != nil || h.Waiting != nil {
		t.Errorf("head %+v, want it free", h)
	}
}

// TestTakeOver lets a lease run out. What the old execution does late changes nothing.
func TestTakeOver(t *testing.T) {
	u := &turns{app: newApp(t)}
	first, second := u.running(1), u.running(2)
	u.admit(first)
	u.later = deploy.Lease + time.Minute
	u.admit(second)
	d := u.record(first)
	if h := u.head("production"); h.Holder.Deployment != second.ID || h.Fence != 2 || d.Status != deploy.Failed || d.ErrorKind != deploy.Fenced {
		t.Fatalf("head %+v, the first one %s %s", h, d.Status, d.ErrorKind)
	}
	late := pipeline.Shift{Workshop: pipeline.Workshop{Desk: u.desk()}}
	if _, err := late.Run(t.Context(), pipeline.Call{State: state(first, 1)}); deploy.KindOf(err) != deploy.Fenced {
		t.Errorf("the first one's Shift, late: %v, want Fenced", err)
	}
	u.settle(first, 1)
	if h, again := u.head("production"), u.record(first); h.Holder.Deployment != second.ID || again.Version != d.Version {
		t.Errorf("the first one's Settle, late: head %+v, record version %d, was %d", h, again.Version, d.Version)
	}
}

// TestStaleFence calls a handler with the fence of another turn.
func TestStaleFence(t *testing.T) {
	u := &turns{app: newApp(t)}
	d := u.running(1)
	u.admit(d)
	for _, fence := range []int64{0, 2} {
		late := pipeline.Shift{Workshop: pipeline.Workshop{Desk: u.desk()}}
		if _, err := late.Run(t.Context(), pipeline.Call{State: state(d, fence)}); deploy.KindOf(err) != deploy.Fenced {
			t.Errorf("fence %d of turn 1: %v, want Fenced", fence, err)
		}
	}
	if got := u.record(d); got.Stage("shift") != nil {
		t.Errorf("shift is on the record: %+v", got.Stages)
	}
}

// TestAdmitTellsByToken refuses, and the machine hears of it: not every engine ends a state that waits for a token when
// its function fails.
func TestAdmitTellsByToken(t *testing.T) {
	u := &turns{app: newApp(t)}
	first, second := u.running(1), u.running(2)
	u.admit(second)
	u.settleLive(second)
	u.admit(first)
	if kind := u.tokens.refused["token of "+first.ID]; kind != deploy.Superseded || u.record(first).SupersededBy != second.ID {
		t.Errorf("told %q, superseded by %q", kind, u.record(first).SupersededBy)
	}
}

// settleLive ends a deployment that was checked healthy.
func (u *turns) settleLive(d *deploy.Deployment) {
	u.t.Helper()
	err := world.store.Update(u.t.Context(), u.record(d), func(d *deploy.Deployment) error { d.Healthy = true; return nil })
	if err != nil {
		u.t.Fatal(err)
	}
	u.settle(d, 1)
	if got := u.record(d); got.Status != deploy.Success || u.head("production").Live.Deployment != d.ID {
		u.t.Fatalf("%s is %s", d.ID, got.Status)
	}
}
