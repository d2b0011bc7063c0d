// Package hook runs what a hook names: Lambda functions and EventBridge.
package hook

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	events "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Functions invokes Lambda functions.
type Functions struct{ client *lambda.Client }

// NewFunctions makes Functions.
func NewFunctions(client *lambda.Client) *Functions { return &Functions{client: client} }

// Invoke calls a function with payload and waits for its end. An error that the function returned is an error.
func (f *Functions) Invoke(ctx context.Context, function string, payload []byte) error {
	out, err := f.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: payload})
	if deploy.IsDenied(err) {
		return deploy.Errorf(deploy.DeployFailed, "invoke "+function,
			"it isn't among the functions that hooks may invoke; add it to hookFunctions in cdk.json and deploy Slipway again: %w", err)
	}
	if err != nil {
		return deploy.Errorf(deploy.DeployFailed, "invoke "+function, "%w", err)
	}
	if out.FunctionError != nil {
		return deploy.Errorf(deploy.DeployFailed, "invoke "+function, "%s: %s", *out.FunctionError, deploy.Cut(string(out.Payload), 300))
	}
	return nil
}

// Source is the source of Slipway's own events.
const Source = "slipway"

// Events puts events on one bus.
type Events struct {
	client *eventbridge.Client
	bus    string
}

// NewEvents makes Events for the bus of that name.
func NewEvents(client *eventbridge.Client, bus string) *Events {
	return &Events{client: client, bus: bus}
}

// Put puts one event; detail is JSON.
func (e *Events) Put(ctx context.Context, detailType string, detail []byte) error {
	out, err := e.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []events.PutEventsRequestEntry{{
		EventBusName: &e.bus, Source: aws.String(Source), DetailType: &detailType, Detail: aws.String(string(detail)),
	}}})
	if err != nil {
		return deploy.Errorf(deploy.DeployFailed, "event "+detailType, "%w", err)
	}
	if out.FailedEntryCount > 0 {
		entry := out.Entries[0]
		return deploy.Errorf(deploy.DeployFailed, "event "+detailType, "%s: %s", aws.ToString(entry.ErrorCode), aws.ToString(entry.ErrorMessage))
	}
	return nil
}
