package pipeline_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// TestForgedState: whoever may invoke a stage's function can send it any state. Nothing of it is believed but the ids, and these have to
// be the record's. A stage that went on would crash: it has no target and no scripts.
func TestForgedState(t *testing.T) {
	u := newTurns(t)
	d := u.running(1)
	u.admit(d)
	other := u.record(u.running(2))
	shop := pipeline.Workshop{Desk: u.desk()}
	stages := map[string]pipeline.Stage{
		"Test":        &pipeline.Test{Workshop: shop},
		"Build":       &pipeline.Build{Workshop: shop},
		"Admit":       &pipeline.Admit{Desk: u.desk(), Heads: u.store, Tokens: &u.tokens},
		"Deploy":      &pipeline.Deploy{Workshop: shop, Heads: u.store},
		"Shift":       &pipeline.Shift{Workshop: shop},
		"HealthCheck": &pipeline.HealthCheck{Desk: u.desk()},
		"Rollback":    &pipeline.Rollback{Workshop: shop, Heads: u.store},
		"Settle":      &pipeline.Settle{Workshop: shop, Heads: u.store, Tokens: &u.tokens},
	}
	right := pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: 1}
	before, head := u.record(d), u.head("production")
	for what, forge := range map[string]func(st *pipeline.State, call *pipeline.Call){
		"another execution":   func(_ *pipeline.State, call *pipeline.Call) { call.Execution = other.Execution },
		"no execution":        func(_ *pipeline.State, call *pipeline.Call) { call.Execution = "" },
		"another environment": func(st *pipeline.State, _ *pipeline.Call) { st.Environment = "staging" },
		"another app":         func(st *pipeline.State, _ *pipeline.Call) { st.App = "blog" },
		"another action":      func(st *pipeline.State, _ *pipeline.Call) { st.Action = deploy.Rollback },
		"another deployment":  func(st *pipeline.State, _ *pipeline.Call) { st.Deployment = other.ID },
	} {
		for name, stage := range stages {
			st, call := right, pipeline.Call{Execution: d.Execution, Token: "forged"}
			forge(&st, &call)
			call.State, _ = json.Marshal(st)
			_, err := stage.Run(t.Context(), call)
			if kind := deploy.KindOf(err); name != "Admit" && kind != deploy.Fenced && kind != deploy.Invalid { // Admit answers by the token
				t.Errorf("%s with %s: %v, want Fenced or Invalid", name, what, err)
			}
		}
	}
	for _, record := range []*deploy.Deployment{before, other} {
		if got := u.record(record); !reflect.DeepEqual(got.Stages, record.Stages) || got.Status != record.Status || len(got.Logs) != len(record.Logs) {
			t.Errorf("the record of %s is %+v, was %+v", record.ID, got, record)
		}
	}
	if got := u.head("production"); !reflect.DeepEqual(got, head) {
		t.Errorf("the environment is %+v, was %+v", got, head)
	}
	if got := u.head("staging"); got.Holder != nil {
		t.Errorf("the other environment is held by %+v", got.Holder)
	}
}

// TestStageAhead: no stage does its work before the one that comes first.
func TestStageAhead(t *testing.T) {
	u := newTurns(t)
	d := u.running(1)
	u.admit(d)
	d = u.record(d)
	for name, c := range map[string]struct {
		stage pipeline.Stage
		step  int
	}{
		"a step's traffic before the check of the one before": {&pipeline.Shift{Workshop: pipeline.Workshop{Desk: u.desk()}}, 1},
		"a check before its traffic":                          {&pipeline.HealthCheck{Desk: u.desk()}, 0},
	} {
		text, _ := json.Marshal(pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: 1, Step: c.step})
		_, err := c.stage.Run(t.Context(), pipeline.Call{State: text, Execution: d.Execution})
		if kind := deploy.KindOf(err); kind != deploy.Invalid && kind != deploy.Internal && kind != deploy.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}

	for name, c := range map[string]struct {
		stage pipeline.Stage
		lacks string // the stage that has to come before, ended
	}{
		"Build":  {&pipeline.Build{Workshop: pipeline.Workshop{Desk: u.desk()}}, "test"},
		"Deploy": {&pipeline.Deploy{Workshop: pipeline.Workshop{Desk: u.desk()}, Heads: u.store}, "admit"},
		"Shift":  {&pipeline.Shift{Workshop: pipeline.Workshop{Desk: u.desk()}}, "deploy"},
	} {
		for how, record := range map[string]func(d *deploy.Deployment){
			"without":       func(d *deploy.Deployment) {},
			"while it runs": func(d *deploy.Deployment) { d.Begin(c.lacks, d.StartTime) },
			"failed": func(d *deploy.Deployment) {
				d.Begin(c.lacks, d.StartTime)
				d.Finish(c.lacks, deploy.StageFailed, d.StartTime)
			},
		} {
			err := u.store.Update(t.Context(), u.record(d), func(d *deploy.Deployment) error {
				d.Stages = slices.DeleteFunc(slices.Clone(d.Stages), func(s deploy.Stage) bool { return s.Name == c.lacks })
				record(d)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.stage.Run(t.Context(), pipeline.Call{State: state(d, 1), Execution: d.Execution})
			if deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), c.lacks+" of deployment "+d.ID+" has not ended well") {
				t.Errorf("%s, %s %s: %v", name, c.lacks, how, err)
			}
		}
	}

	untested := u.running(3)
	err := u.store.Update(t.Context(), u.record(untested), func(d *deploy.Deployment) error { d.Stages = nil; return nil })
	if err != nil {
		t.Fatal(err)
	}
	admit := pipeline.Admit{Desk: u.desk(), Heads: u.store, Tokens: &u.tokens}
	if _, err := admit.Run(t.Context(), pipeline.Call{State: state(untested, 0), Execution: untested.Execution, Token: "unbuilt"}); err != nil {
		t.Fatal(err)
	}
	if got := u.tokens.refused["unbuilt"]; got != deploy.Conflict {
		t.Errorf("Admit before Build answers %q, want Conflict", got)
	}

	pending := deploy.New(deploy.NewID(d.StartTime, []byte("zzzzzzz")), deploy.Deploy, u.name, "production", d.StartTime)
	if err := u.store.Create(t.Context(), pending); err != nil {
		t.Fatal(err)
	}
	test := pipeline.Test{Workshop: pipeline.Workshop{Desk: u.desk()}}
	if _, err := test.Run(t.Context(), pipeline.Call{State: state(pending, 0)}); deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("tests before Prepare: %v", err)
	}
}
