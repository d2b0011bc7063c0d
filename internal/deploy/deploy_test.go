package deploy_test

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func TestMoves(t *testing.T) {
	allowed := map[string]bool{
		"pending running": true, "pending failed": true, "pending cancelled": true,
		"running success": true, "running failed": true, "running rolled_back": true, "running cancelled": true,
		"success rolled_back": true,
	}
	for _, from := range deploy.Statuses {
		for _, to := range deploy.Statuses {
			move := fmt.Sprint(from, " ", to)
			if err := from.To(to); (err == nil) != (from == to || allowed[move]) {
				t.Errorf("%s: %v", move, err)
			} else if err != nil && deploy.KindOf(err) != deploy.Conflict {
				t.Errorf("%s: a %s, want a Conflict", move, deploy.KindOf(err))
			}
		}
		if !from.Valid() || from.Ended() != (from != deploy.Pending && from != deploy.Running) {
			t.Errorf("%s: valid %v, ended %v", from, from.Valid(), from.Ended())
		}
	}
	if deploy.Status("lost").Valid() {
		t.Error("a seventh status")
	}
}

func TestEndKeepsTheFirstEndTime(t *testing.T) {
	d := deploy.New("x", deploy.Deploy, "shop", "production", noon)
	d.Status = deploy.Running
	if err := d.End(deploy.Success, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := d.End(deploy.RolledBack, noon.Add(time.Hour)); err != nil || !d.EndTime.Equal(noon.Add(time.Minute)) {
		t.Errorf("ended %v, %v; a later rollback must not move a deployment's end", d.EndTime, err)
	}
	if err := d.End(deploy.Running, noon); deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("back to running: %v", err)
	}
}

func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(0, 4e12), 2, 8).Draw(t, "ms")
		entropy := rapid.SliceOfN(rapid.Byte(), 5, 20).Draw(t, "entropy")
		var ids []string
		for _, ms := range times {
			ids = append(ids, deploy.NewID(time.UnixMilli(ms), entropy))
			if !deploy.ValidID(ids[len(ids)-1]) || len(ids[0]) > 80 {
				t.Fatalf("%q is no id, or no execution's name", ids[len(ids)-1])
			}
		}
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
		sort.Strings(ids)
		for i, ms := range times {
			if ids[i] != deploy.NewID(time.UnixMilli(ms), entropy) {
				t.Fatalf("ids don't sort by time: %v", ids)
			}
		}
	})
	for _, bad := range []string{"", "deploy-", "deploy-20261123-055717123-ABCDEFGH", "deploy-20261123-055717123-abcdefg", "x deploy-20261123-055717123-abcdefgh"} {
		if deploy.ValidID(bad) {
			t.Errorf("%q passes for an id", bad)
		}
	}
}

func TestRecordIsBounded(t *testing.T) {
	d := deploy.New("x", deploy.Deploy, "shop", "production", noon)
	for n := range 3 * deploy.MaxLogs {
		d.Log(noon, "%d %s", n, strings.Repeat("é", deploy.MaxLogBytes))
		d.AddCheck(deploy.Check{Time: noon, Error: strings.Repeat("e", 9999), LatencyMS: int64(n)})
	}
	if len(d.Logs) != deploy.MaxLogs || !strings.Contains(d.Logs[0], "] 0 ") || !strings.Contains(d.Logs[deploy.MaxLogs-1], fmt.Sprintf("] %d ", 3*deploy.MaxLogs-1)) {
		t.Errorf("%d lines, from %.40q to %.40q; want the first and the last ones", len(d.Logs), d.Logs[0], d.Logs[len(d.Logs)-1])
	}
	if len(d.Logs[1]) > deploy.MaxLogBytes || !utf8.ValidString(d.Logs[1]) {
		t.Errorf("a line of %d bytes, valid %v", len(d.Logs[1]), utf8.ValidString(d.Logs[1]))
	}
	if n := len(d.Checks); n != deploy.MaxChecks || d.Checks[n-1].LatencyMS != 3*deploy.MaxLogs-1 || len(d.Checks[0].Error) > deploy.MaxLogBytes {
		t.Errorf("%d checks", n)
	}
}

