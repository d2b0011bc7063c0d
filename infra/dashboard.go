package infra

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// DashboardStages are the stages whose duration the dashboard shows, in the order in which a deployment meets them.
var DashboardStages = []string{"prepare", "test", "build", "admit", "deploy", "shift", "healthcheck", "rollback", "checkrollback"}

// liveQuery finds what each environment serves: the last that Settle said of it within the dashboard's time.
const liveQuery = `filter ispresent(Deployments) and ispresent(live)
| stats latest(live) as deployment, latest(live_commit) as commit, max(@timestamp) as since by app, environment
| sort app, environment`

// The dashboard is 24 columns wide.
const (
	half   = 12
	third  = 8
	height = 6
)

// newDashboard makes what somebody looks at who wants to know how deployments go: nothing on it costs while nothing is
// deployed but the metrics and the dashboard itself (docs/operations.md).
func newDashboard(scope constructs.Construct, machine awsstepfunctions.StateMachine, functions map[string]awslambda.Function,
	api awsapigateway.RestApi, alarms []awscloudwatch.IAlarm) {
	board := awscloudwatch.NewDashboard(scope, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: jsii.String("Slipway"), DefaultInterval: awscdk.Duration_Days(jsii.Number(7)),
	})
	board.AddWidgets(outcomes(), durations(), stages())
	board.AddWidgets(whatIsLive(functions["settle"]), alarmStates(alarms))
	board.AddWidgets(executions(machine), requests(api), evaluations(functions["ofrep"]))
}

// own is one of our metrics as Settle prints it.
func own(name, by, is, statistic string) awscloudwatch.IMetric {
	label := is
	if statistic == "p90" || statistic == "Average" {
		label = fmt.Sprintf("%s, %s", is, statistic)
	}
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{Namespace: jsii.String(Namespace), MetricName: jsii.String(name),
		DimensionsMap: &map[string]*string{by: jsii.String(is)}, Statistic: jsii.String(statistic),
		Period: awscdk.Duration_Hours(jsii.Number(1)), Label: jsii.String(label)})
}

func outcomes() awscloudwatch.IWidget {
	var metrics []awscloudwatch.IMetric
	for _, status := range deploy.Statuses {
		if status.Ended() {
			metrics = append(metrics, own(pipeline.DeploymentsMetric, pipeline.ByStatus, string(status), "Sum"))
		}
	}
	return graph("Deployments by outcome", third, true, metrics...)
}

func durations() awscloudwatch.IWidget {
	var metrics []awscloudwatch.IMetric
	for _, action := range []deploy.Action{deploy.Deploy, deploy.Rollback} {
		for _, statistic := range []string{"Average", "p90"} {
			metrics = append(metrics, own(pipeline.DurationMetric, pipeline.ByAction, string(action), statistic))
		}
	}
	return graph("Seconds until success", third, false, metrics...)
}

func stages() awscloudwatch.IWidget {
	var metrics []awscloudwatch.IMetric
	for _, stage := range DashboardStages {
		metrics = append(metrics, own(pipeline.StageMetric, pipeline.ByStage, stage, "Average"))
	}
	return graph("Seconds by stage", third, true, metrics...)
}

func graph(title string, width float64, stacked bool, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{Title: jsii.String(title), Width: jsii.Number(width), Height: jsii.Number(height),
		Stacked: jsii.Bool(stacked), Left: &metrics})
}

// whatIsLive reads Settle's log: its lines name app, environment and release, which metrics must not.
func whatIsLive(settle awslambda.Function) awscloudwatch.IWidget {
	return awscloudwatch.NewLogQueryWidget(&awscloudwatch.LogQueryWidgetProps{
		Title: jsii.String("What is live, of what was deployed in this time"), Width: jsii.Number(half), Height: jsii.Number(height),
		View: awscloudwatch.LogQueryVisualizationType_TABLE, LogGroupNames: &[]*string{settle.LogGroup().LogGroupName()}, QueryString: jsii.String(liveQuery),
	})
}

func alarmStates(alarms []awscloudwatch.IAlarm) awscloudwatch.IWidget {
	return awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{Title: jsii.String("Alarms"), Width: jsii.Number(half), Height: jsii.Number(height),
		Alarms: &alarms})
}

// hourly are the options of AWS's own counts.
func hourly(statistic string) *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{Statistic: jsii.String(statistic), Period: awscdk.Duration_Hours(jsii.Number(1))}
}

func executions(machine awsstepfunctions.StateMachine) awscloudwatch.IWidget {
	return graph("Executions", third, false, machine.MetricStarted(hourly("Sum")), machine.MetricSucceeded(hourly("Sum")), machine.MetricFailed(hourly("Sum")),
		machine.MetricAborted(hourly("Sum")), machine.MetricTimedOut(hourly("Sum")))
}

func requests(api awsapigateway.RestApi) awscloudwatch.IWidget {
	return graph("Control API", third, false, api.MetricCount(hourly("Sum")), api.MetricClientError(hourly("Sum")), api.MetricServerError(hourly("Sum")))
}

// evaluations are requests, each for one flag or all, and whether their answers are as they should be.
func evaluations(ofrep awslambda.Function) awscloudwatch.IWidget {
	metrics := []awscloudwatch.IMetric{ofrep.MetricInvocations(hourly("Sum")), ofrep.MetricErrors(hourly("Sum"))}
	return graph("Evaluation of flags: requests, errors, stale, poisoned", third, false, slices.Concat(metrics, []awscloudwatch.IMetric{count(StaleMetric), count(PoisonedMetric)})...)
}
