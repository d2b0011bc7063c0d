package pipeline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
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

// turns runs Admit, Settle and Sweep in this process, with tokens of its own, over the real store but aside from what the cloud's own
// Sweep looks after.
type turns struct {
	*app
	tokens tokens
	later  time.Duration
}

func newTurns(t *testing.T) *turns {
	t.Helper()
	u := &turns{app: newApp(t)}
	u.store = world.aside
	return u
}

func (u *turns) desk() pipeline.Desk {
	return pipeline.Desk{Records: u.store, Now: func() time.Time { return time.Now().Add(u.later) }, Log: slog.New(slog.DiscardHandler)}
}

// running records a deployment that has passed Build.
func (u *turns) running(n int) *deploy.Deployment {
	u.t.Helper()
	start := time.Now().Add(time.Duration(n) * time.Second)
	d := deploy.New(deploy.NewID(start, []byte(u.name[len(u.name)-2:]+"-----")), deploy.Deploy, u.name, "production", start)
	config := deploy.DefaultConfig()
	d.Status, d.Config, d.Plan, d.Execution = deploy.Running, &config, deploy.AllAtOnce(), executionOf(d.ID)
	d.Begin("build", start)
	d.Finish("build", deploy.Passed, start)
	if err := u.store.Create(u.t.Context(), d); err != nil {
		u.t.Fatal(err)
	}
	return d
}

// executionOf is the ARN of an execution that is named by its deployment.
func executionOf(id string) string {
	return "arn:aws:states:us-east-1:000000000000:execution:slipway:" + id
}

func state(d *deploy.Deployment, fence int64) json.RawMessage {
	text, _ := json.Marshal(pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: fence})
	return text
}

func (u *turns) admit(d *deploy.Deployment) {
	u.t.Helper()
	a := pipeline.Admit{Desk: u.desk(), Heads: u.store, Tokens: &u.tokens}
	if _, err := a.Run(u.t.Context(), pipeline.Call{State: state(d, 0), Execution: d.Execution, Token: "token of " + d.ID}); err != nil {
		u.t.Fatal(err)
	}
}

func (u *turns) settle(d *deploy.Deployment, fence int64) {
	u.t.Helper()
	s := pipeline.Settle{Workshop: pipeline.Workshop{Desk: u.desk()}, Heads: u.store, Tokens: &u.tokens}
	st := pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: fence}
	if !u.record(d).Healthy { // then the machine comes to SettleFailure
		st.Error = pipeline.Failure{Error: "States.Timeout"}
	}
	text, _ := json.Marshal(st)
	if _, err := s.Run(u.t.Context(), pipeline.Call{State: text, Execution: u.record(d).Execution}); err != nil {
		u.t.Fatal(err)
	}
}

func (u *turns) record(d *deploy.Deployment) *deploy.Deployment {
	u.t.Helper()
	got, err := u.store.Deployment(u.t.Context(), d.ID)
	if err != nil {
		u.t.Fatal(err)
	}
	return got
}

