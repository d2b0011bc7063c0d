package pipeline_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// promoted is a commit whose build and whose deploy script write down which API they see.
const promoted = `artifacts: [out.js]
scripts:
  test: 'echo "test sees [$API_URL] [$COMMON] [$SLIPWAY_ENVIRONMENT]"'
  build: 'echo "[$API_URL] [$COMMON] [$SLIPWAY_ENVIRONMENT]" > out.js; echo built >> "$SERVE/builds"'
  deploy: 'cat out.js > "$SERVE/live"; echo "$API_URL $COMMON $SLIPWAY_ENVIRONMENT" > "$SERVE/deployed"'
  rollback: "true"
environment_variables: {COMMON: of the commit}
environments:
  staging: {environment_variables: {COMMON: of staging}}
`

// promotion makes an app whose two environments have an API each; live is checked to be something, and no more.
func (a *app) promotion() {
	a.t.Helper()
	for name, api := range map[string]string{"staging": "https://typo.example.com", "production": "https://api.example.com"} {
		s := a.Environments["production"]
		s.Variables = map[string]string{"SERVE": a.dir, "API_URL": api}
		a.Environments[name] = s
	}
	a.apply()
}

// TestBuildsGetNothingOfAnEnvironment: what is built for one environment and promoted to the next holds neither's variables, not
// those that app.yaml gives it nor those of its section in slipway.yaml; the scripts that deploy get them all.
func TestBuildsGetNothingOfAnEnvironment(t *testing.T) {
	for name, newApp := range map[string]func(*testing.T) *app{"in functions": newApp, "in CodeBuild": newBuildApp} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.promotion()
			sha := a.commit("one", promoted)

			r := a.start(map[string]any{"commit_sha": sha, "environment": "staging"})
			first := r.wants(deploy.Success)
			if got := a.read("live"); got != "[] [of the commit] []" {
				t.Errorf("staging got %q", got)
			}
			if got := a.read("deployed"); got != "https://typo.example.com of staging staging" {
				t.Errorf("staging's script saw %q", got)
			}
			if out := r.output(); !strings.Contains(out, "test sees [] [of the commit] []") {
				t.Errorf("output:\n%s", out)
			}
			for _, hint := range []string{
				"test and build don't get API_URL, which is of the environment; build_variables in app.yaml are for them",
				"test and build don't get SLIPWAY_ENVIRONMENT: a release is built once for all environments",
			} {
				if log := strings.Join(first.Logs, "\n"); !strings.Contains(log, hint) {
					t.Errorf("no hint %q in:\n%s", hint, log)
				}
			}

			d := a.deploy(sha).wants(deploy.Success)
			if got := a.read("live"); got != "[] [of the commit] []" || d.Release.BuiltBy != first.ID || a.read("builds") != "built" {
				t.Errorf("production got %q, built by %s, builds:\n%s", got, d.Release.BuiltBy, a.read("builds"))
			}
			if got := a.read("deployed"); got != "https://api.example.com of the commit production" {
				t.Errorf("production's script saw %q", got)
			}
		})
	}
}

// TestBuildVariables: a build gets the app's own; once they change, the commit is built anew, and after that it is taken again.
func TestBuildVariables(t *testing.T) {
	for name, newApp := range map[string]func(*testing.T) *app{"in functions": newApp, "in CodeBuild": newBuildApp} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.Variables = map[string]string{"SERVE": a.dir, "API_URL": "https://typo.example.com", "COMMON": "of the app"}
			a.promotion()
			sha := a.commit("one", promoted)

			a.start(map[string]any{"commit_sha": sha, "environment": "staging"}).wants(deploy.Success)
			if got := a.read("live"); got != "[https://typo.example.com] [of the app] []" {
				t.Errorf("built with %q", got)
			}

			a.Variables = maps.Clone(a.Variables)
			a.Variables["API_URL"] = "https://all.example.com"
			a.apply()
			second := a.start(map[string]any{"commit_sha": sha, "environment": "staging"}).wants(deploy.Success)
			if got := a.read("live"); got != "[https://all.example.com] [of the app] []" || second.Release.BuiltBy != second.ID {
				t.Errorf("after they were mended: built with %q by %s", got, second.Release.BuiltBy)
			}
			if log := strings.Join(second.Logs, "\n"); !strings.Contains(log, "built anew") || !strings.Contains(log, "build_variables were others") {
				t.Errorf("not said:\n%s", log)
			}

			third := a.deploy(sha).wants(deploy.Success)
			if third.Release.BuiltBy != second.ID {
				t.Errorf("promoted what %s built, want %s", third.Release.BuiltBy, second.ID)
			}
		})
	}
}

