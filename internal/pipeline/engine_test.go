package pipeline_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// TestSameName starts one deployment twice, as after a lost answer: while it runs, AWS says which execution it is.
func TestSameName(t *testing.T) {
	a := newApp(t)
	r := a.deploy(a.commit("one", config("test=while ! test -e \"$SERVE/go\"; do sleep 0.1; done")))
	input := func() *string {
		out, err := world.sfn.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &r.arn})
		if err != nil {
			t.Fatal(err)
		}
		return out.Input
	}()
	again, err := world.sfn.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: &world.out.StateMachineARN, Name: &r.id, Input: input,
	})
	if err != nil || *again.ExecutionArn != r.arn {
		t.Errorf("the second start: %+v, %v; want %s", again, err, r.arn)
	}
	var exists *types.ExecutionAlreadyExists
	if _, err := world.sfn.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: &world.out.StateMachineARN, Name: &r.id, Input: aws.String(`{"deployment": "another"}`),
	}); !errors.As(err, &exists) {
		t.Errorf("a start with another input: %v, want %T", err, exists)
	}
	a.write("go", "")
	r.wants(deploy.Success)
}

// TestTimedOut lets a whole execution run over its time, which no state's Catch sees.
func TestTimedOut(t *testing.T) {
	localtest.Needs(t, localtest.MachineTimeOut)
	a := newApp(t)
	begin := time.Now()
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	whole := int(time.Since(begin).Seconds()) + 1 // its Deploy begins well before that, on this machine under this load
	real, err := world.sfn.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &world.out.StateMachineARN})
	if err != nil {
		t.Fatal(err)
	}
	hurried := fmt.Sprintf(`{"TimeoutSeconds": %d, %s`, 2*whole, (*real.Definition)[1:])
	made, err := world.sfn.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{Name: &a.name, RoleArn: real.RoleArn, Definition: &hurried})
	if err != nil {
		t.Fatal(err)
	}
	r := a.deployBy(*made.StateMachineArn, a.commit("two", config(`deploy=echo half > "$SERVE/live"; echo $$ > "$SERVE/group"; sleep 600`)))
	a.sees("group")
	if out := r.ended(); out.Status != types.ExecutionStatusTimedOut {
		t.Fatalf("the execution is %s: %s", out.Status, aws.ToString(out.Cause))
	}
	a.sweep(r.endedEvent())
	r.recovered(deploy.RolledBack)
	a.quiet()
	a.serves("one")
	a.next("one")
}
