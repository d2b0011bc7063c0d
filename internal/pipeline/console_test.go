package pipeline_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// console reads docs/console.md: its inputs in their order, and the rows of its table.
func console(t *testing.T) (inputs []string, rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		inputs = append(inputs, block[1])
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(.*)` \\| `(\\w+)` \\| `(.*)` \\|$").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, row[1:])
	}
	return inputs, rows
}

// byHand starts an execution as the console does: with an input and no name of ours.
func (a *app) byHand(input string) *run {
	a.t.Helper()
	out, err := world.sfn.StartExecution(a.t.Context(), &sfn.StartExecutionInput{StateMachineArn: &world.out.StateMachineARN, Input: &input})
	if err != nil {
		a.t.Fatal(err)
	}
	r := &run{a: a, arn: *out.ExecutionArn}
	r.ended()
	page, _, err := world.store.List(a.t.Context(), deploy.Query{App: a.name, Limit: 1})
	if err != nil || len(page) == 0 {
		a.t.Fatalf("%s: no record, %v", input, err)
	}
	r.id = page[0].ID
	if d := r.record(); d.Execution != r.arn {
		a.t.Fatalf("%s: the newest record, %s, is of %s and not of %s", input, d.ID, d.Execution, r.arn)
	}
	return r
}

// TestConsole starts what docs/console.md has an operator start, to the letter, for the app that it speaks of.
func TestConsole(t *testing.T) {
	inputs, rows := console(t)
	if len(inputs) != 6 || len(rows) < 10 {
		t.Fatalf("%d inputs, %d rows", len(inputs), len(rows))
	}
	rollBack, rollBackTo, deployOne := inputs[0], inputs[1], inputs[2]
	var named struct {
		To     string
		Commit string `json:"commit_sha"`
	}
	for _, input := range inputs {
		if err := json.Unmarshal([]byte(input), &named); err != nil {
			t.Fatal(err)
		}
	}
	a := newApp(t)
	a.Name, a.name = "shop", "shop"
	a.apply()
	a.deployAs(named.To, world.out.StateMachineARN, a.commit("first", config())).wants(deploy.Success)

	a.rename(a.commit("one", config()), named.Commit)
	one := a.byHand(deployOne)
	one.wants(deploy.Success)
	a.serves("one")
	if d := one.record(); d.CommitSHA != named.Commit || d.Branch != "main" || d.Metadata["started_by"] != "execution" {
		t.Errorf("%s of %s by %v", d.CommitSHA, d.Branch, d.Metadata)
	}
	a.deploy(a.commit("two", config())).wants(deploy.Success)
	a.serves("two")

	back := a.byHand(rollBack)
	back.wants(deploy.Success)
	a.serves("one")
	a.byHand(rollBackTo).wants(deploy.Success)
	a.serves("first")
	a.repairedByHand(inputs[3:], deployOne)
	for _, row := range rows {
		a.refused(row[0], row[1], row[2])
	}
}

// repairedByHand makes the environment dirty for each of the inputs that repair one. The last names the dirty deployment.
func (a *app) repairedByHand(inputs []string, plain string) {
	a.t.Helper()
	for _, input := range inputs {
		a.deploy(a.commit("fragile", config("rollback=exit 1"))).wants(deploy.Success)
		dirty := a.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
		a.byHand(plain).wants(deploy.Failed)
		repair := a.byHand(regexp.MustCompile(`("repairs": ")[^"]*`).ReplaceAllString(input, "${1}"+dirty.ID))
		d := repair.wants(deploy.Success)
		if h := a.head("production"); h.Dirty || d.Repairs != dirty.ID || d.Repairing == nil || d.Repairing.Why == "" {
			a.t.Errorf("%s: repairs %q, %+v; head %+v", input, d.Repairs, d.Repairing, h)
		}
	}
}

// rename puts a commit's bundle where another commit's would be.
func (a *app) rename(from, to string) {
	a.t.Helper()
	at := func(commit string) string { return "sources/" + a.name + "/" + commit + ".tar.gz" }
	_, err := world.s3.CopyObject(a.t.Context(), &s3.CopyObjectInput{Bucket: &world.out.Bucket, CopySource: aws.String(world.out.Bucket + "/" + at(from)), Key: aws.String(at(to))})
	if err != nil {
		a.t.Fatal(err)
	}
}

// refused starts what can't be right, and reads what the console shows of it.
func (a *app) refused(input, kind, cause string) {
	a.t.Helper()
	out, err := world.sfn.StartExecution(a.t.Context(), &sfn.StartExecutionInput{StateMachineArn: &world.out.StateMachineARN, Input: &input})
	if err != nil {
		a.t.Fatalf("%s: %v", input, err)
	}
	end := (&run{a: a, arn: *out.ExecutionArn}).ended()
	if end.Status != types.ExecutionStatusFailed || aws.ToString(end.Error) != kind || aws.ToString(end.Cause) != cause {
		a.t.Errorf("%s: %s, %s\n%s\nwant %s\n%s", input, end.Status, aws.ToString(end.Error), aws.ToString(end.Cause), kind, cause)
	}
}
