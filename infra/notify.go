package infra

import (
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/hook"
	"github.com/slipway-cd/slipway/internal/notify"
)

// deadNotesName is fixed: the function notify sends to it by its role.
const deadNotesName = "slipway-dead-notifications"

// gitHubURL is where GitHub's API is; the function finds it in its environment.
const gitHubURL = "https://api.github.com"

// Records of the stream that the function fails at are tried again for so long and so often, halved until the one that is at fault
// stands alone. Those behind wait for it: an hour without an event is better than an event that is missing.
const (
	streamBatch = 10
	streamTries = 100
	streamSpan  = 3600 // seconds
)

// newNotifications hangs the function on the table's stream, which has each write once and in order, and its channels on the bus: a
// target for each, so that each is tried again by itself. What fails for good, on either way, becomes a dead letter.
func newNotifications(scope constructs.Construct, d *data, fn awslambda.Function) awssqs.Queue {
	scope = constructs.NewConstruct(scope, jsii.String("Notifications"))
	dead := awssqs.NewQueue(scope, jsii.String("Dead"), &awssqs.QueueProps{
		QueueName: jsii.String(deadNotesName), Encryption: awssqs.QueueEncryption_SQS_MANAGED, EnforceSSL: jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(deadRetention)),
	})
	hearStream(scope, d, fn, dead)
	rule := hearBus(scope, d, fn, dead)
	letIn(dead, []*string{rule.AttrArn()})
	triesThen(scope, fn, dead)
	return dead
}

// StreamPatterns let through what may be a change of a deployment's status: its first write, whatever leaves pending, and every
// write of one that has ended. What is left out is running before and after, most writes of all. A filter can't compare the old
// status with the new one; the function does.
func StreamPatterns() []string {
	item := `"kind":{"S":["deployment"]}`
	var ends []string
	for _, s := range deploy.Statuses {
		if s.Ended() {
			ends = append(ends, strconv.Quote(string(s)))
		}
	}
	return []string{
		`{"eventName":["INSERT"],"dynamodb":{"NewImage":{` + item + `}}}`,
		`{"dynamodb":{"OldImage":{"status":{"S":["` + string(deploy.Pending) + `"]}},"NewImage":{` + item + `}}}`,
		`{"dynamodb":{"NewImage":{` + item + `,"status":{"S":[` + strings.Join(ends, ",") + `]}}}}`,
	}
}

// hearStream takes writes of deployments that may change a status.
func hearStream(scope constructs.Construct, d *data, fn awslambda.Function, dead awssqs.Queue) {
	table := d.deployments.Node().DefaultChild().(awsdynamodb.CfnTable)
	table.SetStreamSpecification(&awsdynamodb.CfnTable_StreamSpecificationProperty{StreamViewType: jsii.String("NEW_AND_OLD_IMAGES")})
	var filters []any
	for _, pattern := range StreamPatterns() {
		filters = append(filters, &awslambda.CfnEventSourceMapping_FilterProperty{Pattern: jsii.String(pattern)})
	}
	awslambda.NewCfnEventSourceMapping(scope, jsii.String("Stream"), &awslambda.CfnEventSourceMappingProps{
		FunctionName: fn.FunctionName(), EventSourceArn: table.AttrStreamArn(), StartingPosition: jsii.String("TRIM_HORIZON"),
		BatchSize: jsii.Number(streamBatch), BisectBatchOnFunctionError: jsii.Bool(true),
		MaximumRetryAttempts: jsii.Number(streamTries), MaximumRecordAgeInSeconds: jsii.Number(streamSpan),
		FilterCriteria: &awslambda.CfnEventSourceMapping_FilterCriteriaProperty{Filters: filters},
		DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: dead.QueueArn()},
		},
	})
}

func hearBus(scope constructs.Construct, d *data, fn awslambda.Function, dead awssqs.Queue) awsevents.CfnRule {
	var targets []any
	for _, channel := range notify.Channels {
		targets = append(targets, &awsevents.CfnRule_TargetProperty{
			Id: jsii.String(channel), Arn: fn.FunctionArn(),
			InputTransformer: &awsevents.CfnRule_InputTransformerProperty{
				// The predefined variable, since EventBridge promises no whole JSON where a variable of one's own holds quotes.
				InputTemplate: jsii.String(`{"channel":"` + channel + `","event":<aws.events.event.json>}`),
			},
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: dead.QueueArn()},
			RetryPolicy:      &awsevents.CfnRule_RetryPolicyProperty{MaximumRetryAttempts: jsii.Number(deliveries), MaximumEventAgeInSeconds: jsii.Number(deliverySpan)},
		})
	}
	rule := awsevents.NewCfnRule(scope, jsii.String("Changed"), &awsevents.CfnRuleProps{
		Description: jsii.String("Slipway: Changes of deployments' statuses, to each channel"), EventBusName: d.bus.EventBusName(),
		EventPattern: map[string]any{"source": []string{hook.Source}, "detail-type": []string{deploy.EventStatus}}, Targets: targets,
	})
	awslambda.NewCfnPermission(scope, jsii.String("ChangedCall"), &awslambda.CfnPermissionProps{
		FunctionName: fn.FunctionName(), Principal: jsii.String("events.amazonaws.com"),
		Action: jsii.String("lambda:InvokeFunction"), SourceArn: rule.AttrArn(),
	})
	return rule
}

// mayNotify reads the stream with the function's own rights, as it sends dead letters; and apps, deployments and what channels need.
func mayNotify(r *resources) []awsiam.PolicyStatement {
	statements := append(r.loggingIn(),
		allow([]*string{join(r.data.deployments.TableArn(), "/stream/*")}, "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"),
		allow(r.table, "dynamodb:GetItem"), allow(r.bus, "events:PutEvents"), allow(arns(r.stack, "sqs", deadNotesName), "sqs:SendMessage"))
	if len(r.topics) > 0 {
		statements = append(statements, allow(r.topics, "sns:Publish"))
	}
	return statements
}

// notifications adds the alarms on what nobody was told.
func (a *alarms) notifications(dead awssqs.Queue) {
	a.add("notifications-dead", "Changes of deployments could not be told, and wait in "+deadNotesName, 1,
		dead.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum"), Period: awscdk.Duration_Minutes(jsii.Number(alarmPeriod))}))
	a.add("notifications-refused", "GitHub or Slack refuses what an app's channel sends, or its secret is missing", 1, count(notify.RefusedMetric))
}
