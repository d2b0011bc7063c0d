package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// trouble is what can be wrong around the machine, for as long as it is set.
type trouble string

const (
	rollbackScript trouble = "rollback script fails"
	deployScript   trouble = "deploy scripts fail"
	hookScript     trouble = "hooks fail"
	unreadable     trouble = "alias can't be read"
	immovable      trouble = "alias can't be moved"
	unpublishable  trouble = "versions can't be published"
	sick           trouble = "health checks fail"
	bundlesGone    trouble = "bundles are gone"
	artifactsGone  trouble = "artifacts are gone"
	secretsGone    trouble = "secrets are gone"
	versionsGone   trouble = "versions are gone" // all but what serves
)

var troubles = []trouble{rollbackScript, deployScript, hookScript, unreadable, immovable, unpublishable, sick, bundlesGone, artifactsGone, secretsGone, versionsGone}

// mill runs executions of the real state machine's definition with the real handlers, over a table and a Lambda in memory and real
// scripts. Executions can crash, be stopped and be recovered.
type mill struct {
	*line
	definition map[string]*asState
	app        *deploy.App // of which the environment may be missing
	dir        string      // scripts look here for their troubles
	wrong      map[trouble]bool
	configs    map[string]*deploy.Config // by commit
	commit     string                    // that is prepared

	crash, stop int    // counts down calls and states; 0: not at all
	dies        string // a function that dies each time at its call of the number after
	after       int
	answers     map[string]answered
	ended       map[string]string // executions' statuses by ARN
	recoveries  []recoveryStart
}

type asState struct {
	Type, Next, Resource, Default, OutputPath string
	End                                       bool
	Parameters                                struct {
		FunctionName string
		Payload      map[string]any
	}
	Catch []struct {
		ErrorEquals      []string
		ResultPath, Next string
	}
	Choices []struct{ Variable, StringEquals, Next string }
}

type answered struct {
	output any
	kind   deploy.Kind
	cause  string
}

type recoveryStart struct {
	name  string
	input any
}

// crashed is what a handler's panic is known by.
var errCrashed = errors.New("the function crashed")

func newMill(t *testing.T, target string) *mill {
	t.Helper()
	text, err := os.ReadFile("../../statemachine.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	var machine struct{ States map[string]*asState }
	if err := json.Unmarshal(text, &machine); err != nil {
		t.Fatal(err)
	}
	m := &mill{line: newLine(t), definition: machine.States, dir: t.TempDir(), wrong: map[trouble]bool{}, configs: map[string]*deploy.Config{},
		answers: map[string]answered{}, ended: map[string]string{}}
	if target == deploy.TargetScript {
		m.target = deploy.Target{Type: deploy.TargetScript}
	}
	m.apply()
	return m
}

// apply puts the environment into the app, with the target as it is now.
func (m *mill) apply() {
	m.app = &deploy.App{Name: "shop", Environments: map[string]deploy.Settings{"production": {
		HookFunctions: []string{"f"},
		Target:        m.target, URL: "http://127.0.0.1:1", Runner: deploy.RunnerFunction, Variables: map[string]string{"TROUBLES": m.dir}}}}
}

// set turns troubles on, or all others off with them.
func (m *mill) set(on ...trouble) {
	m.wrong = map[trouble]bool{}
	for _, each := range troubles {
		file := filepath.Join(m.dir, strings.ReplaceAll(string(each), " ", "-"))
		if m.wrong[each] = slices.Contains(on, each); m.wrong[each] {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				m.t.Fatal(err)
			}
		} else {
			_ = os.Remove(file)
		}
	}
	m.note("troubles: %v", on)
}

// failsWith is a script that fails while there is that trouble.
func failsWith(what trouble) string {
	return `test ! -e "$TROUBLES/` + strings.ReplaceAll(string(what), " ", "-") + `"`
}

