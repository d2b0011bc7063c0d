package pipeline_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// stepAction does what CodePipeline's Step Functions action does with a standard state machine, with AWS's own library (CodePipeline
// user guide, "AWS Step Functions invoke action reference"): it starts an execution named by the action's own, which is a UUID, behind
// the prefix if there is one, and polls until that has ended. Then it has an outcome, two variables, and where all went well an artifact.
const stepAction = `
import json, sys, time, uuid, botocore.session
machine, prefix, text = sys.argv[1:]
client = botocore.session.get_session().create_client("stepfunctions")
name = (prefix + "-" if prefix else "") + str(uuid.uuid4())
arn = client.start_execution(stateMachineArn=machine, name=name, input=text)["executionArn"]
while True:
    got = client.describe_execution(executionArn=arn)
    if got["status"] != "RUNNING":
        break
    time.sleep(0.2)
print(json.dumps({"Succeeded": got["status"] == "SUCCEEDED", "Name": name, "ExecutionArn": arn, "StateMachineArn": got["stateMachineArn"],
    "Artifact": got["output"] if got["status"] == "SUCCEEDED" else "", "Status": got["status"], "Error": got.get("error", ""), "Cause": got.get("cause", "")}))
`

// acted is how an action ended.
type acted struct {
	Succeeded                           bool
	Name, ExecutionArn, StateMachineArn string
	Artifact, Status, Error, Cause      string
}

// action begins an action whose configuration is docs/doors.md's, with the variables filled in, and gives how to wait for its end.
func (a *app) action(prefix, commit string) func() acted {
	a.t.Helper()
	doc, err := os.ReadFile("../../docs/doors.md")
	if err != nil {
		a.t.Fatal(err)
	}
	input := regexp.MustCompile("(?m)^\\| `Input` \\| `(.*)` \\|$").FindSubmatch(doc)
	if input == nil {
		a.t.Fatal("docs/doors.md has no row for Input")
	}
	text := strings.NewReplacer(`"shop"`, `"`+a.name+`"`, "#{SourceVariables.CommitId}", commit, "#{SourceVariables.BranchName}", "main").Replace(string(input[1]))
	type end struct {
		out string
		err error
	}
	ends := make(chan end, 1)
	go func() {
		out, err := try(a.t, nil, filepath.Join("..", "..", ".slipway", "venv", "bin", "python3"), "-c", stepAction, world.out.StateMachineARN, prefix, text)
		ends <- end{out, err}
	}()
	return func() (got acted) {
		a.t.Helper()
		e := <-ends
		if e.err == nil {
			e.err = json.Unmarshal([]byte(e.out), &got)
		}
		if e.err != nil {
			a.t.Fatalf("%v: %s", e.err, e.out)
		}
		return got
	}
}

// of finds the deployment that an action's execution was.
func (a *app) of(got acted) *deploy.Deployment {
	a.t.Helper()
	for _, listed := range a.deployments() { // which says little of each
		if d := (&run{a: a, id: listed.ID}).record(); d.Execution == got.ExecutionArn {
			return d
		}
	}
	a.t.Fatalf("no deployment of %s, %s %s", got.ExecutionArn, got.Error, got.Cause)
	return nil
}

// TestStepFunctionsAction: a pipeline's action tells the truth about the deployment, whatever the execution's name.
func TestStepFunctionsAction(t *testing.T) {
	a := newApp(t)
	repo, one := a.fetched("main")
	a.Environments["staging"] = a.Environments["production"]
	a.apply()
	commit := func(yaml string) string {
		repo.Write("version", yaml)
		repo.Write("slipway.yaml", yaml)
		sha := repo.Commit("next")
		repo.Push("main")
		return sha
	}
	for _, prefix := range []string{"", "slipway", strings.Repeat("p", 43)} { // an execution's name has 80 characters at most
		got := a.action(prefix, one)()
		d := a.of(got)
		if !got.Succeeded || d.Status != deploy.Success || d.CommitSHA != one || d.Branch != "main" || d.Environment != "staging" {
			t.Errorf("%+v: %s of %s to %s", got, d.Status, d.CommitSHA, d.Environment)
		}
		if deploy.ValidID(got.Name) || !deploy.ValidID(d.ID) || !strings.HasPrefix(got.Name, prefix) {
			t.Errorf("the execution is %s, the deployment %s", got.Name, d.ID)
		}
		var artifact struct{ Deployment, App, Environment, Status string }
		if err := json.Unmarshal([]byte(got.Artifact), &artifact); err != nil || artifact.Deployment != d.ID || artifact.App != a.name ||
			artifact.Environment != "staging" || artifact.Status != "success" || len(got.Artifact) > 1000 {
			t.Errorf("the artifact: %s, %v", got.Artifact, err)
		}
		if again := d.Stage("build").Outcome == deploy.Skipped; again != (prefix != "") {
			t.Errorf("build with prefix %q: %+v", prefix, d.Stage("build"))
		}
	}
	a.serves("one")

	bad := a.action("slipway", commit(hasty(`deploy=echo bad > "$SERVE/live"`)))()
	if d := a.of(bad); bad.Succeeded || bad.Status != "FAILED" || bad.Error != "HealthCheckFailed" || d.Status != deploy.RolledBack || !strings.Contains(bad.Cause, d.Error) || bad.Artifact != "" {
		t.Errorf("%+v: %s, %s", bad, d.Status, d.Error)
	}
	a.serves("one")
}

// TestStepFunctionsActionCutShort: the action fails whose commit gave its place in the queue to a newer one's, and the one whose
// deployment somebody cancelled, since neither is live.
func TestStepFunctionsActionCutShort(t *testing.T) {
	a := newApp(t)
	a.Environments["staging"] = a.Environments["production"]
	a.apply()
	first := a.action("", a.commit("first", config(`deploy=while [ ! -e "$SERVE/go" ]; do sleep 0.1; done; cp out/version "$SERVE/live"`)))
	waitFor(t, "the first's turn", func() (int, bool) { return 0, a.head("staging").Holder != nil })
	second := a.action("", a.commit("second", config()))
	waitFor(t, "the second to wait", func() (int, bool) { return 0, a.head("staging").Waiting != nil })
	third := a.action("", a.commit("third", config()))
	got := second()
	d := a.of(got)
	if got.Succeeded || got.Status != "FAILED" || got.Error != string(deploy.Superseded) || d.Status != deploy.Aborted || d.SupersededBy == "" || !strings.Contains(got.Cause, d.SupersededBy) {
		t.Errorf("%+v: %s, superseded by %q", got, d.Status, d.SupersededBy)
	}
	a.write("go", "")
	if got := first(); !got.Succeeded {
		t.Errorf("%+v", got)
	}
	if got := third(); !got.Succeeded || a.of(got).ID != d.SupersededBy {
		t.Errorf("%+v; the second was superseded by %s", got, d.SupersededBy)
	}
	a.serves("third")

	fourth := a.action("", a.commit("fourth", config(`deploy=echo half > "$SERVE/live"; sleep 60`)))
	waitFor(t, "the fourth to be half done", func() (int, bool) { return 0, a.read("live") == "half" })
	shell(t, nil, filepath.Join("..", "..", "bin", "slipway"), "cancel", a.head("staging").Holder.Deployment)
	if got := fourth(); got.Succeeded || got.Status != "FAILED" || got.Error != string(deploy.Cancelled) || a.of(got).Status != deploy.Aborted {
		t.Errorf("%+v", got)
	}
	a.serves("third")
}
