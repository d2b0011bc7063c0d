package asl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/asl"
	"github.com/slipway-cd/slipway/internal/deploy"
)

var update = flag.Bool("update", false, "write the drawings anew")

const (
	root       = "../../"
	definition = root + "statemachine.asl.json"
	validator  = root + ".slipway/node/node_modules/.bin/asl-validator"
)

// functions are the folders that the mutation tests pretend there are.
var functions = []string{"prepare", "fetch", "test", "build", "admit", "deploy", "shift", "healthcheck", "rollback", "settle", "api", "ofrep", "commit", "webhook"}

func read(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(definition)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, data []byte) *asl.Machine {
	t.Helper()
	m, err := asl.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The machine has no faults, and its functions are those that there are.
func TestMachine(t *testing.T) {
	entries, err := os.ReadDir(root + "functions")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	m := parse(t, read(t))
	for _, fault := range asl.Check(m, folders) {
		t.Error(fault)
	}
	called := map[string]bool{"api": true, "buildsession": true, "ofrep": true, "webhook": true, "commit": true, "codepipeline": true, "notify": true, "sweep": true} // HTTP, events, a stream and pipelines call these
	for _, name := range m.Names() {
		function := strings.TrimSuffix(strings.TrimPrefix(m.States[name].Parameters.FunctionName, "${"), "FunctionArn}")
		called[strings.ToLower(function)] = true
	}
	for _, folder := range folders {
		if !called[folder] {
			t.Errorf("functions/%s: no state calls it", folder)
		}
	}
}

func TestWalk(t *testing.T) {
	m := parse(t, read(t))
	for name, row := range map[string]struct {
		input map[string]string
		want  string
	}{
		"deploy":            {asl.Plain, "Prepare Route Test Build Admit Deploy Shift HealthCheck Verdict Settle"},
		"build":             {asl.PlainBuild, "Prepare Route CodeBuild Build Admit Deploy Shift HealthCheck Verdict Settle"},
		"rollback":          {map[string]string{"$.action": "rollback", "$.verdict": "done"}, "Prepare Route AdmitRollback Rollback CheckRollback RollbackVerdict Settle"},
		"undone":            {map[string]string{"$.action": "rollback", "$.verdict": "advance", "$.status": "rolled_back"}, "Prepare Route AdmitRollback Rollback CheckRollback RollbackVerdict SettleFailure Outcome Failed"},
		"recovery: undo":    {map[string]string{"$.action": "deploy", "$.way": "rollback"}, "Prepare Route Rollback CheckRollback RollbackVerdict SettleFailure Outcome Failed"},
		"recovery: settle":  {map[string]string{"$.action": "rollback", "$.way": "settle"}, "Prepare Route Settle"},
		"recovery: failure": {map[string]string{"$.action": "rollback", "$.way": "failure"}, "Prepare Route SettleFailure Outcome Failed"},
	} {
		path, err := m.Walk(row.input)
		if got := strings.Join(path, " "); got != row.want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, row.want)
		}
	}
	if _, err := m.Walk(map[string]string{"$.verdict": "hold"}); err == nil {
		t.Error("a walk that always holds came to an end")
	}
}

// Any failure once the target may have changed leads to Rollback, any other one to Settle.
func TestFailuresLeadOut(t *testing.T) {
	m := parse(t, read(t))
	for _, name := range m.Names() {
		s := m.States[name]
		if s.Type != "Task" {
			continue
		}
		want := "SettleFailure"
		switch name {
		case "Deploy", "Shift", "HealthCheck":
			want = "Rollback"
		case "CodeBuild":
			want = "Build" // which says what sort of failure it is
		case "Rollback":
			want = "CheckRollback" // which sees how far a way back came that crashed
		case "SettleFailure":
			want = "Unsettled"
		}
		if got := s.Catch[len(s.Catch)-1].Next; got != want {
			t.Errorf("%s: any error leads to %s, want %s", name, got, want)
		}
	}
}

type object = map[string]any