// config is the slipway.yaml of commit a, b, c …: some have a rollback script, some hooks, some both or neither.
func (m *mill) config(letter byte) *deploy.Config {
	c := deploy.DefaultConfig()
	c.Scripts = deploy.Scripts{}
	c.Artifacts = []string{"app.zip"}
	c.HealthCheckTimeout = 2
	if m.target.Type == deploy.TargetScript {
		c.Scripts.Deploy = failsWith(deployScript)
	}
	if letter%2 == 0 {
		c.Scripts.Rollback = failsWith(rollbackScript)
	}
	if letter%3 == 0 {
		hook := deploy.Hook{Script: failsWith(hookScript)}
		c.Hooks = deploy.Hooks{OnFailure: []deploy.Hook{hook}, PreRollback: []deploy.Hook{{Function: "f"}}, PostRollback: []deploy.Hook{hook}}
	}
	return &c
}

// touch is one call of a service: it may be the one that the function doesn't survive.
func (m *mill) touch() {
	if m.crash--; m.crash == 0 {
		panic(errCrashed)
	}
}

func (m *mill) fails(what trouble) error {
	m.touch()
	if m.wrong[what] {
		return fmt.Errorf("AccessDenied: %s", what)
	}
	return nil
}

// Deployment implements pipeline.Records, as Update and the rest of the table, for functions that may crash at any call.
func (m *mill) Deployment(ctx context.Context, id string) (*deploy.Deployment, error) {
	return m.store.Deployment(ctx, id)
}

func (m *mill) Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	m.touch()
	err := m.store.Update(ctx, d, change)
	m.touch()
	return err
}

func (m *mill) Head(ctx context.Context, app, environment string) (*deploy.Head, error) {
	return m.store.Head(ctx, app, environment)
}

func (m *mill) Place(ctx context.Context, app, environment, id string) (*deploy.Place, error) {
	return m.store.Place(ctx, app, environment, id)
}

func (m *mill) Change(ctx context.Context, app, environment string,
	decide func(*deploy.Head, func(string) (*deploy.Deployment, error)) error, at *deploy.Place) error {
	m.touch()
	err := m.store.Change(ctx, app, environment, decide, at)
	m.touch()
	return err
}

// Serving and the rest implement pipeline.Targets.
func (m *mill) Serving(ctx context.Context, t deploy.Target) (deploy.Serving, error) {
	if err := m.fails(unreadable); err != nil {
		return deploy.Serving{}, deploy.Errorf(deploy.DeployFailed, "read the alias", "%w", err)
	}
	return m.lambda.Serving(ctx, t)
}

func (m *mill) Find(ctx context.Context, t deploy.Target, v deploy.FunctionVersion) (deploy.FunctionVersion, error) {
	m.touch()
	serves := m.lambda.functions[t.Function].alias
	if m.wrong[versionsGone] && !serves.Is(v) {
		return v, deploy.Errorf(deploy.NotFound, "", "%s is gone", v)
	}
	return m.lambda.Find(ctx, t, v)
}

func (m *mill) Publish(ctx context.Context, t deploy.Target, a deploy.Artifact, description string) (deploy.FunctionVersion, error) {
	if err := errors.Join(m.fails(unpublishable), m.fails(artifactsGone)); err != nil {
		return deploy.FunctionVersion{}, deploy.Errorf(deploy.DeployFailed, "publish", "%w", err)
	}
	f := m.lambda.functions[t.Function]
	v := f.publish(t.Function, a.CodeSHA256(), description)
	m.lambda.own = v
	return v, nil
}

func (m *mill) SetWeight(ctx context.Context, t deploy.Target, from, to deploy.FunctionVersion, percent int, still func(context.Context, deploy.Serving) error) error {
	if err := m.fails(immovable); err != nil {
		return deploy.Errorf(deploy.DeployFailed, "move the alias", "%w", err)
	}
	newest := m.lambda.functions[t.Function].versions
	if m.wrong[versionsGone] && !newest[len(newest)-1].Is(to) {
		if _, err := m.Find(ctx, t, to); err != nil {
			return err
		}
	}
	err := m.lambda.SetWeight(ctx, t, from, to, percent, still)
	m.touch()
	return err
}

// Stat and Fetch implement pipeline.Sources: a bundle says nothing, since configs are known by their commits.
func (m *mill) Stat(context.Context, string, string) (*deploy.Bundle, error) {
	return &deploy.Bundle{Key: "sources"}, m.fails(bundlesGone)
}

