package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/internal/trigger"
)

// deadEventsName is fixed: the function commit sends to it by its role, and slipway events reads it by its name.
const deadEventsName = "slipway-dead-events"

// An event that can't be delivered, or that the function can't process, is tried again for so long and so often.
const (
	deliveries    = 20
	deliverySpan  = 3600 // seconds
	processTries  = 2    // after the first; Lambda's own most
	deadRetention = 14   // days; SQS's own most
)

// pushRules say which events tell of a commit. CodeCommit's come on the default bus alone; ours may be put on either.
var pushRules = []struct {
	name, does string
	own        bool // on Slipway's bus
	pattern    map[string]any
}{
	{"CodeCommit", "Branches of CodeCommit that were pushed to", false, map[string]any{
		"source": []string{trigger.CodeCommitSource}, "detail-type": []string{trigger.CodeCommitType},
		"detail": map[string]any{"event": []string{"referenceCreated", "referenceUpdated", "referenceDeleted"}, "referenceType": []string{"branch"}},
	}},
	{"Pushed", "Commits that somebody tells of", false, ownPushed},
	{"PushedOnBus", "Commits that somebody tells of on Slipway's bus", true, ownPushed},
}

var ownPushed = map[string]any{"source": []string{trigger.OwnSource}, "detail-type": []string{trigger.OwnType}}

// newDeadEvents makes the queue of the events that nobody could process.
func newDeadEvents(scope constructs.Construct) awssqs.Queue {
	return awssqs.NewQueue(constructs.NewConstruct(scope, jsii.String("Events")), jsii.String("Dead"), &awssqs.QueueProps{
		QueueName:         jsii.String(deadEventsName),
		Encryption:        awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		RetentionPeriod:   awscdk.Duration_Days(jsii.Number(deadRetention)),
		VisibilityTimeout: awscdk.Duration_Minutes(jsii.Number(2)), // longer than a redrive's call of the function
	})
}

// newPushEvents sends the events that tell of commits to the function commit, and what fails on the way or there to the
// dead letters.
func newPushEvents(scope constructs.Construct, d *data, fn awslambda.Function, dead awssqs.Queue) {
	scope = constructs.NewConstruct(scope, jsii.String("Pushes"))
	var rules []*string
	for _, r := range pushRules {
		bus := (*string)(nil)
		if r.own {
			bus = d.bus.EventBusName()
		}
		rule := awsevents.NewCfnRule(scope, jsii.String(r.name), &awsevents.CfnRuleProps{
			Description: jsii.String("Slipway: " + r.does), EventBusName: bus, EventPattern: r.pattern,
			Targets: []any{&awsevents.CfnRule_TargetProperty{
				Id: jsii.String("commit"), Arn: fn.FunctionArn(),
				DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: dead.QueueArn()},
				RetryPolicy:      &awsevents.CfnRule_RetryPolicyProperty{MaximumRetryAttempts: jsii.Number(deliveries), MaximumEventAgeInSeconds: jsii.Number(deliverySpan)},
			}},
		})
		rules = append(rules, rule.AttrArn())
		awslambda.NewCfnPermission(scope, jsii.String(r.name+"Call"), &awslambda.CfnPermissionProps{
			FunctionName: fn.FunctionName(), Principal: jsii.String("events.amazonaws.com"),
			Action: jsii.String("lambda:InvokeFunction"), SourceArn: rule.AttrArn(),
		})
	}
	letIn(dead, rules)
	triesThen(scope, fn, dead)
}

// mayCommit finds apps and bundles, records deployments and starts their executions; Lambda sends what fails to the dead
// letters with the function's own rights.
func mayCommit(r *resources) []awsiam.PolicyStatement {
	return append(r.launching(), allow(arns(r.stack, "sqs", deadEventsName), "sqs:SendMessage"))
}

// launching is what turning a push into deployments takes.
func (r *resources) launching() []awsiam.PolicyStatement {
	return append(r.findSource(r.uploaded), r.records(), allow(r.table, "dynamodb:Query"), allow(r.machine, "states:StartExecution"))
}

// events adds the alarm on events that nobody could process.
func (a *alarms) events(dead awssqs.Queue) {
	a.add("events-dead", "Events that tell of commits could not be processed, and wait in "+deadEventsName, 1,
		dead.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum"), Period: awscdk.Duration_Minutes(jsii.Number(alarmPeriod))}))
}