// TestRebuild: a rebuild builds and tests what was built and tested, says so, and its release is the commit's from then on.
func TestRebuild(t *testing.T) {
	for name, newApp := range map[string]func(*testing.T) *app{"in functions": newApp, "in CodeBuild": newBuildApp} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			build := `build=mkdir -p out; cp "$SERVE/input" out/version; echo built >> "$SERVE/builds"`
			sha := a.commit("one", config(build))
			a.write("input", "one\n")
			first := a.deploy(sha).wants(deploy.Success)

			a.write("input", "two\n")
			if d := a.deploy(sha).wants(deploy.Success); d.Release.BuiltBy != first.ID {
				t.Errorf("without a word it was built anew, by %s", d.Release.BuiltBy)
			}
			a.serves("one")

			again := a.start(map[string]any{"commit_sha": sha, "rebuild": true}).wants(deploy.Success)
			a.serves("two")
			if log := strings.Join(again.Logs, "\n"); !strings.Contains(log, "not taken from "+first.ID+": a rebuild was asked for") {
				t.Errorf("not said:\n%s", log)
			}
			if again.Release.TestedBy != again.ID || again.Release.BuiltBy != again.ID {
				t.Errorf("release %+v", again.Release)
			}

			if d := a.deploy(sha).wants(deploy.Success); d.Release.BuiltBy != again.ID {
				t.Errorf("the next one took what %s built", d.Release.BuiltBy)
			}
			if got := a.read("builds"); got != "built\nbuilt" {
				t.Errorf("builds:\n%s", got)
			}
		})
	}
}

// TestMissingSecretFailsBeforeTheFirstChange: the environment's secrets are first looked up by the scripts that deploy. One that isn't
// there mustn't be found out half-way, when the way back would miss it as well.
func TestMissingSecretFailsBeforeTheFirstChange(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	s := a.Environments["production"]
	s.Variables = map[string]string{"SERVE": a.dir, "KEY": "ssm:no-such-" + a.name}
	a.Environments["production"] = s
	a.apply()
	d := a.deploy(a.commit("two", config())).wants(deploy.Failed)
	if d.Changed != nil || d.Dirty || !strings.Contains(d.Error, "environment_variables.KEY") {
		t.Errorf("changed %v, dirty %v, error %q", d.Changed, d.Dirty, d.Error)
	}
	a.serves("one")

	a.Variables = map[string]string{"SERVE": a.dir, "NPM": "ssm:no-such-" + a.name}
	a.apply()
	d = a.deploy(a.commit("three", config())).wants(deploy.Failed)
	if d.Changed != nil || !strings.Contains(d.Error, "build_variables.NPM") {
		t.Errorf("changed %v, error %q", d.Changed, d.Error)
	}
}

// TestDeploysNothing: a script target that no script changes is a success that did nothing, and says so.
func TestDeploysNothing(t *testing.T) {
	a := newApp(t)
	const hint = "nothing deploys it"
	for name, c := range map[string]struct {
		yaml string
		said bool
	}{
		"no slipway.yaml of use": {"scripts: {test: '', build: '', rollback: 'true'}", true},
		"a deploy script":        {"scripts: {test: '', build: '', deploy: 'true', rollback: 'true'}", false},
		"a hook":                 {"scripts: {test: '', build: '', rollback: 'true'}\nhooks: {post_deploy: ['true']}", false},
	} {
		a.write("live", "one\n")
		d := a.deploy(a.commit("one", c.yaml)).wants(deploy.Success)
		if log := strings.Join(d.Logs, "\n"); strings.Contains(log, hint) != c.said {
			t.Errorf("%s: said %v, want %v:\n%s", name, !c.said, c.said, log)
		}
	}
}