func (m *mill) Fetch(context.Context, *deploy.Bundle, *os.File) (string, error) { // may run beside the handler, so it never crashes
	if m.wrong[bundlesGone] {
		return "", deploy.Errorf(deploy.NotFound, "fetch", "there is no such object")
	}
	return "", nil
}

// artifacts implements pipeline.Artifacts.
type artifacts struct {
	pipeline.Artifacts
	*mill
}

func (a artifacts) FetchArtifact(_ context.Context, _ deploy.Artifact, file string) error {
	return errors.Join(a.fails(artifactsGone), os.WriteFile(file, nil, 0o600))
}

func (a artifacts) CheckArtifact(context.Context, deploy.Artifact) error { return nil } // which is of before the troubles

// Resolve implements pipeline.Secrets.
func (m *mill) Resolve(_ context.Context, _ string, vars map[string]string) (map[string]string, []string, error) {
	return maps.Clone(vars), nil, m.fails(secretsGone)
}

// Invoke and Put implement hooks' functions and events.
func (m *mill) Invoke(context.Context, string, []byte) error { return m.fails(hookScript) }
func (m *mill) Put(context.Context, string, []byte) error    { return m.fails(hookScript) }

// Release implements pipeline.Releases: each commit has been built before.
func (m *mill) Release(_ context.Context, _, commit string) (*deploy.Release, error) {
	return release(commit), nil
}

func (m *mill) PutRelease(_ context.Context, r *deploy.Release, _ bool) (*deploy.Release, error) {
	return r, nil
}

// Grant and Refuse implement pipeline.Tokens.
func (m *mill) Grant(_ context.Context, token string, output any) error {
	m.answers[token] = answered{output: output}
	return nil
}

func (m *mill) Refuse(_ context.Context, token string, kind deploy.Kind, cause string) error {
	m.answers[token] = answered{kind: kind, cause: cause}
	return nil
}

// silence is where scripts' output goes.
type silence struct{ io.Writer }

func (silence) Close() error { return nil }

func (m *mill) shop() pipeline.Workshop {
	desk := m.desk()
	desk.Records = m
	return pipeline.Workshop{Desk: desk, Sources: m, Artifacts: artifacts{mill: m}, Secrets: m, Path: os.Getenv("PATH"), Patience: 300 * time.Millisecond,
		Unpack: func(io.Reader, string) error { return nil },
		Output: func(context.Context, string) io.WriteCloser { return silence{io.Discard} }}
}

// stage makes a function's handler.
func (m *mill) stage(name string) pipeline.Stage {
	shop, hooks := m.shop(), pipeline.Hooks{Functions: m, Events: m}
	switch name {
	case "Prepare":
		return &pipeline.Prepare{Desk: shop.Desk, Create: func(_ context.Context, d *deploy.Deployment) error { m.store.put(d); return nil },
			App: func(context.Context, string) (*deploy.App, error) { return copyOf(m.app), nil }, Heads: m, Sources: m, Runner: deploy.RunnerFunction,
			Scan:  func(io.Reader, string) ([]byte, bool, []string, error) { return nil, true, nil, nil },
			Parse: func([]byte, string) (*deploy.Config, error) { return copyOf(m.configs[m.commit]), nil }}
	case "Test":
		return &pipeline.Test{Workshop: shop}
	case "Build":
		return &pipeline.Build{Workshop: shop, Releases: m}
	case "Admit":
		return &pipeline.Admit{Desk: shop.Desk, Heads: m, Tokens: m}
	case "Deploy":
		return &pipeline.Deploy{Workshop: shop, Hooks: hooks, Heads: m, Targets: m}
	case "Shift":
		return &pipeline.Shift{Workshop: shop, Hooks: hooks, Targets: m}
	case "HealthCheck":
		return &pipeline.HealthCheck{Desk: shop.Desk, Probe: func(context.Context, string, deploy.Health) deploy.Check {
			return deploy.Check{Time: m.clock, Status: map[bool]int{true: 200, false: 503}[!m.wrong[sick]], Healthy: !m.wrong[sick]}
		}, Sleep: func(context.Context, time.Duration) { m.clock = m.clock.Add(2 * time.Second) }}
	case "Rollback":
		return &pipeline.Rollback{Workshop: shop, Hooks: hooks, Heads: m, Targets: m}
	case "Settle":
		return &pipeline.Settle{Workshop: shop, Hooks: hooks, Heads: m, Tokens: m, Targets: m}
	}
	m.t.Fatalf("there is no function %s", name)
	return nil
}

