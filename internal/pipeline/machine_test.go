package pipeline_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
)

// The ways through the machine, by the states that they enter.
const (
	wayUp   = "Prepare Route Test Build Admit Deploy Shift HealthCheck Verdict Settle"
	wayBack = " Rollback CheckRollback RollbackVerdict SettleFailure Outcome Failed"
)

func TestSuccess(t *testing.T) {
	a := newApp(t)
	r := a.deploy(a.commit("one", config()))
	d := r.wants(deploy.Success)
	if got := r.states(); got != wayUp {
		t.Errorf("states:\n%s, want\n%s", got, wayUp)
	}
	a.serves("one")
	if h := a.head("production"); h.Live == nil || h.Live.Deployment != d.ID || h.Fence != 1 {
		t.Errorf("head: %+v", h)
	}
	if d.Release == nil || len(d.Release.Artifacts) != 1 || len(d.Checks) == 0 || d.Artifacts["out/version"] == "" {
		t.Errorf("record: release %+v, artifacts %v, checks %v", d.Release, d.Artifacts, d.Checks)
	}
	for _, s := range d.Stages {
		if s.End == nil || s.Outcome != deploy.Passed {
			t.Errorf("stage %+v", s)
		}
	}
}

func TestFailuresBeforeTheFirstChange(t *testing.T) {
	for _, c := range []struct{ name, yaml, kind, states string }{
		{"test", config("test=exit 3"), "TestFailed", "Prepare Route Test SettleFailure Outcome Failed"},
		{"build", config("build=exit 3"), "BuildFailed", "Prepare Route Test Build SettleFailure Outcome Failed"},
		{"artifact", config("build=true"), "BuildFailed", "Prepare Route Test Build SettleFailure Outcome Failed"},
		{"pre_deploy", config("pre_deploy=exit 3"), "DeployFailed", "Prepare Route Test Build Admit Deploy" + wayBack},
		{"slipway.yaml", "scripts: 7", "Invalid", "Prepare SettleFailure Outcome Failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t)
			a.write("live", "zero")
			r := a.deploy(a.commit("one", c.yaml))
			d := r.wants(deploy.Failed)
			if string(d.ErrorKind) != c.kind || d.Error == "" || d.Dirty || d.Changed != nil {
				t.Errorf("kind %s, error %q, dirty %v, changed %v", d.ErrorKind, d.Error, d.Dirty, d.Changed)
			}
			if got := r.states(); got != c.states {
				t.Errorf("states:\n%s, want\n%s", got, c.states)
			}
			a.serves("zero")
			if out := r.ended(); *out.Error != c.kind || !strings.Contains(*out.Cause, d.Error) {
				t.Errorf("the execution tells %s: %s", *out.Error, *out.Cause)
			}
		})
	}
}

func TestBadRelease(t *testing.T) {
	for _, c := range []struct{ name, yaml, kind, states string }{
		{"deploy", config(`deploy=echo bad > "$SERVE/live"; exit 3`), "DeployFailed", "Prepare Route Test Build Admit Deploy" + wayBack},
		{"health", hasty(), "HealthCheckFailed", "Prepare Route Test Build Admit Deploy Shift HealthCheck" + wayBack},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t)
			good := a.deploy(a.commit("one", config())).wants(deploy.Success)
			r := a.deploy(a.commit("bad", c.yaml))
			d := r.wants(deploy.RolledBack)
			if string(d.ErrorKind) != c.kind || !d.Undone || d.Previous.Deployment != good.ID {
				t.Errorf("kind %s, undone %v, previous %+v", d.ErrorKind, d.Undone, d.Previous)
			}
			if got := r.states(); got != c.states {
				t.Errorf("states:\n%s, want\n%s", got, c.states)
			}
			a.serves("one")
			if h := a.head("production"); h.Live.Deployment != good.ID || h.Holder != nil {
				t.Errorf("head: %+v", h)
			}
		})
	}
}

func TestFirstDeploymentBad(t *testing.T) {
	a := newApp(t)
	d := a.deploy(a.commit("bad", hasty(`rollback=rm -f "$SERVE/live"`))).wants(deploy.Failed)
	if d.Dirty || !d.Undone || !strings.Contains(strings.Join(d.Logs, "\n"), "no earlier release") {
		t.Errorf("dirty %v, undone %v, timeline:\n%s", d.Dirty, d.Undone, strings.Join(d.Logs, "\n"))
	}
	a.serves("")
	if h := a.head("production"); h.Live != nil || h.Holder != nil {
		t.Errorf("head: %+v", h)
	}
}

