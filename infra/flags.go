package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// PoisonedMetric and StaleMetric name what the function ofrep prints as EMF lines, without dimensions: how many stored
// flags can't be evaluated, and 1 where an environment's flags could not be confirmed for a minute.
const (
	PoisonedMetric = "PoisonedFlags"
	StaleMetric    = "StaleFlags"
)

// flagsHandler answers at a public URL. Its reserved concurrency keeps a flood from taking the account's, which the
// functions of a way back need.
const flagsHandler = "ofrep"

// mayServeFlags reads flags and evaluation keys, and adds to the counts of evaluations.
func mayServeFlags(r *resources) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{allow([]*string{r.data.flags.TableArn()}, "dynamodb:GetItem", "dynamodb:UpdateItem")}
}

// newFlagsURL gives the function ofrep a URL, which costs nothing beside the function. Everybody may call it: the function
// lets in who has an evaluation key. Lambda wants two permissions for that: to call the URL, and to be invoked by it.
func newFlagsURL(scope constructs.Construct, fn awslambda.Function) *string {
	scope = constructs.NewConstruct(scope, jsii.String("Flags"))
	url := awslambda.NewCfnUrl(scope, jsii.String("Url"), &awslambda.CfnUrlProps{
		TargetFunctionArn: fn.FunctionArn(),
		AuthType:          jsii.String("NONE"),
	})
	awslambda.NewCfnPermission(scope, jsii.String("UrlCall"), &awslambda.CfnPermissionProps{
		FunctionName: fn.FunctionName(), Principal: jsii.String("*"),
		Action: jsii.String("lambda:InvokeFunctionUrl"), FunctionUrlAuthType: jsii.String("NONE"),
	})
	awslambda.NewCfnPermission(scope, jsii.String("UrlInvoke"), &awslambda.CfnPermissionProps{
		FunctionName: fn.FunctionName(), Principal: jsii.String("*"),
		Action: jsii.String("lambda:InvokeFunction"), InvokedViaFunctionUrl: jsii.Bool(true),
	})
	return url.AttrFunctionUrl()
}

// flags adds the alarms on what is served.
func (a *alarms) flags() {
	a.add("flags-poisoned", "Stored flags can't be evaluated, and answer PARSE_ERROR", 1, count(PoisonedMetric))
	a.add("flags-stale", "Flags can't be read, and are served as they were", 1, count(StaleMetric))
}

// count is one of our own metrics, summed up.
func count(name string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{Namespace: jsii.String(Namespace), MetricName: jsii.String(name),
		Statistic: jsii.String("Sum"), Period: awscdk.Duration_Minutes(jsii.Number(alarmPeriod))})
}
