package local_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// TestThrottledTask: a function at its concurrency limit is a throttle to a state machine, whose Retry waits for at most MaxDelaySeconds.
func TestThrottledTask(t *testing.T) {
	cloud := start(t, local.Options{})
	fn, steps := lambda.NewFromConfig(cloud.Config()), sfn.NewFromConfig(cloud.Config())
	createFunction(t, cloud, strings.ReplaceAll(answering, "WORD", "ok"))
	limit := func(n int32) {
		t.Helper()
		_, err := fn.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{
			FunctionName:                 aws.String("f"),
			ReservedConcurrentExecutions: &n,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	role, err := localtest.Role(t.Context(), cloud, "machine", localtest.Trust("states"),
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	call := createMachine(t, steps, role, "call", "lambda:invoke", "")
	wait := createMachine(t, steps, role, "wait", "lambda:invoke.waitForTaskToken", `, "Payload": {"token.$": "$$.Task.Token"}`)
	run := func(machine string) *sfn.DescribeExecutionOutput {
		t.Helper()
		started, err := steps.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine})
		if err != nil {
			t.Fatal(err)
		}
		var out *sfn.DescribeExecutionOutput
		eventually(t, "the execution ends", func() bool {
			out, err = steps.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
			return err == nil && out.Status != types.ExecutionStatusRunning
		})
		return out
	}

	limit(0)
	for _, machine := range []string{call, wait} {
		if out := run(machine); aws.ToString(out.Error) != "Lambda.TooManyRequestsException" {
			t.Errorf("%s at the limit: %s, %s: %s", machine, out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
		}
	}
	raised := make(chan struct{}) // The execution may end before the answer to the call that made room for it.
	time.AfterFunc(500*time.Millisecond, func() {
		defer close(raised)
		limit(5)
	})
	if out := run(call); out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("once there is room: %s, %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	<-raised
}

// createMachine makes a machine of one task, which calls f.
func createMachine(t *testing.T, steps *sfn.Client, role, name, resource, payload string) string {
	t.Helper()
	machine, err := steps.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name:    &name,
		RoleArn: &role,
		Definition: aws.String(`{"StartAt": "Call", "States": {"Call": {"Type": "Task", "End": true, "TimeoutSeconds": 60,
			"Resource": "arn:aws:states:::` + resource + `", "Parameters": {"FunctionName": "f"` + payload + `},
			"Retry": [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 60, "MaxAttempts": 5,
				"MaxDelaySeconds": 1, "JitterStrategy": "FULL"}]}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *machine.StateMachineArn
}
