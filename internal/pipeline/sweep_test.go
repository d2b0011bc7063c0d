package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// rules are infra's EndedRule and SweepRule.
var rules = []string{"slipway-ended", "slipway-sweep"}

// stop is the console's Stop button.
func (r *run) stop() {
	r.a.t.Helper()
	if _, err := world.sfn.StopExecution(r.a.t.Context(), &sfn.StopExecutionInput{ExecutionArn: &r.arn, Cause: aws.String("somebody pressed Stop")}); err != nil {
		r.a.t.Fatal(err)
	}
}

// in waits until the execution is in a state.
func (r *run) in(state string) {
	r.a.t.Helper()
	waitFor(r.a.t, r.id+" to be in "+state, func() (int, bool) {
		names := strings.Fields(r.states())
		return 0, len(names) > 0 && names[len(names)-1] == state
	})
}

// ended is the event that EventBridge sends of the execution's end, in the form of Step Functions' documentation.
func (r *run) endedEvent() []byte {
	r.a.t.Helper()
	out, err := world.sfn.DescribeExecution(r.a.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &r.arn})
	if err != nil {
		r.a.t.Fatal(err)
	}
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175", "detail-type": "Step Functions Execution Status Change",
		"source": "aws.states", "account": "000000000000", "time": out.StopDate, "region": "us-east-1", "resources": []string{r.arn},
		"detail": map[string]any{
			"executionArn": r.arn, "stateMachineArn": out.StateMachineArn, "name": out.Name, "status": out.Status,
			"startDate": out.StartDate.UnixMilli(), "stopDate": out.StopDate.UnixMilli(), "input": out.Input, "output": nil,
		},
	})
	if err != nil {
		r.a.t.Fatal(err)
	}
	return event
}

var tick = []byte(`{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","account":"000000000000","time":"2026-11-25T12:00:00Z","region":"us-east-1","resources":[],"detail":{}}`)

// sweep calls the function as EventBridge does.
func (a *app) sweep(event []byte) {
	a.t.Helper()
	out, err := world.fn.Invoke(a.t.Context(), &lambda.InvokeInput{FunctionName: aws.String("slipway-sweep"), Payload: event})
	switch {
	case err != nil:
		a.t.Error(err)
	case out.FunctionError != nil:
		a.t.Errorf("sweep: %s", out.Payload)
	}
}

// doors are the ways on which the death of an execution is heard of.
var doors = map[string]func(a *app, r *run){
	"event": func(a *app, r *run) { a.sweep(r.endedEvent()) },
	"sweep": func(a *app, _ *run) { a.sweep(tick) },
	"both, twice": func(a *app, r *run) {
		event := r.endedEvent()
		var all sync.WaitGroup
		for _, each := range [][]byte{event, tick, event, tick} {
			all.Go(func() { a.sweep(each) })
		}
		all.Wait()
	},
}

// recovered waits for the deployment's end, and checks that one recovery brought it about.
func (r *run) recovered(status deploy.Status) *deploy.Deployment {
	r.a.t.Helper()
	d := waitFor(r.a.t, r.id+" to end", func() (*deploy.Deployment, bool) {
		d := r.record()
		return d, d.Status.Ended()
	})
	if d.Status != status || d.Dirty {
		r.a.t.Errorf("%s is %s, dirty %v, want %s; error %q, timeline:\n%s", r.id, d.Status, d.Dirty, status, d.Error, strings.Join(d.Logs, "\n"))
	}
	if d.Recovery == nil || d.Recovery.Number != 1 || d.EndTime == nil {
		r.a.t.Fatalf("recovery %+v, ended %v; want the first, and ended", d.Recovery, d.EndTime)
	}
	recovery := run{r.a, r.id, d.Execution}
	if out := recovery.ended(); (out.Status == types.ExecutionStatusSucceeded) != (status == deploy.Success) {
		r.a.t.Errorf("the recovery is %s: %s", out.Status, aws.ToString(out.Cause))
	}
	second := strings.TrimSuffix(d.Execution, "1") + "2"
	if _, err := world.sfn.DescribeExecution(r.a.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &second}); err == nil {
		r.a.t.Errorf("%s was recovered twice", r.id)
	}
	h := r.a.head(d.Environment)
	for _, turn := range []*deploy.Turn{h.Holder, h.Waiting} {
		if turn != nil && turn.Deployment == d.ID {
			r.a.t.Errorf("%s ended and is still in %s: %+v", r.id, d.Environment, h)
		}
	}
	return d
}