// state finds a state in a definition, or a list's first entry under it.
func state(m object, name string, path ...string) object {
	s := m["States"].(object)[name].(object)
	for _, key := range path {
		s = s[key].([]any)[0].(object)
	}
	return s
}

// Each rule is broken once, and the check says so.
func TestCheckFinds(t *testing.T) {
	for want, mutate := range map[string]func(m object){
		"the machine has no Comment":            func(m object) { delete(m, "Comment") },
		`StartAt: no state "Begin"`:             func(m object) { m["StartAt"] = "Begin" },
		"Bake: no Comment":                      func(m object) { delete(state(m, "Bake"), "Comment") },
		"Route: a Choice without a Default":     func(m object) { delete(state(m, "Route"), "Default") },
		`Test: leads to "Bild", which is no`:    func(m object) { state(m, "Test")["Next"] = "Bild" },
		"Settled: nothing leads here":           func(m object) { state(m, "Outcome", "Choices")["Next"] = "Failed" },
		"BakeRollback: no end is reached":       func(m object) { state(m, "BakeRollback")["Next"] = "BakeRollback" },
		"Build: a BackoffRate of 0.5, under 1":  func(m object) { state(m, "Build", "Retry")["BackoffRate"] = 0.5 },
		"Build: a Retry without jitter":         func(m object) { delete(state(m, "Build", "Retry"), "JitterStrategy") },
		"Test: a Retry without jitter":          func(m object) { delete(state(m, "Test", "Retry"), "MaxDelaySeconds") },
		"Build: a Retry without attempts":       func(m object) { state(m, "Build", "Retry")["MaxAttempts"] = 0 },
		"Build: a Retry without a pause":        func(m object) { state(m, "Build", "Retry")["IntervalSeconds"] = 0 },
		"Test: retries TestFailed":              func(m object) { retry(m, "Test", "TestFailed") },
		"Test: retries States.ALL":              func(m object) { retry(m, "Test", "States.ALL") },
		"Test: retries States.Timeout":          func(m object) { retry(m, "Test", "States.Timeout") },
		"Test: doesn't retry Lambda.SdkClient":  func(m object) { state(m, "Test", "Retry")["ErrorEquals"] = []any{"Lambda.ServiceException"} },
		"Test: doesn't retry Lambda.TooMany":    func(m object) { delete(state(m, "Test"), "Retry") },
		"Test: nobody catches Invalid, NotFo":   func(m object) { delete(state(m, "Test"), "Catch") },
		"Test: nobody catches States.ALL":       func(m object) { state(m, "Test", "Catch")["ErrorEquals"] = kinds() },
		"Deploy: nobody catches Invalid":        func(m object) { state(m, "Deploy")["Catch"] = state(m, "Deploy")["Catch"].([]any)[:1] },
		`Deploy: catches "Fence", which`:        func(m object) { state(m, "Deploy", "Catch")["ErrorEquals"] = []any{"Fence"} },
		`Deploy: catches "States.Runtime"`:      func(m object) { state(m, "Deploy", "Catch")["ErrorEquals"] = []any{"States.Runtime"} },
		"Deploy: States.ALL is not alone":       func(m object) { slices.Reverse(state(m, "Deploy")["Catch"].([]any)) },
		"Test: States.ALL is not alone":         func(m object) { state(m, "Test", "Catch")["ErrorEquals"] = []any{"States.ALL", "Invalid"} },
		"Test: a Catch without a ResultPath":    func(m object) { delete(state(m, "Test", "Catch"), "ResultPath") },
		"Test: no literal TimeoutSeconds":       func(m object) { delete(state(m, "Test"), "TimeoutSeconds") },
		"Build: no literal TimeoutSeconds":      func(m object) { state(m, "Build")["TimeoutSeconds"] = "890" },
		"Admit: no literal TimeoutSeconds":      func(m object) { state(m, "Admit")["TimeoutSeconds"] = 0 },
		"Test: there is no functions/tests for": func(m object) { call(m, "Test", "${TestsFunctionArn}") },
		`Test: FunctionName "arn:aws:lambda`:    func(m object) { call(m, "Test", "arn:aws:lambda:eu-west-1:1:function:test") },
		`Test: Resource "arn:aws:states:::cod`:  func(m object) { state(m, "Test")["Resource"] = "arn:aws:states:::codebuild:startBuild" },
		"CodeBuild: retries States.TaskFailed":  func(m object) { retry(m, "CodeBuild", "States.TaskFailed") },
		"CodeBuild: retries Lambda.Service":     func(m object) { retry(m, "CodeBuild", "Lambda.ServiceException") },
		"CodeBuild: doesn't retry CodeBuild.Ac": func(m object) { delete(state(m, "CodeBuild"), "Retry") },
		"CodeBuild: nobody catches States.ALL":  func(m object) { delete(state(m, "CodeBuild"), "Catch") },
		"states, want at most 10: Prepare Route CodeBuild": func(m object) {
			m["States"].(object)["Pause"] = object{"Type": "Wait", "Comment": "x", "Seconds": 1, "Next": "Build"}
			state(m, "CodeBuild")["Next"] = "Pause"
		},
		"enters 11 states, want at most 10": func(m object) {
			m["States"].(object)["Pause"] = object{"Type": "Wait", "Comment": "x", "Seconds": 1, "Next": "Build"}
			state(m, "Test")["Next"] = "Pause"
		},
		"a plain deployment: asl: no end":                           func(m object) { state(m, "Verdict", "Choices")["StringEquals"] = "never" },
		"TimeoutSeconds: not in the local cloud: the machine's own": func(m object) { m["TimeoutSeconds"] = 60 },
		"QueryLanguage: not in the local cloud":                     func(m object) { m["QueryLanguage"] = "JSONata" },
		"States.Test.QueryLanguage: not in":                         func(m object) { state(m, "Test")["QueryLanguage"] = "JSONata" },
		"States.Admit.HeartbeatSeconds: not in":                     func(m object) { state(m, "Admit")["HeartbeatSeconds"] = 60 },
		"States.Admit.HeartbeatSecondsPath: not in":                 func(m object) { state(m, "Admit")["HeartbeatSecondsPath"] = "$.x" },
		"States.Test.TimeoutSecondsPath: not in":                    func(m object) { state(m, "Test")["TimeoutSecondsPath"] = "$.x" },
		"States.Test.Assign: not in":                                func(m object) { state(m, "Test")["Assign"] = object{"x.$": "$.y"} },
	} {
		faults := asl.Check(parse(t, broken(t, mutate)), functions)
		if !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, want) }) {
			t.Errorf("want %q, got %q", want, faults)
		}
	}
}

