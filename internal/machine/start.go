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

// Starter starts executions of one state machine.
type Starter struct {
	client *sfn.Client
	arn    string
}

// NewStarter makes a Starter for the state machine with that ARN.
func NewStarter(client *sfn.Client, arn string) *Starter {
	return &Starter{client: client, arn: arn}
}

// Start starts the execution that is named as the deployment. That it exists is fine: an earlier try's answer was lost.
func (m *Starter) Start(ctx context.Context, id string) (string, error) {
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