// call runs a function for a state, and survives its crash. A state that waits for a task token gets the token's answer.
func (m *mill) call(s *asState, arn string, data json.RawMessage) (out json.RawMessage, failure *pipeline.Failure) {
	defer func() {
		v := recover()
		if err, ok := v.(error); ok && errors.Is(err, errCrashed) {
			m.note("  crash in %s", s.Parameters.FunctionName)
			out, failure = nil, &pipeline.Failure{Error: "Lambda.Unknown", Cause: "the function crashed"}
		} else if v != nil {
			panic(v)
		}
	}()
	in := pipeline.Call{State: data}
	if _, ok := s.Parameters.Payload["execution.$"]; ok {
		in.Execution = arn
	}
	in.StartTime = m.clock
	in.Back, _ = s.Parameters.Payload["back"].(bool)
	if _, ok := s.Parameters.Payload["token.$"]; ok {
		m.serial++
		in.Token = fmt.Sprint("token-", m.serial, "-", len(m.answers))
	}

	name := strings.TrimSuffix(strings.TrimPrefix(s.Parameters.FunctionName, "${"), "FunctionArn}")
	if name == m.dies {
		m.crash = m.after
	}
	st, err := m.stage(name).Run(m.t.Context(), in)
	if err != nil {
		m.note("  %s: %v", name, err)
		return nil, &pipeline.Failure{Error: string(deploy.KindOf(err)), Cause: err.Error()}
	}
	if in.Token == "" {
		return encoded(st), nil
	}
	answer, ok := m.answers[in.Token]
	switch {
	case !ok:
		return nil, &pipeline.Failure{Error: "States.Timeout"} // nobody else runs here, so it would wait for ever
	case answer.kind != "":
		m.note("  refused: %s", answer.cause)
		return nil, &pipeline.Failure{Error: string(answer.kind), Cause: answer.cause}
	}
	return encoded(answer.output), nil
}

// execute runs the machine to its end, as Step Functions does.
func (m *mill) execute(name string, input any) {
	m.t.Helper()
	arn := "arn:aws:states:us-east-1:000000000000:execution:slipway:" + name
	if m.ended[arn] != "" {
		return
	}
	m.ended[arn] = "ABORTED"
	data, at := json.RawMessage(encoded(input)), "Prepare"
	for steps := 0; ; steps++ {
		if steps > 500 {
			m.t.Fatalf("%s goes round in circles\n%s", name, m.script.String())
		}
		if m.stop--; m.stop == 0 {
			m.note("  stopped ahead of %s", at)
			return
		}
		m.clock = m.clock.Add(time.Second)
		s := m.definition[at]
		switch s.Type {
		case "Succeed", "Fail":
			m.ended[arn] = map[string]string{"Succeed": "SUCCEEDED", "Fail": "FAILED"}[s.Type]
			return
		case "Wait":
			at = s.Next
		case "Choice":
			at = s.choose(data)
		default:
			out, failure := m.call(s, arn, data)
			if failure == nil && s.End {
				m.ended[arn] = "SUCCEEDED"
				return
			}
			if failure == nil {
				data, at = out, s.Next
				continue
			}
			data, at = s.caught(m.t, data, failure)
		}
	}
}

func (s *asState) choose(data json.RawMessage) string {
	var fields map[string]any
	_ = json.Unmarshal(data, &fields)
	for _, c := range s.Choices {
		if fields[strings.TrimPrefix(c.Variable, "$.")] == c.StringEquals {
			return c.Next
		}
	}
	return s.Default
}