func TestStages(t *testing.T) {
	d := deploy.New("x", deploy.Deploy, "shop", "production", noon)
	d.Begin("test", noon)
	d.Begin("test", noon.Add(time.Second))
	if s := d.Stage("test"); len(d.Stages) != 1 || s.Attempt != 2 || !s.Start.Equal(noon) || !s.Open() {
		t.Errorf("begun twice: %+v", d.Stages)
	}
	d.Finish("test", deploy.Passed, noon.Add(time.Minute))
	d.Finish("test", deploy.StageFailed, noon.Add(time.Hour))
	if s := d.Stage("test"); s.Outcome != deploy.Passed || !s.End.Equal(noon.Add(time.Minute)) || s.Open() {
		t.Errorf("finished twice: %+v", s)
	}
	d.Begin("test", noon)
	if len(d.Stages) != 2 || d.Stage("test").Attempt != 1 {
		t.Errorf("a second round: %+v", d.Stages)
	}
	if d.Stage("none").Open() {
		t.Error("a stage that never began is open")
	}
}

func TestFirstErrorStays(t *testing.T) {
	d := deploy.New("x", deploy.Deploy, "shop", "production", noon)
	d.Fail(deploy.TestFailed, "first")
	d.Fail(deploy.Internal, "second")
	if d.ErrorKind != deploy.TestFailed || d.Error != "first" {
		t.Errorf("%s %q", d.ErrorKind, d.Error)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("the socket is gone")
	err := fmt.Errorf("while deploying: %w", deploy.Errorf(deploy.DeployFailed, "update shop", "no answer: %w", cause))
	if deploy.KindOf(err) != deploy.DeployFailed || !errors.Is(err, cause) || err.Error() != "while deploying: update shop: no answer: the socket is gone" {
		t.Errorf("%s: %v", deploy.KindOf(err), err)
	}
	if err := deploy.FieldErrorf("app", "%q is unknown", "x"); deploy.FieldOf(err) != "app" || err.Error() != `app: "x" is unknown` {
		t.Errorf("%q: %v", deploy.FieldOf(err), err)
	}
	if deploy.KindOf(nil) != "" || deploy.KindOf(cause) != deploy.Internal || deploy.FieldOf(cause) != "" {
		t.Error("errors without a kind")
	}
}

func settings() deploy.Settings {
	return deploy.Settings{Target: deploy.Target{Type: deploy.TargetLambda, Function: "shop"}, URL: "https://shop.example.com"}
}

func TestAppValidation(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(*deploy.App, *deploy.Settings)
	}{
		{"", func(*deploy.App, *deploy.Settings) {}},
		{"name", func(a *deploy.App, _ *deploy.Settings) { a.Name = "Shop" }},
		{"name", func(a *deploy.App, _ *deploy.Settings) { a.Name = "shop-" }},
		{"source.type", func(a *deploy.App, _ *deploy.Settings) { a.Source.Type = "svn" }},
		{"environments", func(a *deploy.App, _ *deploy.Settings) { a.Environments = nil }},
		{"environments", func(a *deploy.App, _ *deploy.Settings) { a.Environments["Prod"] = settings() }},
		{"environments.production.target.type", func(_ *deploy.App, s *deploy.Settings) { s.Target.Type = "ecs" }},
		{"environments.production.target.function", func(_ *deploy.App, s *deploy.Settings) { s.Target.Function = "a b" }},
		{"environments.production.target.alias", func(_ *deploy.App, s *deploy.Settings) { s.Target.Alias = "7" }},
		{"environments.production.target", func(_ *deploy.App, s *deploy.Settings) { s.Target.Type = deploy.TargetScript }},
		{"environments.production.url", func(_ *deploy.App, s *deploy.Settings) { s.URL = "ftp://x" }},
		{"environments.production.url", func(_ *deploy.App, s *deploy.Settings) { s.URL = "https://user:pass@x" }},
		{"environments.production.url", func(_ *deploy.App, s *deploy.Settings) { s.URL = "" }},
		{"environments.production.branches[1]", func(_ *deploy.App, s *deploy.Settings) { s.Branches = []string{"main", "[a"} }},
		{"environments.production.environment_variables", func(_ *deploy.App, s *deploy.Settings) { s.Variables = map[string]string{"A-B": ""} }},
		{"environments.production.environment_variables.SLIPWAY_X", func(_ *deploy.App, s *deploy.Settings) { s.Variables = map[string]string{"SLIPWAY_X": ""} }},
		{"environments.production.environment_variables.A", func(_ *deploy.App, s *deploy.Settings) { s.Variables = map[string]string{"A": "\x00"} }},
	} {
		s := settings()
		a := &deploy.App{Name: "shop", Environments: map[string]deploy.Settings{}}
		c.change(a, &s)
		if a.Environments != nil {
			a.Environments["production"] = s
		}
		err := a.Validate()
		if deploy.FieldOf(err) != c.field || (err == nil) != (c.field == "") {
			t.Errorf("got %v about %q, want it about %q", err, deploy.FieldOf(err), c.field)
		}
	}
	a := &deploy.App{Name: "shop", Environments: map[string]deploy.Settings{"production": settings()}}
	if err := a.Validate(); err != nil || a.Environments["production"].Target.Alias != "live" || a.Source.Type != "bundle" {
		t.Errorf("defaults: %+v, %v", a, err)
	}
	if _, err := a.Environment("moon"); deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), "production") {
		t.Errorf("an unknown environment: %v", err)
	}
}

