// Package machine talks to Step Functions.
package machine

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Tokens answers executions that wait with a task token.
type Tokens struct{ client *sfn.Client }

// NewTokens makes Tokens.
func NewTokens(client *sfn.Client) *Tokens { return &Tokens{client: client} }

// ErrDead: nothing waits with that token any more. Step Functions says so in three ways.
var ErrDead = deploy.Errorf(deploy.Conflict, "task token", "nothing waits with it any more")

// maxCause is Step Functions' bound on a cause, in bytes.
const maxCause = 32768

// Grant lets the execution go on with output. ErrDead where it doesn't wait any more.
func (t *Tokens) Grant(ctx context.Context, token string, output any) error {
	text, err := json.Marshal(output)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "task token", "%w", err)
	}
	_, err = t.client.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(string(text))})
	return explain(err)
}

// Refuse fails the waiting state with the Kind as its error's name. ErrDead where nothing waits any more.
func (t *Tokens) Refuse(ctx context.Context, token string, kind deploy.Kind, cause string) error {
	_, err := t.client.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{
		TaskToken: &token, Error: aws.String(string(kind)), Cause: aws.String(deploy.Cut(cause, maxCause)),
	})
	return explain(err)
}

func explain(err error) error {
	var gone *types.TaskDoesNotExist
	var late *types.TaskTimedOut
	var bad *types.InvalidToken
	switch {
	case err == nil:
		return nil
	case errors.As(err, &gone), errors.As(err, &late), errors.As(err, &bad):
		return ErrDead
	}
	return deploy.Errorf(deploy.Internal, "task token", "%w", err)
}