func (s *asState) caught(t *testing.T, data json.RawMessage, f *pipeline.Failure) (json.RawMessage, string) {
	t.Helper()
	for _, c := range s.Catch {
		if !slices.Contains(c.ErrorEquals, f.Error) && !slices.Contains(c.ErrorEquals, "States.ALL") {
			continue
		}
		if c.ResultPath == "$" {
			return encoded(f), c.Next
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		fields["error"] = f
		return encoded(fields), c.Next
	}
	t.Fatalf("nobody catches %s", f.Error)
	return nil, ""
}

// start runs an execution as an operator starts it, and the recoveries that it needs, and returns its record; nil if there is none.
func (m *mill) start(input map[string]any) *deploy.Deployment {
	m.t.Helper()
	input["app"], input["environment"] = "shop", "production"
	m.clock = m.clock.Add(time.Second)
	m.serial++
	m.lambda.begins()
	id := deploy.NewID(m.clock, []byte{0, 0, 0, 0, m.serial})
	m.note("%s: %s", id, encoded(input))
	m.execute(id, input)

	m.crash, m.stop = 0, 0
	for range 20 {
		d, err := m.store.Deployment(m.t.Context(), id)
		if deploy.KindOf(err) == deploy.NotFound {
			return nil
		}
		if d.Status.Ended() {
			m.note("  %s %s, dirty %v: %s", d.Action, d.Status, d.Dirty, d.Error)
			return d
		}
		m.recover(d)
	}
	m.t.Fatalf("%s has no end\n%s", id, m.script.String())
	return nil
}

// recover is what the function sweep does for an execution that died.
func (m *mill) recover(d *deploy.Deployment) {
	m.t.Helper()
	m.clock = m.clock.Add(2 * time.Hour)
	desk := m.desk()
	desk.Records = m
	sweep := &pipeline.Sweep{Desk: desk, Heads: m, Executions: dead{m}}
	event := fmt.Sprintf(`{"detail-type": "Step Functions Execution Status Change", "detail": {"executionArn": %q, "startDate": %d}}`, d.Execution, m.clock.UnixMilli())
	if err := sweep.Run(m.t.Context(), json.RawMessage(event)); err != nil {
		m.t.Fatalf("sweep: %v\n%s", err, m.script.String())
	}
	for _, r := range m.recoveries {
		m.note("  recovery: %s", r.name)
		m.execute(r.name, r.input)
	}
	m.recoveries = nil
}

// dead implements pipeline.Executions: none runs while Sweep looks.
type dead struct{ *mill }

func (e dead) ARN(name string) string {
	return "arn:aws:states:us-east-1:000000000000:execution:slipway:" + name
}

func (e dead) Running(context.Context) ([]deploy.Execution, error) { return nil, nil }

func (e dead) Describe(_ context.Context, arn string) (deploy.Execution, error) {
	return deploy.Execution{ARN: arn, Status: e.ended[arn]}, nil
}

func (e dead) Start(_ context.Context, name string, input any) error {
	e.recoveries = append(e.recoveries, recoveryStart{name, input})
	return nil
}

// deploy has a commit deployed; more says how it repairs, if it does.
func (m *mill) deploy(letter byte, more ...map[string]any) *deploy.Deployment {
	m.t.Helper()
	m.commit = commitOf(letter)
	m.configs[m.commit] = m.config(letter)
	input := map[string]any{"commit_sha": m.commit}
	for _, each := range more {
		maps.Copy(input, each)
	}
	return m.start(input)
}

func (m *mill) rollback(more map[string]any) *deploy.Deployment {
	m.t.Helper()
	input := map[string]any{"action": "rollback"}
	maps.Copy(input, more)
	return m.start(input)
}

// ways are the ways out of a dirty environment, by their names in docs/operations.md.
var ways = map[string]func(m *mill) *deploy.Deployment{
	"repair": func(m *mill) *deploy.Deployment { return m.rollback(nil) },
	"skip-scripts": func(m *mill) *deploy.Deployment {
		return m.rollback(map[string]any{"skip_scripts": true, "why": "test"})
	},
	"declare-repaired": func(m *mill) *deploy.Deployment {
		return m.rollback(map[string]any{"declare_repaired": true, "why": "test"})
	},
	"deploy": func(m *mill) *deploy.Deployment {
		return m.deploy('e', map[string]any{"repairs": m.head().Holder.Deployment, "why": "test"})
	},
}

// whole holds every record and the environment's state to one another: nothing is at work, and the environment is free, or dirty
// since one deployment that says so.
func (m *mill) whole() {
	m.t.Helper()
	h := m.head()
	if h.Waiting != nil || (h.Holder != nil) != h.Dirty {
		m.t.Fatalf("the environment is neither free nor dirty: %+v\n%s", h, m.script.String())
	}
	for id := range m.store.records {
		d, err := m.store.Deployment(m.t.Context(), id)
		if err != nil {
			m.t.Fatal(err)
		}
		dirty := h.Dirty && h.Holder.Deployment == id
		if !d.Status.Ended() || d.Dirty != dirty || dirty != (d.Repair != "") {
			m.t.Fatalf("%s is %s, dirty %v, repair %q; the environment: dirty %v, %+v\n%s", id, d.Status, d.Dirty, d.Repair, h.Dirty, h.Holder, m.script.String())
		}
	}
}

// leaves reports whether a way leads out of the dirty environment, and brings everything back to where it was.
func (m *mill) leaves(way string) bool {
	m.t.Helper()
	records, head, functions, script := maps.Clone(m.store.records), slices.Clone(m.store.head), map[string]*function{}, m.script.String()
	for name, f := range m.lambda.functions {
		kept := *f
		kept.versions, kept.said = slices.Clone(f.versions), slices.Clone(f.said)
		functions[name] = &kept
	}
	m.note("way out: %s", way)
	m.crash, m.stop = 0, 0 // which may be left of something that ran nothing
	ways[way](m)
	m.whole()
	left := !m.head().Dirty
	m.store.records, m.store.head, m.lambda.functions = records, head, functions
	m.script.Reset()
	m.script.WriteString(script)
	return left
}

// TestWaysOutOfEachCause makes an environment dirty by each cause that there is, and tries each way out while the cause lasts.
func TestWaysOutOfEachCause(t *testing.T) {
	const script, lambda = deploy.TargetScript, deploy.TargetLambda
	for _, c := range []struct {
		target, cause string
		dirt          func(m *mill) // makes it dirty
		lasts         []trouble     // while the ways out are tried
		ways          string        // that lead out
	}{
		{script, "its rollback script", badRelease(rollbackScript), []trouble{rollbackScript}, "declare-repaired deploy skip-scripts"},
		{script, "nothing any more", badRelease(rollbackScript), nil, "declare-repaired deploy repair skip-scripts"},
		{script, "the release before can't be deployed", badReleaseOf('c', deployScript), []trouble{deployScript}, "declare-repaired"},
		{script, "no bundles", badRelease(bundlesGone), []trouble{bundlesGone}, "declare-repaired"},
		{script, "no artifacts", badRelease(artifactsGone), []trouble{artifactsGone}, "declare-repaired"},
		{script, "no secrets", badRelease(secretsGone), []trouble{secretsGone}, "declare-repaired"},
		{script, "an unhealthy release before", badRelease(sick), []trouble{sick}, "declare-repaired"},
		{script, "another target", func(m *mill) {
			badRelease(rollbackScript)(m)
			m.target = deploy.Target{Type: lambda, Function: "fb", Alias: "live"}
			m.apply()
		}, nil, "declare-repaired deploy"},
		{script, "rollback_enabled off, and a rollback by hand", func(m *mill) {
			off := false
			m.deploy('a')
			s := m.app.Environments["production"]
			s.RollbackEnabled = &off
			m.app.Environments["production"] = s
			m.deploy('b')
			m.set(rollbackScript)
			m.rollback(nil)
		}, []trouble{rollbackScript}, "declare-repaired deploy skip-scripts"},
		{script, "no release before", func(m *mill) {
			m.set(sick, rollbackScript)
			m.deploy('b')
		}, []trouble{sick, rollbackScript}, "declare-repaired deploy skip-scripts"}, // of a first release without a script nothing can be undone

		{lambda, "its rollback script", badRelease(rollbackScript), []trouble{rollbackScript}, "declare-repaired deploy skip-scripts"},
		{lambda, "its rollback script and hooks", badReleaseOf('f', rollbackScript, hookScript), []trouble{rollbackScript, hookScript}, "declare-repaired deploy skip-scripts"},
		{lambda, "no bundles", badRelease(bundlesGone), []trouble{bundlesGone}, "declare-repaired skip-scripts"},
		{lambda, "no secrets", badRelease(secretsGone), []trouble{secretsGone}, "declare-repaired skip-scripts"},
		{lambda, "an alias that can't be moved", badRelease(immovable), []trouble{immovable}, "declare-repaired"},
		{lambda, "an alias that can't be read", badRelease(immovable), []trouble{immovable, unreadable}, "declare-repaired"},
		{lambda, "no version before", failedDeploy(versionsGone, sick), []trouble{versionsGone}, "declare-repaired deploy repair skip-scripts"},
		{lambda, "no version and no artifacts", failedDeploy(versionsGone, sick), []trouble{versionsGone, artifactsGone}, "declare-repaired"},
		{lambda, "an unhealthy release before", badRelease(sick), []trouble{sick}, "declare-repaired"},
		{lambda, "another function", func(m *mill) {
			badRelease(immovable)(m)
			m.target.Function = "fb"
			m.apply()
		}, nil, "declare-repaired deploy repair skip-scripts"},
		{lambda, "another kind of target", func(m *mill) {
			badRelease(immovable)(m)
			m.target = deploy.Target{Type: script}
			m.apply()
		}, nil, "declare-repaired deploy"},
		{lambda, "everything", badRelease(immovable), troubles, "declare-repaired"},
	} {
		t.Run(c.target+" target: "+c.cause, func(t *testing.T) {
			t.Parallel()
			m := newMill(t, c.target)
			c.dirt(m)
			m.whole()
			if !m.head().Dirty {
				t.Fatalf("it is not dirty\n%s", m.script.String())
			}
			m.set(c.lasts...)
			var out []string
			for _, way := range slices.Sorted(maps.Keys(ways)) {
				if m.leaves(way) {
					out = append(out, way)
				}
			}
			if got := strings.Join(out, " "); got != c.ways {
				t.Errorf("ways out: %s; want %s\n%s", got, c.ways, m.script.String())
			}
		})
	}
}

// badRelease deploys a good commit and then b, which has a rollback script and is taken back while there are these troubles.
func badRelease(on ...trouble) func(m *mill) { return badReleaseOf('b', on...) }

func badReleaseOf(letter byte, on ...trouble) func(m *mill) {
	return func(m *mill) {
		m.t.Helper()
		if d := m.deploy('a'); d == nil || d.Status != deploy.Success {
			m.t.Fatalf("%+v\n%s", d, m.script.String())
		}
		m.deploy(letter)
		m.set(on...)
		m.rollback(nil)
	}
}

// failedDeploy deploys a good commit and then b, whose own way back meets these troubles.
func failedDeploy(on ...trouble) func(m *mill) {
	return func(m *mill) {
		m.t.Helper()
		m.deploy('a')
		m.set(on...)
		m.deploy('b')
	}
}

// TestNothingLocksForEver runs random sequences of deployments, rollbacks and repairs, of changes of the app, of troubles, crashes and
// stops. After each the environment is free, or dirty since one deployment; and from wherever a sequence came, there is a way out
// while all that is wrong lasts, and a second one once it is mended.
func TestNothingLocksForEver(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 28))
			m := newMill(t, []string{deploy.TargetLambda, deploy.TargetLambda, deploy.TargetScript}[random.IntN(3)])
			for range 10 {
				m.happens(random)
				m.whole()
				if !m.head().Dirty || random.IntN(3) > 0 {
					continue
				}
				m.apply()
				if !m.leaves("declare-repaired") {
					t.Fatalf("no way out while it is all as it is\n%s", m.script.String())
				}
			}
			if !m.head().Dirty {
				return
			}
			m.apply()
			m.set()
			for _, way := range []string{"declare-repaired", "deploy"} {
				if !m.leaves(way) {
					t.Fatalf("no way out by %s once all is mended\n%s", way, m.script.String())
				}
			}
		})
	}
}

