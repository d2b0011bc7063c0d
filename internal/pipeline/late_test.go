package pipeline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/traffic"
)

// stalling is Lambda's client whose first call of one operation doesn't go out until it may.
type stalling struct {
	traffic.Client
	op         string
	there, may chan struct{}
}

func (c *stalling) stall(op string) {
	if op == c.op {
		c.op = ""
		close(c.there)
		<-c.may
	}
}

func (c *stalling) GetAlias(ctx context.Context, in *lambda.GetAliasInput, opts ...func(*lambda.Options)) (*lambda.GetAliasOutput, error) {
	c.stall("GetAlias")
	return c.Client.GetAlias(ctx, in, opts...)
}

func (c *stalling) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput, opts ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error) {
	c.stall("UpdateAlias")
	return c.Client.UpdateAlias(ctx, in, opts...)
}

// late runs a stage of r in this process until it is about to make a call of Lambda's. Go lets it make it, and gives its error.
func (r *run) late(op string, stage func(pipeline.Workshop, pipeline.Targets) pipeline.Stage) (goOn func() error) {
	r.a.t.Helper()
	client := &stalling{world.fn, op, make(chan struct{}), make(chan struct{})}
	desk := pipeline.Desk{Records: world.store, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	s := stage(pipeline.Workshop{Desk: desk}, traffic.NewLambda(client, world.out.Bucket))
	d, ended := r.record(), make(chan error, 1)
	go func() {
		_, err := s.Run(context.WithoutCancel(r.a.t.Context()), pipeline.Call{State: state(d, d.Fence), Execution: d.Execution})
		ended <- err
	}()
	select {
	case <-client.there:
	case err := <-ended:
		r.a.t.Fatalf("it ended before %s: %v", op, err)
	}
	return func() error {
		close(client.may)
		return <-ended
	}
}

// redriven does what RedriveExecution does, which the local cloud lacks, when a newer deployment is live: the state in which the
// execution ended is entered again with the input that it had, and the machine goes on from there. Nothing comes of it.
func (r *run) redriven() {
	r.a.t.Helper()
	t, head, live := r.a.t, r.a.head("production"), r.a.read("live")
	state, input := r.last()
	machine, err := world.sfn.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &world.out.StateMachineARN})
	if err != nil {
		t.Fatal(err)
	}
	var definition map[string]any
	if err := json.Unmarshal([]byte(*machine.Definition), &definition); err != nil {
		t.Fatal(err)
	}
	definition["StartAt"] = state
	text, _ := json.Marshal(definition)
	made, err := world.sfn.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String(r.a.name + "-redriven"), RoleArn: machine.RoleArn, Definition: aws.String(string(text))})
	if err != nil {
		t.Fatal(err)
	}
	started, err := world.sfn.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: made.StateMachineArn, Name: &r.id, Input: &input})
	if err != nil {
		t.Fatal(err)
	}
	again := run{r.a, r.id, *started.ExecutionArn}
	if out := again.ended(); out.Status != types.ExecutionStatusFailed {
		t.Errorf("from %s on it is %s: %s", state, out.Status, again.states())
	}
	t.Logf("entered again: %s", again.states())
	if now := r.a.head("production"); !reflect.DeepEqual(now, head) || r.a.read("live") != live {
		t.Errorf("%s serves, head %+v; want %s, %+v", r.a.read("live"), now, live, head)
	}
}

// last is the state in which the execution ended, with its input; the first one where it did not get that far.
func (r *run) last() (state, input string) {
	r.a.t.Helper()
	out, err := world.sfn.DescribeExecution(r.a.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &r.arn})
	if err != nil {
		r.a.t.Fatal(err)
	}
	state, input = "Prepare", *out.Input
	pages := sfn.NewGetExecutionHistoryPaginator(world.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: &r.arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(r.a.t.Context())
		if err != nil {
			r.a.t.Fatal(err)
		}
		for _, e := range page.Events {
			if entered := e.StateEnteredEventDetails; entered != nil {
				state, input = *entered.Name, *entered.Input
			}
		}
	}
	if state == "Bake" {
		state = "HealthCheck" // what has been waited for before isn't here
	}
	return state, input
}

// TestLateAlias has handlers of a dead execution stall between their last look at the record and what they do to the alias, and go
// on when the deployment is undone, or when a newer one is live: the alias stays.
func TestLateAlias(t *testing.T) {
	t.Parallel()
	stages := map[string]func(pipeline.Workshop, pipeline.Targets) pipeline.Stage{
		"Shift": func(w pipeline.Workshop, t pipeline.Targets) pipeline.Stage {
			return &pipeline.Shift{Workshop: w, Targets: t}
		},
		"Rollback": func(w pipeline.Workshop, t pipeline.Targets) pipeline.Stage {
			return &pipeline.Rollback{Workshop: w, Targets: t}
		},
	}
	for _, c := range []struct {
		state, function, op, version string
		ends                         deploy.Status
		kept, newer                  bool
	}{
		{"Shift", "shift", "GetAlias", "two", deploy.Aborted, false, false},
		{"Shift", "shift", "UpdateAlias", "two", deploy.Aborted, false, false},
		{"Shift", "shift", "UpdateAlias", "two", deploy.Failed, true, true},
		{"Rollback", "rollback", "GetAlias", "bad", deploy.RolledBack, false, true},
		{"Rollback", "rollback", "UpdateAlias", "bad", deploy.RolledBack, false, true},
	} {
		t.Run(c.state+" before "+c.op+map[bool]string{true: ", a newer one live"}[c.newer], func(t *testing.T) {
			f := newLambdaApp(t)
			f.deploy(f.version("one")).wants(deploy.Success)
			settings := f.Environments["production"]
			enabled := !c.kept
			settings.RollbackEnabled = &enabled
			f.Environments["production"] = settings
			f.apply()
			r := f.deployBy(f.machine(c.function, hang), f.version(c.version))
			r.in(c.state)
			goOn := r.late(c.op, stages[c.state])
			r.stop()
			f.sweep(r.endedEvent())
			r.recovered(c.ends)
			live := "one"
			if c.newer {
				live = "three"
				f.deploy(f.version(live)).wants(deploy.Success)
			}
			before := r.record().Version
			if err := goOn(); deploy.KindOf(err) != deploy.Fenced {
				t.Errorf("it went on: %v", err)
			}
			f.answers(live)
			if now := r.record().Version; now != before {
				t.Errorf("the record has version %d, had %d", now, before)
			}
		})
	}
}