// broken gives the definition with one thing changed.
func broken(t *testing.T, mutate func(m object)) []byte {
	t.Helper()
	var m object
	if err := json.Unmarshal(read(t), &m); err != nil {
		t.Fatal(err)
	}
	mutate(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func retry(m object, name, err string) {
	r := state(m, name, "Retry")
	r["ErrorEquals"] = append(r["ErrorEquals"].([]any), err)
}

func call(m object, name, arn string) { state(m, name)["Parameters"].(object)["FunctionName"] = arn }

func kinds() (names []any) {
	for _, kind := range deploy.Kinds {
		names = append(names, string(kind))
	}
	return names
}

// What is handed to a function is its own business.
func TestCheckLeavesPayloads(t *testing.T) {
	data := broken(t, func(m object) { state(m, "Test")["Parameters"].(object)["Payload"] = object{"Assign": 1} })
	if faults := asl.Check(parse(t, data), functions); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", "{}", `{"States": {}}`, `{"States": []}`, `{"States": {"A": null}}`, `{"States": {"A": 1}}`, `null`} {
		if _, err := asl.Parse([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// validate runs asl-validator over a definition and gives what it prints.
func validate(t *testing.T, data []byte) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "machine.asl.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, validator, "--json-path", path).CombinedOutput()
	return string(out), err
}

// The language's own rules, by asl-validator; it finds a fault when there is one.
func TestValidator(t *testing.T) {
	if _, err := os.Stat(validator); err != nil {
		t.Fatalf("asl-validator is not installed: make tools (%v)", err)
	}
	if out, err := validate(t, read(t)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	wrong := broken(t, func(m object) { state(m, "Bake")["Nxt"] = "HealthCheck"; delete(state(m, "Bake"), "Next") })
	if out, err := validate(t, wrong); err == nil {
		t.Errorf("a state without a Next passed:\n%s", out)
	}
}

// The drawings are those of the machine.
func TestDrawings(t *testing.T) {
	m := parse(t, read(t))
	for _, name := range []string{"docs/pipeline.md", "README.md"} {
		doc, err := os.ReadFile(root + name)
		if err != nil {
			t.Error(err)
			continue
		}
		drawn, err := asl.Render(doc, m)
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case *update:
			if err := os.WriteFile(root+name, drawn, 0o644); err != nil {
				t.Error(err)
			}
		case !bytes.Equal(doc, drawn):
			t.Errorf("%s doesn't show the machine as it is: make diagram", name)
		}
	}
}

func TestMermaid(t *testing.T) {
	m := parse(t, []byte(`{"StartAt": "B", "States": {
		"B": {"Type": "Task", "TimeoutSeconds": 5, "Comment": "b | b", "Next": "A", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]},
		"A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEquals": "y", "Next": "W"}], "Default": "D"},
		"W": {"Type": "Wait", "Seconds": 1, "Next": "B"},
		"C": {"Type": "Fail"},
		"D": {"Type": "Task", "End": true, "Catch": [{"ErrorEquals": ["E", "F"], "Next": "B"}, {"ErrorEquals": ["States.ALL"], "Next": "C"}]}}}`))
	want := `flowchart TD
    start((start)) --> B
    B[B]
    A{A}
    W(W)
    C(((C)))
    D[D]
    B --> A
    A -->|x = y| W
    A -->|else| D
    W --> B
    D --> done(((done)))
    B & D -. any error .-> C
    D -. E, F .-> B
`
	if got := asl.Mermaid(m); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := asl.Table(m); !strings.Contains(got, "| B | Task | 5 s | b \\| b |\n| A | Choice |  |  |\n") {
		t.Error(got)
	}
	if got := m.Names(); !reflect.DeepEqual(got, []string{"B", "A", "W", "C", "D"}) {
		t.Error(got)
	}
}

func TestRender(t *testing.T) {
	m := parse(t, []byte(`{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`))
	doc := "x\n<!-- begin diagram -->\nold\n<!-- end diagram -->\ny\n<!-- begin states -->\n<!-- end states -->\n"
	once, err := asl.Render([]byte(doc), m)
	if err != nil || !bytes.Contains(once, []byte("x\n<!-- begin diagram -->\n```mermaid\nflowchart TD")) || bytes.Contains(once, []byte("old")) ||
		!bytes.Contains(once, []byte("```\n<!-- end diagram -->\ny\n<!-- begin states -->\n| State")) {
		t.Errorf("%v\n%s", err, once)
	}
	if twice, err := asl.Render(once, m); err != nil || !bytes.Equal(once, twice) {
		t.Errorf("the second time differs: %v\n%s", err, twice)
	}
	for _, doc := range []string{"", "# Title", "<!-- begin diagram -->\n"} {
		if _, err := asl.Render([]byte(doc), m); err == nil {
			t.Errorf("%q: no error", doc)
		}
	}
}

// TestExecutionIsSaid: each call of a handler says which execution makes it. The handler compares that with the record.
func TestExecutionIsSaid(t *testing.T) {
	var m struct {
		States map[string]struct {
			Parameters struct {
				FunctionName string
				Payload      map[string]any
			}
		}
	}
	if err := json.Unmarshal(read(t), &m); err != nil {
		t.Fatal(err)
	}
	for name, s := range m.States {
		if s.Parameters.FunctionName != "" && s.Parameters.Payload["execution.$"] != "$$.Execution.Id" {
			t.Errorf("%s calls its handler with %v", name, s.Parameters.Payload)
		}
	}
}
