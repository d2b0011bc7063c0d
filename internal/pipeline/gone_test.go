package pipeline_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// gate is a script that waits until the test opens it.
const gate = `touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done; `

// removed deletes a function under the deployment that waits at its gate, and opens it.
func (a *app) removed(function string) {
	a.t.Helper()
	a.sees("in")
	if _, err := world.fn.DeleteFunction(a.t.Context(), &lambda.DeleteFunctionInput{FunctionName: &function}); err != nil {
		a.t.Fatal(err)
	}
	a.write("go", "")
}

// dirty checks that a deployment ended dirty, and says how that is repaired.
func (r *run) dirty(words string) *deploy.Deployment {
	r.a.t.Helper()
	d := r.wants(deploy.Failed)
	if !d.Dirty || d.Repair != deploy.RepairCommands(d.ID) || !strings.Contains(d.Error, words) {
		r.a.t.Errorf("dirty %v, repair %q, error %q; want it dirty for %q", d.Dirty, d.Repair, d.Error, words)
	}
	return d
}

// TestOneOfOursIsGone deletes functions of the machine while a deployment is on its way to them: each ends, whole or with the command
// that repairs it once the functions are back. Admit's is not among them: the local cloud goes on waiting for its token, AWS doesn't.
func TestOneOfOursIsGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		function, version string
		want              deploy.Status
		dirty             bool
		live              string
	}{
		{"build", "two", deploy.Failed, false, "one"},
		{"deploy", "two", deploy.Failed, false, "one"},
		{"shift", "two", deploy.RolledBack, false, "one"},
		{"healthcheck", "two", deploy.Failed, true, "one"},
		{"rollback", "bad", deploy.Failed, true, "one"},
		{"settle", "two", deploy.Success, false, "two"},
	} {
		t.Run(c.function, func(t *testing.T) {
			a := newApp(t)
			a.deploy(a.commit("one", config())).wants(deploy.Success)
			yaml := config("test=" + gate)
			if c.version == "bad" {
				yaml = hasty("test=" + gate)
			}
			r := a.deployBy(a.machine(c.function, hang), a.commit(c.version, yaml))
			a.removed(a.name + "-" + c.function)
			switch {
			case c.function == "settle":
				r.ended()
				a.sweep(r.endedEvent())
				r.recovered(c.want)
			case c.dirty:
				d := r.dirty("")
				repair := a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
				if repair.Repairs != d.ID || r.record().Dirty {
					t.Errorf("repairs %q, dirty %v", repair.Repairs, r.record().Dirty)
				}
			default:
				if d := r.wants(c.want); d.Dirty || !strings.Contains(d.Error, "Lambda.ResourceNotFoundException") {
					t.Errorf("dirty %v, error %q", d.Dirty, d.Error)
				}
			}
			a.next(c.live)
		})
	}
}

// gated is a commit whose deploy script waits at the gate, before its zip is published.
func (f *lambdaApp) gated(version string) string {
	f.t.Helper()
	f.write(version+".zip", string(pack(f.t, version)))
	return f.commit(version, "artifacts: [out/app.zip]\nhealth_check_timeout: 120\nscripts:\n  test: 'true'\n  build: mkdir out && cp \"$SERVE/"+version+
		".zip\" out/app.zip\n  deploy: "+strings.TrimSuffix(gate, "; ")+"\n")
}

// TestAliasIsGone deletes the target's alias under a deployment, which can neither go live then nor be taken back.
func TestAliasIsGone(t *testing.T) {
	localtest.Needs(t, localtest.AliasAgain)
	f := newLambdaApp(t)
	one := f.deploy(f.version("one")).wants(deploy.Success)
	r := f.deploy(f.gated("two"))
	f.sees("in")
	if _, err := world.fn.DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: &f.function, Name: aws.String("live")}); err != nil {
		t.Fatal(err)
	}
	f.write("go", "")
	r.dirty(`target.alias: function ` + f.function + ` has no alias "live"`)
	f.alias("1")
	repair := f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	if repair.Repairs != r.id || repair.RollbackTo != one.ID {
		t.Errorf("repairs %q by going back to %q, want %s by %s", repair.Repairs, repair.RollbackTo, r.id, one.ID)
	}
	f.answers("one")
	f.deploy(f.version("three")).wants(deploy.Success)
	f.answers("three")
}

// TestTargetIsGone deletes the target's function. Its versions are gone for good: the repair publishes the release anew, once there
// is a function again.
func TestTargetIsGone(t *testing.T) {
	f := newLambdaApp(t)
	for _, version := range []string{"zero", "one"} {
		f.deploy(f.version(version)).wants(deploy.Success)
	}
	r := f.deploy(f.gated("two"))
	url := &lambda.DeleteFunctionUrlConfigInput{FunctionName: &f.function, Qualifier: aws.String("live")}
	if _, err := world.fn.DeleteFunctionUrlConfig(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	f.removed(f.function)
	before := r.dirty(`target.function: there is no Lambda function "` + f.function + `"`).Previous.TargetVersion
	f.create()
	f.answers("placeholder")
	repair := f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("one")
	published := repair.Release.TargetVersion
	if live := f.head("production").Live; repair.Repairs != r.id || published == before || live.TargetVersion != published {
		t.Errorf("repairs %q, version %s of what was %s; live %+v", repair.Repairs, published, before, live)
	}
	f.deploy(f.version("three")).wants(deploy.Success)
	f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("one")
}
