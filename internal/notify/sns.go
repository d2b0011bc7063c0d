package notify

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Publisher publishes to SNS.
type Publisher struct{ client *sns.Client }

// NewPublisher makes a Publisher.
func NewPublisher(client *sns.Client) *Publisher { return &Publisher{client: client} }

// Publish sends the change as the event's detail has it, with attributes that a subscription's filter can choose by.
func (p *Publisher) Publish(ctx context.Context, topic string, c *deploy.Change) error {
	text, err := json.Marshal(c)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "publish", "%w", err)
	}
	attribute := func(value string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	_, err = p.client.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String(string(text)),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"app": attribute(c.App), "environment": attribute(c.Environment), "status": attribute(string(c.Status)),
		}})
	if deploy.IsDenied(err) {
		return deploy.Errorf(deploy.Internal, "publish to "+topic,
			"it isn't among the topics that Slipway may publish to; add its name to topics in cdk.json and deploy Slipway again: %w", err)
	}
	if err != nil {
		return deploy.Errorf(deploy.Internal, "publish to "+topic, "%w", err)
	}
	return nil
}
