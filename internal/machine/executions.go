package machine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Executions are one state machine's.
type Executions struct {
	client *sfn.Client
	arn    string
}

// NewExecutions makes Executions of the state machine with that ARN.
func NewExecutions(client *sfn.Client, arn string) *Executions {
	return &Executions{client: client, arn: arn}
}

// ARN is what an execution of that name has.
func (e *Executions) ARN(name string) string {
	return strings.Replace(e.arn, ":stateMachine:", ":execution:", 1) + ":" + name
}

// Start starts an execution. That one of the name exists is fine: somebody was faster, or an earlier answer was lost.
func (e *Executions) Start(ctx context.Context, name string, input any) error {
	text, err := json.Marshal(input)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "start execution", "%w", err)
	}
	_, err = e.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &e.arn, Name: &name, Input: aws.String(string(text))})
	var exists *types.ExecutionAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return deploy.Errorf(deploy.Internal, "start execution "+name, "%w", err)
	}
	return nil
}

// Running lists the executions that run, a thousand a call. Step Functions may be seconds late with either end of one.
func (e *Executions) Running(ctx context.Context) ([]deploy.Execution, error) {
	var running []deploy.Execution
	pages := sfn.NewListExecutionsPaginator(e.client, &sfn.ListExecutionsInput{
		StateMachineArn: &e.arn, StatusFilter: types.ExecutionStatusRunning, MaxResults: 1000,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, deploy.Errorf(deploy.Internal, "list executions", "%w", err)
		}
		for _, each := range page.Executions {
			running = append(running, deploy.Execution{ARN: aws.ToString(each.ExecutionArn), Start: aws.ToTime(each.StartDate), Status: string(each.Status)})
		}
	}
	return running, nil
}

// Describe tells how an execution stands; one that isn't there has no status.
func (e *Executions) Describe(ctx context.Context, arn string) (deploy.Execution, error) {
	out, err := e.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	var missing *types.ExecutionDoesNotExist
	switch {
	case errors.As(err, &missing):
		return deploy.Execution{}, nil
	case err != nil:
		return deploy.Execution{}, deploy.Errorf(deploy.Internal, "describe execution", "%w", err)
	}
	return deploy.Execution{ARN: arn, Start: aws.ToTime(out.StartDate), Status: string(out.Status), Error: aws.ToString(out.Error), Cause: aws.ToString(out.Cause)}, nil
}

// Starter starts the executions of recorded deployments.
type Starter struct{ executions *Executions }

// NewStarter makes a Starter for the state machine with that ARN.
func NewStarter(client *sfn.Client, arn string) *Starter {
	return &Starter{executions: NewExecutions(client, arn)}
}

// Start starts the execution that is named as the deployment, and gives its ARN.
func (s *Starter) Start(ctx context.Context, id string) (string, error) {
	if err := s.executions.Start(ctx, id, map[string]string{"deployment": id}); err != nil {
		return "", err
	}
	return s.executions.ARN(id), nil
}
