package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// webhookPath is GitHub's: the one route that needs no signature of AWS. Its function lets in who knows the secret.
const webhookPath = "/webhooks/github"

// Everybody may knock, so that there is less room at this door than at the others: a flood leaves the API's own alone.
const (
	webhooksPerSecond = 10
	webhookBurst      = 20
)

// webhookSecret is what operators put there: the webhook's secret, or two, one a line, while one replaces the other.
const webhookSecret = "slipway-own/github-webhook"

func newWebhook(scope constructs.Construct, api awsapigateway.RestApi, fn awslambda.Function) {
	scope = constructs.NewConstruct(scope, jsii.String("Webhook"))
	api.Root().ResourceForPath(jsii.String(webhookPath)).AddMethod(jsii.String("POST"), invoke(scope, api, fn), &awsapigateway.MethodOptions{
		AuthorizationType: awsapigateway.AuthorizationType_NONE,
	})
}

// tooLargeMetric counts the requests by callers of the account that API Gateway or Lambda refused for their size.
const tooLargeMetric = "RequestsTooLarge"

// countTooLarge counts them in the access log, the only place that has those that come to no function. A request without an IAM caller
// doesn't count: it came to the webhook, whose function alone can tell GitHub from a stranger and never saw it.
func countTooLarge(scope constructs.Construct, logs awslogs.LogGroup) {
	awslogs.NewMetricFilter(scope, jsii.String("TooLarge"), &awslogs.MetricFilterProps{
		LogGroup:        logs,
		FilterPattern:   awslogs.FilterPattern_Literal(jsii.String(`{ ($.status = "413") && ($.caller != "-") }`)),
		MetricNamespace: jsii.String(Namespace),
		MetricName:      jsii.String(tooLargeMetric),
		MetricValue:     jsii.String("1"),
	})
}

// tooLarge adds the alarm on requests that were refused for their size.
func (a *alarms) tooLarge() {
	a.add("request-too-large", "A caller of the account sent a request that is larger than the API takes", 1, count(tooLargeMetric))
}

// mayHear is what the webhook takes: its own secret, and launching. Secrets Manager ends a secret's ARN with six
// characters of its own, and a secret that is not there yet has none: without the second name that would be refused, not missing.
func mayHear(r *resources) []awsiam.PolicyStatement {
	return append(r.launching(), allow(arns(r.stack, "secretsmanager", "secret:"+webhookSecret+"-??????", "secret:"+webhookSecret), "secretsmanager:GetSecretValue"))
}
