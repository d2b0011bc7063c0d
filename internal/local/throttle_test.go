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
)

// TestThrottledTask: a function at its concurrency limit is a throttle to a state machine, whose Retry waits for at most MaxDelaySeconds.
func TestThrottledTask(t *testing.T) {
	cloud := start(t, local.Options{})
	fn, steps := lambda.NewFromConfig(cloud.Config()), sfn.NewFromConfig(cloud.Config())
	createFunction(t, fn, strings.ReplaceAll(answering, "WORD", "ok"))
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
	machine, err := steps.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name:    aws.String("m"),
		RoleArn: aws.String("arn:aws:iam::000000000000:role/r"),
		Definition: aws.String(`{"StartAt": "Call", "States": {"Call": {"Type": "Task", "End": true,
			"Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"},
			"Retry": [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 60, "MaxAttempts": 5,
				"MaxDelaySeconds": 1, "JitterStrategy": "FULL"}]}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func() *sfn.DescribeExecutionOutput {
		t.Helper()
		started, err := steps.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: machine.StateMachineArn})
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
	if out := run(); aws.ToString(out.Error) != "Lambda.TooManyRequestsException" {
		t.Errorf("at the limit: %s, %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	time.AfterFunc(500*time.Millisecond, func() { limit(5) })
	if out := run(); out.Status != types.ExecutionStatusSucceeded {
		t.Errorf("once there is room: %s, %s: %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
}