func TestWarningPostDeploy(t *testing.T) {
	a := newApp(t)
	d := a.deploy(a.commit("one", config("post_deploy=echo oh no; exit 3"))).wants(deploy.Success)
	if log := strings.Join(d.Logs, "\n"); !strings.Contains(log, "warning: post_deploy script") {
		t.Errorf("timeline:\n%s", log)
	}
}

// allowHooks lets the app's production call these functions by its hooks.
func (a *app) allowHooks(functions ...string) {
	settings := a.Environments["production"]
	settings.HookFunctions = functions
	a.Environments["production"] = settings
	a.apply()
}

// TestHookOfAnotherApp: a commit that names a function which its app's settings don't allow is refused before anything runs, whatever the
// stack allows.
func TestHookOfAnotherApp(t *testing.T) {
	a := newApp(t)
	hooks := config("hooks: {pre_deploy: ['true', {function: " + local.HookFunction + "}]}")
	for _, allowed := range [][]string{nil, {"warm-caches"}} {
		a.allowHooks(allowed...)
		d := a.deploy(a.commit("one", hooks)).wants(deploy.Failed)
		for _, want := range []string{"slipway.yaml: ", `hooks.pre_deploy[1].function: "` + local.HookFunction + `"`, "environments.production.hook_functions in app.yaml"} {
			if !strings.Contains(d.Error, want) {
				t.Errorf("error %q, want %q in it", d.Error, want)
			}
		}
		if d.ErrorKind != deploy.Invalid || d.Stage("test") != nil {
			t.Errorf("kind %s, stages %+v", d.ErrorKind, d.Stages)
		}
	}
}

func TestHooks(t *testing.T) {
	hooks := `hooks:
  pre_deploy: [{script: 'echo pre >> "$SERVE/hooks"'}, {script: exit 9}, {function: outsider-hook}, {event: Going Live}]
  post_deploy: ['echo post >> "$SERVE/hooks"']
  on_failure: ['echo failure >> "$SERVE/hooks"']
  pre_rollback: ['echo back >> "$SERVE/hooks"']
  post_rollback: ['echo done >> "$SERVE/hooks"']`
	a := newApp(t)
	a.allowHooks("outsider-hook")
	d := a.deploy(a.commit("one", config(hooks))).wants(deploy.Success)
	log := strings.Join(d.Logs, "\n")
	for _, want := range []string{"script exit 9: failed, which stops nothing", "function outsider-hook: failed", "event Going Live: done"} {
		if !strings.Contains(log, want) {
			t.Errorf("the timeline lacks %q:\n%s", want, log)
		}
	}
	a.deploy(a.commit("bad", hasty(hooks))).wants(deploy.RolledBack)
	if got, want := strings.Fields(a.read("hooks")), "pre post pre post back failure done"; strings.Join(got, " ") != want {
		t.Errorf("hooks ran: %v, want %s", got, want)
	}
	a.deploy(a.commit("two", config(hooks, "test=exit 1"))).wants(deploy.Failed)
	if got, want := strings.Fields(a.read("hooks")), "pre post pre post back failure done failure"; strings.Join(got, " ") != want {
		t.Errorf("hooks ran: %v, want %s", got, want)
	}
}

func TestForce(t *testing.T) {
	a := newApp(t)
	sha := a.commit("one", config("test=exit 3"))
	a.deploy(sha).wants(deploy.Failed)
	d := a.start(map[string]any{"commit_sha": sha, "force_deployment": true}).wants(deploy.Success)
	if s := d.Stage("test"); s.Outcome != deploy.Skipped {
		t.Errorf("test: %+v", s)
	}
	a.serves("one")
}

func TestReleaseIsBuiltOnce(t *testing.T) {
	a := newApp(t)
	sha := a.commit("one", config(`build=echo x >> "$SERVE/builds"; mkdir -p out; cp version out/version`))
	first := a.deploy(sha).wants(deploy.Success)
	second := a.deploy(sha).wants(deploy.Success)
	if a.read("builds") != "x" || second.Release.BuiltBy != first.ID || second.Stage("build").Outcome != deploy.Skipped {
		t.Errorf("builds %q, built by %s, stage %+v", a.read("builds"), second.Release.BuiltBy, second.Stage("build"))
	}
}