// happens lets one thing happen at random.
func (m *mill) happens(random *rand.Rand) {
	m.t.Helper()
	switch random.IntN(4) {
	case 0:
		m.set()
	case 1:
		m.set(troubles[random.IntN(len(troubles))], troubles[random.IntN(len(troubles))])
	}
	switch random.IntN(6) {
	case 0:
		m.crash = 1 + random.IntN(40)
	case 1:
		m.stop = 1 + random.IntN(12)
	}

	letter := byte('a' + random.IntN(6))
	switch n := random.IntN(20); {
	case n < 9:
		m.deploy(letter)
	case n < 12:
		m.rollback(nil)
	case n < 14:
		ids := slices.Sorted(maps.Keys(m.store.records))
		if len(ids) > 0 {
			m.restores(ids[random.IntN(len(ids))], random.IntN(2) == 0)
		}
	case n < 18:
		if m.head().Dirty {
			ways[slices.Sorted(maps.Keys(ways))[random.IntN(len(ways))]](m)
		}
	case n == 18:
		m.target = []deploy.Target{{Type: deploy.TargetScript}, {Type: deploy.TargetLambda, Function: "fa", Alias: "live"},
			{Type: deploy.TargetLambda, Function: "fb", Alias: "live"}}[random.IntN(3)]
		m.note("the target is %v by now", m.target)
		m.apply()
	default:
		m.note("the environment is not in the app")
		m.app.Environments = map[string]deploy.Settings{"other": {}}
		m.deploy(letter)
		m.apply()
	}
}

