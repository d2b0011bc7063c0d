package api

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

// StateMachine is the Machine on Step Functions.
type StateMachine struct {
	client *sfn.Client
	arn    string
}

// NewStateMachine makes a StateMachine of the one with that ARN.
func NewStateMachine(client *sfn.Client, arn string) *StateMachine {
	return &StateMachine{client: client, arn: arn}
}

// Start starts the execution that is named as the deployment. That it exists is fine: an earlier try's answer was lost.
func (m *StateMachine) Start(ctx context.Context, id string) (string, error) {
	input, err := json.Marshal(map[string]string{"deployment": id})
	if err != nil {
		return "", deploy.Errorf(deploy.Internal, "start execution", "%w", err)
	}
	out, err := m.client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &m.arn, Name: &id, Input: aws.String(string(input)),
	})
	var exists *types.ExecutionAlreadyExists
	switch {
	case errors.As(err, &exists):
		return strings.Replace(m.arn, ":stateMachine:", ":execution:", 1) + ":" + id, nil
	case err != nil:
		return "", deploy.Errorf(deploy.Internal, "start execution", "%w", err)
	}
	return *out.ExecutionArn, nil
}