// TestArtifactsRun: a tool that a build made is run by the scripts that find it, on the way there and back, by its own path.
func TestArtifactsRun(t *testing.T) {
	for name, newApp := range map[string]func(*testing.T) *app{"in functions": newApp, "in CodeBuild": newBuildApp} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			tool := func(version, more string) string {
				a.write("tool-"+version, "#!/bin/sh\necho "+version+` > "$SERVE/live"`+more+"\n")
				build := `build=mkdir -p bin out; cp "$SERVE/tool-` + version + `" bin/tool; chmod 755 bin/tool; cp version out/version`
				yaml := strings.Replace(config(build, "deploy=bin/tool", "rollback=bin/tool"), "[out/version]", "[bin/tool, out/version]", 1)
				return a.commit(version, yaml)
			}
			one := a.deploy(tool("one", "")).wants(deploy.Success)
			if f := one.Release.Artifacts; len(f) != 2 || !f[0].Executable || f[1].Executable {
				t.Errorf("%+v", f)
			}
			a.serves("one")
			a.deploy(tool("two", "; exit 3")).wants(deploy.RolledBack)
			a.serves("one")
		})
	}
}

// TestBlocksEndAtTheFirstFailure: in every kind of script, a line that fails ends the block, and no later one runs.
func TestBlocksEndAtTheFirstFailure(t *testing.T) {
	const block = "echo in >> \"$SERVE/ran\"\nfalse\necho later >> \"$SERVE/ran\""
	hooks := func(point string) string {
		text, _ := json.Marshal(block)
		return "hooks: {" + point + ": [" + string(text) + "]}"
	}
	for name, c := range map[string]struct {
		newApp func(*testing.T) *app
		yaml   string
		status deploy.Status
		kind   deploy.Kind
		says   string
	}{
		"test":              {newApp, config("test=" + block), deploy.Failed, deploy.TestFailed, "test script: the script exited with code 1"},
		"build":             {newApp, config("build=" + block), deploy.Failed, deploy.BuildFailed, "build script: the script exited with code 1"},
		"test, CodeBuild":   {newBuildApp, config("test=" + block), deploy.Failed, deploy.TestFailed, "test script: the script exited with code 1"},
		"build, CodeBuild":  {newBuildApp, config("build=" + block), deploy.Failed, deploy.BuildFailed, "build script: the script exited with code 1"},
		"pre_deploy":        {newApp, config("pre_deploy=" + block), deploy.Failed, deploy.DeployFailed, "pre_deploy script: the script exited with code 1"},
		"deploy":            {newApp, config("deploy=" + block), deploy.Failed, deploy.DeployFailed, "deploy script: the script exited with code 1"},
		"post_deploy":       {newApp, config("post_deploy=" + block), deploy.Success, "", "post_deploy script: the script exited with code 1"},
		"a pre_deploy hook": {newApp, config(hooks("pre_deploy")), deploy.Success, "", "exited with code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.newApp(t)
			d := a.deploy(a.commit("one", c.yaml)).wants(c.status)
			if log := strings.Join(d.Logs, "\n"); d.ErrorKind != c.kind || !strings.Contains(log, c.says) {
				t.Errorf("%s; want %s, %q in:\n%s", d.ErrorKind, c.kind, c.says, log)
			}
			if ran := a.read("ran"); ran != "in" {
				t.Errorf("ran %q", ran)
			}
		})
	}
}