// restores asks for a rollback to a named release. In a dirty environment only a repair, which has a reason, changes anything.
func (m *mill) restores(id string, repairs bool) {
	m.t.Helper()
	input := map[string]any{"to": id}
	if repairs {
		input["why"] = "test"
	}
	wasDirty := m.head().Dirty
	d := m.rollback(input)
	if wasDirty && !repairs && (!m.head().Dirty || d != nil && d.Changed != nil) {
		m.t.Fatalf("a rollback to %s went out of a dirty environment\n%s", id, m.script.String())
	}
}

// TestRollbackToHasTurnInDirt: a rollback to a named release was let in before the environment became dirty, and has its turn after. It
// changes nothing, and gives the dirt back.
func TestRollbackToHasTurnInDirt(t *testing.T) {
	t.Parallel()
	m := newMill(t, deploy.TargetLambda)
	zero := m.deploy('c')
	badRelease(rollbackScript)(m)
	dirty := m.head().Holder.Deployment

	d, err := m.goBack(zero.ID)
	if deploy.KindOf(err) != deploy.Conflict || !strings.Contains(fmt.Sprint(err), "slipway repair "+dirty+" --to "+zero.ID) || d.Changed != nil {
		t.Errorf("%v, changed %v\n%s", err, d.Changed, m.script.String())
	}
	if h := m.head(); !h.DirtyBy(dirty) {
		t.Errorf("the head is %+v, want dirty since %s\n%s", h, dirty, m.script.String())
	}
	m.set()
	if m.restores(zero.ID, true); m.head().Dirty {
		t.Errorf("the repair by the same release\n%s", m.script.String())
	}
}

// TestRollbackDies: a deployment whose deploy script or publishing failed never succeeds, wherever Rollback dies. If Rollback dies each
// time, the environment is dirty, or nothing was changed.
func TestRollbackDies(t *testing.T) {
	t.Parallel()
	for _, target := range []string{deploy.TargetScript, deploy.TargetLambda} {
		for after := 1; after <= 12; after++ {
			t.Run(fmt.Sprintf("%s, at call %d", target, after), func(t *testing.T) {
				t.Parallel()
				m := newMill(t, target)
				m.deploy('c')
				m.set(deployScript, unpublishable)
				m.dies, m.after = "Rollback", after
				d := m.deploy('a')
				if back := d.Status == deploy.RolledBack && d.Undone; !back && (d.Status != deploy.Failed || d.Dirty != (d.Changed != nil)) {
					t.Errorf("%s, dirty %v, %s\n%s", d.Status, d.Dirty, d.Error, strings.Join(d.Logs, "\n"))
				}
			})
		}
	}
}
