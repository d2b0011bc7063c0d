package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/internal/pipeline"
)

// Namespace is that of the metrics that our functions print as EMF lines.
const Namespace = "Slipway"

// alarmPeriod is over what time each alarm counts, in minutes.
const alarmPeriod = 5

// manyErrors is more than bad commits explain: a failing test, build or health check is an error of its function too.
// Settle and what answers over HTTP have no such excuse.
const manyErrors = 5

// newAlarms makes the alarms; docs/operations.md says of each what it means and what to do. The settings' SNS topic hears of
// them where there is one.
func newAlarms(scope constructs.Construct, s Settings, machine awsstepfunctions.StateMachine, functions map[string]awslambda.Function, dead, untold awssqs.Queue) []awscloudwatch.IAlarm {
	a := &alarms{scope: constructs.NewConstruct(scope, jsii.String("Alarms"))}
	if s.AlarmTopic != "" {
		topic := awssns.Topic_FromTopicArn(a.scope, jsii.String("Topic"), jsii.String(s.AlarmTopic))
		a.action = awscloudwatchactions.NewSnsAction(topic)
	}
	sum := &awscloudwatch.MetricOptions{Statistic: jsii.String("Sum"), Period: awscdk.Duration_Minutes(jsii.Number(alarmPeriod))}
	a.add("dirty", "An environment is neither on the new release nor on the one before, and stays locked",
		1, count(pipeline.DirtyMetric))
	a.flags()
	a.events(dead)
	a.tooLarge()
	a.notifications(untold)
	a.add("executions-failed", "A deployment did not go live", 1, machine.MetricFailed(sum))
	a.add("executions-aborted", "Somebody stopped an execution, which cleans nothing up", 1, machine.MetricAborted(sum))
	for _, h := range handlers {
		fn, few := functions[h.name], manyErrors
		if h.name == "settle" || h.name == "api" || h.name == "ofrep" || h.name == "webhook" {
			few = 1
		}
		a.add(h.name+"-errors", "The function "+functionName(h.name)+" fails", few, fn.MetricErrors(sum))
		a.add(h.name+"-throttles", "The function "+functionName(h.name)+" is refused by Lambda's concurrency limit", 1, fn.MetricThrottles(sum))
	}
	return a.made
}

type alarms struct {
	scope  constructs.Construct
	action awscloudwatch.IAlarmAction // nil where nobody listens
	made   []awscloudwatch.IAlarm
}

// add makes an alarm that rings from threshold on. It is quiet where there is no data, since idle is good here.
func (a *alarms) add(name, means string, threshold int, metric awscloudwatch.Metric) {
	alarm := awscloudwatch.NewAlarm(a.scope, jsii.String(name), &awscloudwatch.AlarmProps{
		AlarmName:          jsii.String("slipway-" + name),
		AlarmDescription:   jsii.String(means + ". What to do: docs/operations.md, slipway-" + name),
		Metric:             metric,
		Threshold:          jsii.Number(threshold),
		EvaluationPeriods:  jsii.Number(1),
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	})
	a.made = append(a.made, alarm)
	if a.action != nil {
		alarm.AddAlarmAction(a.action)
	}
}