// next checks that the environment is whole: what serves is healthy, and another commit goes through.
func (a *app) next(serving string) {
	a.t.Helper()
	a.serves(serving)
	resp, err := http.Get(a.Environments["production"].URL + "/health")
	if err != nil {
		a.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		a.t.Errorf("%s is not healthy: %s", a.name, resp.Status)
	}
	a.deploy(a.commit("next", config())).wants(deploy.Success)
	a.serves("next")
}

// hang is a function that never answers.
const hang = "#!/bin/sh\nexec sleep 100\n"

// machine is the state machine with another program for one of its functions, which keeps its role and environment variables.
func (a *app) machine(function, program string) string {
	a.t.Helper()
	name := a.name + "-" + function
	replaced, err := world.fn.GetFunctionConfiguration(a.t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("slipway-" + function)})
	if err != nil {
		a.t.Fatal(err)
	}
	fn, err := world.fn.CreateFunction(a.t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Timeout: aws.Int32(60),
		Role: replaced.Role, Environment: &lambdatypes.Environment{Variables: replaced.Environment.Variables}, Code: &lambdatypes.FunctionCode{ZipFile: zipped(a.t, map[string][]byte{"bootstrap": []byte(program)})},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	real, err := world.sfn.DescribeStateMachine(a.t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &world.out.StateMachineARN})
	if err != nil {
		a.t.Fatal(err)
	}
	old := strings.TrimSuffix(*fn.FunctionArn, name) + "slipway-" + function
	if !strings.Contains(*real.Definition, old) {
		a.t.Fatalf("the definition has no %s", old)
	}
	made, err := world.sfn.CreateStateMachine(a.t.Context(), &sfn.CreateStateMachineInput{
		Name: &a.name, RoleArn: real.RoleArn, Definition: aws.String(strings.ReplaceAll(*real.Definition, old, *fn.FunctionArn)),
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return *made.StateMachineArn
}

func (a *app) deployBy(machine, sha string) *run {
	a.t.Helper()
	return a.deployAs(deploy.NewID(time.Now(), []byte(randomText())), machine, sha)
}

// deployAs starts a deployment under an id of the test's own choosing, which may be of long ago, as the API does: its record is there.
func (a *app) deployAs(id, machine, sha string) *run {
	a.t.Helper()
	d := deploy.New(id, deploy.Deploy, a.name, "production", deploy.IDTime(id))
	d.CommitSHA = sha
	if err := world.store.Create(a.t.Context(), d); err != nil {
		a.t.Fatal(err)
	}
	return a.executeOn(machine, id, fmt.Sprintf(`{"deployment":%q}`, id))
}

// TestUnsettled crashes settle wherever it is called: the execution ends with its record open.
func TestUnsettled(t *testing.T) {
	for _, c := range []struct {
		yaml string
		want deploy.Status
		live string
	}{{config(), deploy.Success, "two"}, {config(`deploy=echo half > "$SERVE/live"; exit 1`), deploy.RolledBack, "one"}} {
		t.Run(string(c.want), func(t *testing.T) {
			a := newApp(t)
			a.deploy(a.commit("one", config())).wants(deploy.Success)
			r := a.deployBy(a.machine("settle", "#!/bin/sh\nexit 1\n"), a.commit("two", c.yaml))
			if out := r.ended(); out.Status != types.ExecutionStatusFailed || *out.Error != "Unsettled" || r.record().Status != deploy.Running {
				t.Fatalf("the execution is %s %s, the record %s", out.Status, aws.ToString(out.Error), r.record().Status)
			}
			a.sweep(tick)
			r.recovered(c.want)
			a.next(c.live)
		})
	}
}

// TestStopWhileWaiting stops one that waits for its turn: it leaves the queue.
func TestStopWhileWaiting(t *testing.T) {
	for _, action := range []string{"Admit", "AdmitRollback"} {
		for name, door := range doors {
			t.Run(action+" "+name, func(t *testing.T) {
				a := newApp(t)
				a.deploy(a.commit("zero", config())).wants(deploy.Success)
				a.deploy(a.commit("one", config())).wants(deploy.Success)
				first := a.deploy(a.commit("two", config(`deploy=touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done; cp out/version "$SERVE/live"`)))
				a.sees("in")
				input := map[string]any{"action": "rollback"}
				if action == "Admit" {
					input = map[string]any{"commit_sha": a.commit("three", config())}
				}
				second := a.start(input)
				waitFor(t, "the second to wait", func() (int, bool) { return 0, a.head("production").Waiting != nil })
				second.stop()
				door(a, second)
				second.recovered(deploy.Aborted)
				if h := a.head("production"); h.Waiting != nil || h.Holder == nil || h.Holder.Deployment != first.id {
					t.Errorf("head %+v, want the first alone", h)
				}
				a.write("go", "")
				first.wants(deploy.Success)
				a.next("two")
			})
		}
	}
}

// TestStoppedBeforeItsTurnBegins hands the environment over to an execution that is gone.
func TestStoppedBeforeItsTurnBegins(t *testing.T) {
	a := loneApp(t) // no sweep of another test's may come first
	first := a.deploy(a.commit("one", config(`deploy=touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done; cp out/version "$SERVE/live"`)))
	a.sees("in")
	second := a.deploy(a.commit("two", config()))
	waitFor(t, "the second to wait", func() (int, bool) { return 0, a.head("production").Waiting != nil })
	second.stop()
	a.write("go", "")
	first.wants(deploy.Success)
	if h := a.head("production"); h.Holder == nil || h.Holder.Deployment != second.id {
		t.Fatalf("head %+v, want the dead one to hold it", h)
	}
	third := a.deploy(a.commit("three", config()))
	waitFor(t, "the third to wait", func() (int, bool) { return 0, a.head("production").Waiting != nil })
	a.sweep(second.endedEvent())
	second.recovered(deploy.Aborted)
	third.wants(deploy.Success)
	a.next("three")
}

// TestZombie lets a dead execution's handlers go on, by the state that they had: they change nothing, whatever they do.
func TestZombie(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	r := a.stopLingering(config(`deploy=echo half > "$SERVE/live"; ` + linger))
	before := r.record()
	a.sweep(tick)
	r.recovered(deploy.Aborted)
	after := r.record()
	call := map[string]any{"execution": r.arn, "start_time": before.StartTime, "token": "dead", "state": map[string]any{
		"deployment": r.id, "app": a.name, "environment": "production", "action": "deploy", "fence": before.Fence}}
	for _, function := range []string{"test", "build", "admit", "deploy", "shift", "healthcheck", "rollback", "settle"} {
		st, failure := a.invoke(function, call)
		if function != "admit" && !strings.Contains(failure, "Fenced") { // admit tells the machine by a token, which nobody waits with any more
			t.Errorf("%s goes on: %v %s", function, st, failure)
		}
	}
	call["state"] = map[string]any{"app": a.name, "environment": "production", "commit_sha": before.CommitSHA}
	if st, failure := a.invoke("prepare", call); failure == "" {
		t.Errorf("prepare goes on: %v", st)
	}
	if now := r.record(); now.Version != after.Version || now.Fence <= before.Fence {
		t.Errorf("the record has version %d, had %d; fence %d, had %d", now.Version, after.Version, now.Fence, before.Fence)
	}
	a.next("one")
}

// TestEndedRule has EventBridge itself tell of a death.
func TestEndedRule(t *testing.T) { loneApp(t).diesUnder(rules[0]) }

// TestSweepRule has EventBridge's minute pass.
func TestSweepRule(t *testing.T) { newApp(t).diesUnder(rules[1]) }

func (a *app) diesUnder(rule string) {
	a.t.Helper()
	set(a.t, rule)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	r := a.stopLingering(config(`deploy=echo half > "$SERVE/live"; ` + linger))
	begin := time.Now()
	r.recovered(deploy.Aborted)
	a.t.Logf("ended %v after its death", time.Since(begin).Round(100*time.Millisecond))
	a.quiet()
	a.next("one")
}

// set enables a rule for the test's time.
func set(t *testing.T, rule string) {
	t.Helper()
	if _, err := world.bus.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: &rule}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shut(context.Background()); err != nil {
			t.Log(err)
		}
	})
}