// TestTargetsApart refuses two environments on one alias, in one app and in two.
func TestTargetsApart(t *testing.T) {
	lambda := func(function, alias string) deploy.Target {
		return deploy.Target{Type: deploy.TargetLambda, Function: function, Alias: alias}
	}
	app := func(name string, targets map[string]deploy.Target) *deploy.App {
		a := &deploy.App{Name: name, Environments: map[string]deploy.Settings{}}
		for environment, target := range targets {
			a.Environments[environment] = deploy.Settings{Target: target, URL: "https://shop.test"}
		}
		return a
	}
	script := deploy.Target{Type: deploy.TargetScript}
	for _, c := range []struct {
		blue, green deploy.Target
		shared      bool
	}{
		{lambda("shop", "live"), lambda("shop", "live"), true},
		{lambda("shop", ""), lambda("shop", "live"), true},
		{lambda("shop", "live"), lambda("shop", "next"), false},
		{lambda("shop", "live"), lambda("till", "live"), false},
		{lambda("shop", "live"), script, false},
		{script, script, false},
	} {
		err := app("one", map[string]deploy.Target{"blue": c.blue, "green": c.green}).Validate()
		if (err != nil) != c.shared || c.shared && (deploy.FieldOf(err) != "environments.green.target" || !strings.Contains(err.Error(), "of environment blue too")) {
			t.Errorf("%+v and %+v: %v", c.blue, c.green, err)
		}
		one, two := app("one", map[string]deploy.Target{"blue": c.blue}), app("two", map[string]deploy.Target{"green": c.green})
		if err := errors.Join(one.Validate(), two.Validate()); err != nil {
			t.Fatal(err)
		}
		err = two.CheckTargets(one)
		if (deploy.KindOf(err) == deploy.Conflict) != c.shared || c.shared && (deploy.FieldOf(err) != "environments.green.target" || !strings.Contains(err.Error(), "environment blue of app one")) {
			t.Errorf("%+v and another app's %+v: %v", c.green, c.blue, err)
		}
		if err := one.CheckTargets(one); err != nil {
			t.Errorf("an app stands in its own way: %v", err)
		}
	}
}

func TestBranches(t *testing.T) {
	s := deploy.Settings{Branches: []string{"main", "release/*"}}
	for branch, want := range map[string]bool{"main": true, "release/1": true, "release/1/x": false, "dev": false, "": false} {
		if s.AllowsBranch(branch) != want {
			t.Errorf("%q: %v", branch, !want)
		}
	}
	if !(&deploy.Settings{}).AllowsBranch("any") {
		t.Error("no rule must allow any branch")
	}
}

func TestConfigValidation(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(*deploy.Config)
	}{
		{"", func(*deploy.Config) {}},
		{"artifacts[0]", func(c *deploy.Config) { c.Artifacts = []string{"../x"} }},
		{"artifacts[0]", func(c *deploy.Config) { c.Artifacts = []string{"/etc/passwd"} }},
		{"artifacts[1]", func(c *deploy.Config) { c.Artifacts = []string{"a", "a/../b"} }},
		{"artifacts", func(c *deploy.Config) { c.Artifacts = make([]string, 99) }},
		{"artifacts[0]", func(c *deploy.Config) { c.Artifacts = []string{strings.Repeat("x", deploy.MaxPath+1)} }},
		{"scripts.build", func(c *deploy.Config) { c.Scripts.Build = strings.Repeat("x", deploy.MaxScript+1) }},
		{"environment_variables", func(c *deploy.Config) { c.Variables = map[string]string{"1": ""} }},
		{"health_check_path", func(c *deploy.Config) { c.HealthCheckPath = "health" }},
		{"health_check_path", func(c *deploy.Config) { c.HealthCheckPath = "/" + strings.Repeat("x", deploy.MaxPath) }},
		{"health_check_timeout", func(c *deploy.Config) { c.HealthCheckTimeout = 0 }},
		{"health_check_timeout", func(c *deploy.Config) { c.HealthCheckTimeout = 901 }},
		{"health_check_successes", func(c *deploy.Config) { c.HealthyCount = 0 }},
		{"hooks.post_deploy[0].event", func(c *deploy.Config) { c.Hooks.PostDeploy = []deploy.Hook{{Event: "a\x1b[31mb"}} }},
		{"hooks.on_failure[0]", func(c *deploy.Config) { c.Hooks.OnFailure = []deploy.Hook{{}} }},
		{"hooks.pre_deploy[0]", func(c *deploy.Config) { c.Hooks.PreDeploy = []deploy.Hook{{Script: "a", Event: "b"}} }},
		{"hooks.post_deploy[0].function", func(c *deploy.Config) { c.Hooks.PostDeploy = []deploy.Hook{{Function: "a:b"}} }},
		{"hooks.pre_rollback[0].event", func(c *deploy.Config) { c.Hooks.PreRollback = []deploy.Hook{{Event: strings.Repeat("e", 129)}} }},
		{"hooks.post_rollback", func(c *deploy.Config) { c.Hooks.PostRollback = make([]deploy.Hook, 11) }},
	} {
		config := deploy.DefaultConfig()
		c.change(&config)
		if err := config.Validate(); deploy.FieldOf(err) != c.field || (err == nil) != (c.field == "") {
			t.Errorf("got %v about %q, want it about %q", err, deploy.FieldOf(err), c.field)
		}
	}
}