// TestLostHandOver loses the answer to whoever waits; settling again gives it.
func TestLostHandOver(t *testing.T) {
	u := newTurns(t)
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

// steps is Step Functions for Sweep: how executions stand by their names, and which were started.
type steps struct {
	stand   map[string]deploy.Execution
	started []string
	err     error // of the next start
}

func (m *steps) ARN(name string) string {
	return "arn:aws:states:us-east-1:000000000000:execution:slipway:" + name
}

func (m *steps) Running(context.Context) (running []deploy.Execution, _ error) {
	for name, e := range m.stand {
		if e.Alive() {
			running = append(running, deploy.Execution{ARN: m.ARN(name), Status: e.Status})
		}
	}
	return running, nil
}

func (m *steps) Describe(_ context.Context, arn string) (deploy.Execution, error) {
	return m.stand[arn[strings.LastIndex(arn, ":")+1:]], nil
}

func (m *steps) Start(_ context.Context, name string, _ any) error {
	if err := m.err; err != nil {
		m.err = nil
		return err
	}
	m.started = append(m.started, name)
	m.stand[name] = deploy.Execution{Status: "RUNNING"}
	return nil
}

// sweepOne runs Sweep in this process, over some deployments alone.
func (u *turns) sweepOne(m *steps, open ...*deploy.Deployment) error {
	s := pipeline.Sweep{Desk: u.desk(), Heads: u.store, Executions: m, Open: func(context.Context) (ids []string, err error) {
		for _, d := range open {
			ids = append(ids, d.ID)
		}
		return ids, nil
	}}
	return s.Run(u.t.Context(), tick)
}

// TestLeaseRunsOut gives a deployment that hangs in its turn another execution; what the old one does late changes nothing,
// and whoever waits has its turn when what was changed is undone.
func TestLeaseRunsOut(t *testing.T) {
	u := newTurns(t)
	first, second := u.running(1), u.running(2)
	u.admit(first)
	m := &steps{stand: map[string]deploy.Execution{first.ID: {Status: "RUNNING"}, second.ID: {Status: "RUNNING"}}}
	u.later = deploy.Lease - time.Minute
	if err := u.sweepOne(m, first); err != nil || len(m.started) > 0 {
		t.Fatalf("just in time: %v, started %v", err, m.started)
	}
	u.later = deploy.Lease + time.Minute
	u.admit(second)
	if h := u.head("production"); h.Holder.Deployment != first.ID || h.Waiting == nil {
		t.Fatalf("head %+v, want the second to wait", h)
	}
	if err := u.sweepOne(m, first); err != nil {
		t.Fatal(err)
	}
	d := u.record(first)
	if len(m.started) != 1 || m.started[0] != first.ID+"-recovery-1" || d.Fence != 2 || d.Execution != m.ARN(m.started[0]) {
		t.Fatalf("started %v, record %+v", m.started, d)
	}
	late := pipeline.Shift{Workshop: pipeline.Workshop{Desk: u.desk()}}
	if _, err := late.Run(t.Context(), pipeline.Call{State: state(first, 1), Execution: first.Execution}); deploy.KindOf(err) != deploy.Fenced {
		t.Errorf("the first one's Shift, late: %v, want Fenced", err)
	}
	if err := u.sweepOne(m, first); err != nil || len(m.started) != 1 {
		t.Errorf("swept again: %v, started %v", err, m.started)
	}
	u.settle(first, 2)
	if h := u.head("production"); h.Holder == nil || h.Holder.Deployment != second.ID || h.Fence != 3 {
		t.Errorf("head %+v, want the second inside", h)
	}
}

// TestNeverStarted ends a record whose execution nobody started, when it can't be on its way any more.
func TestNeverStarted(t *testing.T) {
	u := newTurns(t)
	d := u.running(0)
	m := &steps{stand: map[string]deploy.Execution{}}
	if err := u.sweepOne(m, d); err != nil || len(m.started) > 0 {
		t.Fatalf("at once: %v, started %v", err, m.started)
	}
	u.later = 3 * time.Minute
	m.err = deploy.Errorf(deploy.Internal, "", "the reply was lost")
	if err := u.sweepOne(m, d); err == nil || u.record(d).Recovery.Cause != "its execution never started" {
		t.Fatalf("%v, record %+v", err, u.record(d).Recovery)
	}
	if err := u.sweepOne(m, d); err != nil || len(m.started) != 1 || u.record(d).Recovery.Number != 1 {
		t.Errorf("%v, started %v, want the first recovery, whose start was lost", err, m.started)
	}
}

// TestRecoveryDies has recoveries die one after the other: each is followed by another, later and later.
func TestRecoveryDies(t *testing.T) {
	u := newTurns(t)
	d := u.running(0)
	m := &steps{stand: map[string]deploy.Execution{d.ID: {Status: "TIMED_OUT"}}}
	var waits []time.Duration
	for last := time.Duration(0); len(m.started) < 9 && u.later < 6*time.Hour; u.later += 30 * time.Second {
		if err := u.sweepOne(m, d); err != nil {
			t.Fatal(err)
		}
		if n := len(m.started); n > len(waits) {
			m.stand[m.started[n-1]] = deploy.Execution{Status: "FAILED", Error: "Unsettled"}
			waits, last = append(waits, u.later-last), u.later
		}
	}
	if len(waits) < 9 {
		t.Fatalf("after %v there were recoveries after %v only", u.later, waits)
	}
	for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
		if got := waits[i]; got < want*time.Minute || got > want*time.Minute+time.Minute {
			t.Errorf("recovery %d came after %v, want %v minutes", i+1, got, int(want))
		}
	}
	if r := u.record(d).Recovery; r.Number != 9 || r.Cause != "its execution ended FAILED: Unsettled" || u.head("production").Fence != 9 {
		t.Errorf("recovery %+v, head %+v", r, u.head("production"))
	}
}

// TestStaleFence calls a handler with the fence of another turn.
func TestStaleFence(t *testing.T) {
	u := newTurns(t)
	d := u.running(1)
	u.admit(d)
	for _, fence := range []int64{0, 2} {
		late := pipeline.Shift{Workshop: pipeline.Workshop{Desk: u.desk()}}
		if _, err := late.Run(t.Context(), pipeline.Call{State: state(d, fence), Execution: d.Execution}); deploy.KindOf(err) != deploy.Fenced {
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
	u := newTurns(t)
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
	err := u.store.Update(u.t.Context(), u.record(d), func(d *deploy.Deployment) error { d.Healthy = true; return nil })
	if err != nil {
		u.t.Fatal(err)
	}
	u.settle(d, 1)
	if got := u.record(d); got.Status != deploy.Success || u.head("production").Live.Deployment != d.ID {
		u.t.Fatalf("%s is %s", d.ID, got.Status)
	}
}