// TestRollbackBlocksEndAtTheFirstFailure: as the others; the way back by such a script has failed.
func TestRollbackBlocksEndAtTheFirstFailure(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	d := a.deploy(a.commit("bad", hasty("rollback=false\necho later > \"$SERVE/ran\""))).wants(deploy.Failed)
	if log := strings.Join(d.Logs, "\n"); !strings.Contains(log, "rollback script: the script exited with code 1") {
		t.Errorf("timeline:\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "ran")); err == nil {
		t.Error("the rollback script went on")
	}
}

func TestRollbackDisabled(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	d := a.deploy(a.commit("bad", hasty("rollback_enabled: false"))).wants(deploy.Failed)
	if log := strings.Join(d.Logs, "\n"); d.Dirty || d.Undone || !strings.Contains(log, "rollback_enabled is false") {
		t.Errorf("dirty %v, undone %v, timeline:\n%s", d.Dirty, d.Undone, log)
	}
	a.serves("bad")
	if h := a.head("production"); h.Live.Deployment != d.ID || h.Holder != nil {
		t.Errorf("head: %+v", h)
	}
}

func TestDirtyAndItsRepair(t *testing.T) {
	a := newApp(t)
	one := a.deploy(a.commit("one", config())).wants(deploy.Success)
	fragile := `rollback=test -e "$SERVE/tool" && cp out/version "$SERVE/live"`
	bad := a.deploy(a.commit("bad", hasty(fragile))).wants(deploy.Failed)
	if !bad.Dirty || bad.Repair != deploy.RepairCommands(bad.ID) || bad.Stage("rollback").Outcome != deploy.StageFailed {
		t.Errorf("dirty %v, repair %q", bad.Dirty, bad.Repair)
	}
	if h := a.head("production"); !h.Dirty || h.Holder == nil || h.Holder.Deployment != bad.ID {
		t.Errorf("head: %+v", h)
	}
	refused := a.deploy(a.commit("three", config())).wants(deploy.Failed)
	if refused.ErrorKind != deploy.Conflict || !strings.Contains(refused.Error, bad.ID) {
		t.Errorf("a commit in a dirty environment: %s %q", refused.ErrorKind, refused.Error)
	}
	a.write("tool", "")
	repair := a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	a.serves("one")
	if repair.Repairs != bad.ID || repair.RollbackTo != one.ID || repair.RollbackFrom != bad.ID {
		t.Errorf("repairs %s, back to %s, from %s", repair.Repairs, repair.RollbackTo, repair.RollbackFrom)
	}
	again, err := world.store.Deployment(t.Context(), bad.ID)
	if err != nil || again.Dirty || again.Repair != "" || again.Status != deploy.Failed {
		t.Errorf("the repaired one: %+v, %v", again, err)
	}
	a.deploy(a.commit("four", config())).wants(deploy.Success)
	a.serves("four")
}

func TestOperatorsRollback(t *testing.T) {
	a := newApp(t)
	var runs []*deploy.Deployment
	for _, version := range []string{"one", "two", "three"} {
		runs = append(runs, a.deploy(a.commit(version, config())).wants(deploy.Success))
	}
	r := a.start(map[string]any{"action": "rollback"})
	d := r.wants(deploy.Success)
	a.serves("two")
	if d.RollbackFrom != runs[2].ID || d.RollbackTo != runs[1].ID {
		t.Errorf("from %s to %s, want from %s to %s", d.RollbackFrom, d.RollbackTo, runs[2].ID, runs[1].ID)
	}
	if got, want := r.states(), "Prepare Route AdmitRollback Rollback CheckRollback RollbackVerdict Settle"; got != want {
		t.Errorf("states:\n%s, want\n%s", got, want)
	}
	undone, err := world.store.Deployment(t.Context(), runs[2].ID)
	if err != nil || undone.Status != deploy.RolledBack {
		t.Errorf("the undone one: %s, %v", undone.Status, err)
	}
	a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	a.serves("one")
	none := a.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	if !strings.Contains(none.Error, "no earlier release") {
		t.Errorf("error: %q", none.Error)
	}
	a.start(map[string]any{"action": "rollback", "to": runs[2].ID}).wants(deploy.Success)
	a.serves("three")
	missing := a.start(map[string]any{"action": "rollback", "to": "deploy-20200101-000000000-aaaaaaaa"}).wants(deploy.Failed)
	if missing.ErrorKind != deploy.NotFound {
		t.Errorf("error: %s %q", missing.ErrorKind, missing.Error)
	}
}

func TestAppsAndEnvironmentsApart(t *testing.T) {
	a := newApp(t)
	staging := a.Environments["production"]
	staging.Variables = map[string]string{"SERVE": t.TempDir()}
	a.Environments["staging"] = staging
	a.apply()
	slow := a.start(map[string]any{"commit_sha": a.commit("one", config("deploy="+gate+`cp out/version "$SERVE/live"`)), "environment": "staging"})
	waitFor(t, "staging's turn", func() (int, bool) { return 0, a.head("staging").Holder != nil })
	a.deploy(a.commit("two", config())).wants(deploy.Success)
	if a.head("staging").Holder == nil {
		t.Error("production waited for staging")
	}
	if err := os.WriteFile(filepath.Join(staging.Variables["SERVE"], "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	slow.ended()
	a.serves("two")
}

func TestNonsense(t *testing.T) {
	a := newApp(t)
	for _, c := range []struct{ input, kind, says string }{
		{`"hello"`, "Invalid", "want an object"},
		{`[]`, "Invalid", "want an object"},
		{`{}`, "Invalid", "app:"},
		{`{"app":7}`, "Invalid", "app: is a number"},
		{`{"app":"shop","env":"x"}`, "Invalid", "env: unknown; want action, app"},
		{`{"app":"no-such-app","environment":"production","commit_sha":"` + strings.Repeat("a", 40) + `"}`, "NotFound", "no-such-app"},
		{`{"app":"` + a.name + `","environment":"moon","commit_sha":"` + strings.Repeat("a", 40) + `"}`, "NotFound", "moon"},
		{`{"app":"` + a.name + `","environment":"production","commit_sha":"` + strings.Repeat("a", 40) + `"}`, "NotFound", strings.Repeat("a", 40)},
		{`{"app":"` + a.name + `","environment":"production","commit_sha":"main"}`, "Invalid", "commit_sha"},
		{`{"deployment":"deploy-20200101-000000000-aaaaaaaa"}`, "Invalid", "deployment"},
		{`{"App":"` + a.name + `","environment":"production"}`, "Invalid", "App: unknown; want app"},
		{`{"deployment":"deploy-20200101-000000000-aaaaaaaa","Deployment":"deploy-20200101-000000000-bbbbbbbb"}`, "Invalid", "Deployment: unknown"},
		{`{"action":"destroy","app":"` + a.name + `","environment":"production"}`, "Invalid", "action"},
	} {
		out := a.execute(strings.ReplaceAll(t.Name(), "/", "-")+"-"+c.kind+"-"+randomText(), c.input).ended()
		if out.Status != "FAILED" || *out.Error != c.kind || !strings.Contains(*out.Cause, c.says) {
			t.Errorf("%s: %s %s: %s, want %s with %q", c.input, out.Status, deref(out.Error), deref(out.Cause), c.kind, c.says)
		}
	}
}

// TestLongInput: a Cause names what is wrong, whatever somebody fills an input with.
func TestLongInput(t *testing.T) {
	a := newApp(t)
	long := strings.Repeat("x", 250<<10)
	for _, input := range []string{
		fmt.Sprintf(`{"app":%q}`, long),
		fmt.Sprintf(`{"app":"shop","environment":%q}`, long),
		fmt.Sprintf(`{"app":"shop","environment":"production","commit_sha":%q}`, long),
		fmt.Sprintf(`{"app":"shop","environment":"production","action":%q}`, long),
		fmt.Sprintf(`{"app":"shop","environment":"production","action":"rollback","to":%q}`, long),
		fmt.Sprintf(`{%q:1}`, long),
		fmt.Sprintf(`{"deployment":%q}`, long),
		fmt.Sprintf(`{"app":%q,"app":%[1]q}`, long[:125<<10]),
	} {
		out := a.execute("TestLongInput-"+randomText(), input).ended()
		if cause := deref(out.Cause); deref(out.Error) != "Invalid" || len(cause) > 300 || !strings.Contains(cause, ":") {
			t.Errorf("%.60s: %s: %d bytes: %.400s", input, deref(out.Error), len(cause), cause)
		}
	}
}

// TestIDOfAFarTime: an execution that is started by hand can't have the id of another time, which would supersede all that follow or
// stand elsewhere in the history. Deployments after it go their way.
func TestIDOfAFarTime(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	for _, skew := range []time.Duration{73 * 365 * 24 * time.Hour, time.Hour, 16 * time.Minute, -16 * time.Minute, -24 * time.Hour} {
		id := deploy.NewID(time.Now().Add(skew), []byte(randomText()))
		for _, input := range []string{
			fmt.Sprintf(`{"app":%q,"environment":"production","commit_sha":%q}`, a.name, a.commit("far", config())),
			fmt.Sprintf(`{"app":%q,"environment":"production","action":"rollback"}`, a.name),
		} {
			out := a.execute(id[:len(id)-8]+randomText(), input).ended()
			if deref(out.Error) != "Invalid" || !strings.Contains(deref(out.Cause), "is the id of a deployment of") {
				t.Errorf("%v: %s: %s", skew, deref(out.Error), deref(out.Cause))
			}
		}
	}
	a.next("one")
	if page, _, err := a.store.List(t.Context(), deploy.Query{App: a.name, Limit: deploy.MaxPage}); err != nil || len(page) != 2 {
		t.Errorf("%d deployments, %v; want those that were not refused", len(page), err)
	}
}

// TestHealthGoesWithTheRelease takes a commit back that had moved the health check to another path.
func TestHealthGoesWithTheRelease(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config("health_check_path: /well"))).wants(deploy.Success)
	d := a.deploy(a.commit("bad", hasty("health_check_path: /healthz"))).wants(deploy.RolledBack)
	a.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	if d.Health.Path != "/healthz" || d.Previous.Health.Path != "/well" {
		t.Errorf("health %+v, of the one before %+v", d.Health, d.Previous.Health)
	}
	if asked := a.read("asked"); !strings.HasSuffix(asked, "/well") {
		t.Errorf("the last path asked for is %s, want that of the restored release", asked)
	}
}