// TestWhole: many things that are each small enough may be too much together.
func TestWhole(t *testing.T) {
	variables := map[string]string{}
	for n := range 30 {
		variables[fmt.Sprint("V", n)] = strings.Repeat("x", deploy.MaxVariable)
	}
	c := deploy.DefaultConfig()
	c.Variables = variables
	if err := c.Validate(); deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), "want at most 98304") {
		t.Errorf("slipway.yaml: %v", err)
	}
	a := deploy.App{Name: "shop", Environments: map[string]deploy.Settings{"production": {
		Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.test", Variables: variables,
	}}}
	if err := a.Validate(); deploy.FieldOf(err) != "environments.production" || !strings.Contains(err.Error(), "want at most 65536") {
		t.Errorf("app.yaml: %v", err)
	}
}

func TestZipFor(t *testing.T) {
	release := func(paths ...string) *deploy.Release {
		r := &deploy.Release{}
		for _, p := range paths {
			r.Artifacts = append(r.Artifacts, deploy.Artifact{Path: p})
		}
		return r
	}
	for _, c := range []struct {
		release  *deploy.Release
		artifact string
		want     string
		says     string
	}{
		{release("a.zip", "notes.txt"), "", "a.zip", ""},
		{release("a.zip", "b.zip"), "b.zip", "b.zip", ""},
		{release("a.zip", "b.zip"), "", "", "2 of them are .zip files; a Lambda target runs exactly one: name it in the environment's target.artifact"},
		{release("notes.txt"), "", "", "none of the artifacts is a .zip file; a Lambda target runs one: add it to artifacts in slipway.yaml"},
		{release("a.zip"), "c.zip", "", `the build made no "c.zip"`},
	} {
		got, err := c.release.ZipFor(deploy.Target{Artifact: c.artifact})
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v for %q: %v; want %q", c.release.Artifacts, c.artifact, err, c.says)
		}
		if got.Path != c.want || (err == nil) != (c.want != "") || err != nil && deploy.KindOf(err) != deploy.BuildFailed {
			t.Errorf("%v for %q: %q, %v; want %q", c.release.Artifacts, c.artifact, got.Path, err, c.want)
		}
	}
}

func TestDeploysOnPush(t *testing.T) {
	s := deploy.Settings{Branches: []string{"main", "release/*"}, DeployOnPush: []string{"main", "topic/*"}}
	for branch, want := range map[string]bool{"main": true, "release/1": false, "topic/a": false, "": false} {
		if got := s.DeploysOnPush(branch); got != want {
			t.Errorf("%q: %v, want %v", branch, got, want)
		}
	}
	if s = (deploy.Settings{DeployOnPush: []string{"topic/*"}}); !s.DeploysOnPush("topic/a") || s.DeploysOnPush("topic/a/b") || (&deploy.Settings{}).DeploysOnPush("main") {
		t.Error("without branches, deploy_on_push alone decides; without it, nothing deploys by itself")
	}
}

func TestRepository(t *testing.T) {
	for name, want := range map[string]bool{"octo/shop": true, "my-repo.x_1": true, "a/b/c": false, "": false, "octo/": false, "octo/sh op": false, "https://github.com/octo/shop": false} {
		if got := deploy.ValidRepository(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
