package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// routes is the whole control API. Each is a resource of its own, so that an IAM policy can allow one and not another.
var routes = []struct{ method, path string }{
	{"GET", "/v1/openapi.json"},
	{"POST", "/v1/deployments"},
	{"GET", "/v1/deployments"},
	{"GET", "/v1/deployments/{id}"},
	{"GET", "/v1/deployments/{id}/logs"},
	{"POST", "/v1/deployments/{id}/cancel"},
	{"POST", "/v1/deployments/{id}/rollback"},
	{"POST", "/v1/deployments/{id}/repair"},
	{"POST", "/v1/deployments/{id}/repair/to"},
	{"POST", "/v1/deployments/{id}/repair/skip-scripts"},
	{"POST", "/v1/deployments/{id}/repair/declare"},
	{"POST", "/v1/deployments/{id}/repair/deployment"},
	{"GET", "/v1/apps"},
	{"PUT", "/v1/apps/{app}"},
	{"GET", "/v1/apps/{app}"},
	{"GET", "/v1/apps/{app}/deployments"},
	{"GET", "/v1/apps/{app}/deployments/{id}"},
	{"GET", "/v1/apps/{app}/deployments/{id}/logs"},
	{"GET", "/v1/apps/{app}/environments/{environment}"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments"},
	{"GET", "/v1/apps/{app}/environments/{environment}/deployments"},
	{"GET", "/v1/apps/{app}/environments/{environment}/deployments/{id}"},
	{"GET", "/v1/apps/{app}/environments/{environment}/deployments/{id}/logs"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/cancel"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/rollback"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/repair"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/repair/to"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/repair/skip-scripts"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/repair/declare"},
	{"POST", "/v1/apps/{app}/environments/{environment}/deployments/{id}/repair/deployment"},
	{"POST", "/v1/apps/{app}/environments/{environment}/rollback"},
	{"GET", "/v1/apps/{app}/environments/{environment}/flags"},
	{"PUT", "/v1/apps/{app}/environments/{environment}/flags"},
	{"GET", "/v1/apps/{app}/environments/{environment}/flags.flagd.json"},
	{"POST", "/v1/apps/{app}/environments/{environment}/flags.copy"},
	{"GET", "/v1/apps/{app}/environments/{environment}/flags/{key}"},
	{"PUT", "/v1/apps/{app}/environments/{environment}/flags/{key}"},
	{"PATCH", "/v1/apps/{app}/environments/{environment}/flags/{key}"},
	{"DELETE", "/v1/apps/{app}/environments/{environment}/flags/{key}"},
	{"POST", "/v1/apps/{app}/environments/{environment}/flags/{key}/enable"},
	{"POST", "/v1/apps/{app}/environments/{environment}/flags/{key}/disable"},
	{"POST", "/v1/apps/{app}/environments/{environment}/flags/{key}/rollout"},
	{"POST", "/v1/apps/{app}/environments/{environment}/flags/{key}/restore"},
	{"POST", "/v1/apps/{app}/environments/{environment}/flags/{key}/explain"},
	{"GET", "/v1/apps/{app}/environments/{environment}/flags/{key}/versions"},
	{"GET", "/v1/apps/{app}/environments/{environment}/segments"},
	{"GET", "/v1/apps/{app}/environments/{environment}/segments/{segment}"},
	{"PUT", "/v1/apps/{app}/environments/{environment}/segments/{segment}"},
	{"DELETE", "/v1/apps/{app}/environments/{environment}/segments/{segment}"},
	{"GET", "/v1/apps/{app}/environments/{environment}/evaluation-keys"},
	{"POST", "/v1/apps/{app}/environments/{environment}/evaluation-keys"},
	{"DELETE", "/v1/apps/{app}/environments/{environment}/evaluation-keys/{keyid}"},
}

// A control API is called by people and pipelines; more than this is a mistake, and would throttle the functions.
const (
	requestsPerSecond = 50
	requestBurst      = 100
	stageName         = "prod"
)

// What starts an execution takes half of that at most, so that a pipeline gone mad leaves room for whoever looks, cancels
// or switches a flag off.
const (
	startsPerSecond = requestsPerSecond / 2
	startBurst      = requestBurst / 2
)

// starting are the routes that start one, flat and by environment.
func starting() []string {
	paths := []string{"/v1/apps/{app}/environments/{environment}/rollback/POST"}
	for _, at := range []string{"/v1", "/v1/apps/{app}/environments/{environment}"} {
		paths = append(paths, at+"/deployments/POST")
		for _, way := range []string{"rollback", "repair", "repair/to", "repair/skip-scripts", "repair/declare", "repair/deployment"} {
			paths = append(paths, at+"/deployments/{id}/"+way+"/POST")
		}
	}
	return paths
}

func startLimits() *map[string]*awsapigateway.MethodDeploymentOptions {
	limits := map[string]*awsapigateway.MethodDeploymentOptions{}
	for _, route := range starting() {
		limits[route] = &awsapigateway.MethodDeploymentOptions{ThrottlingRateLimit: jsii.Number(startsPerSecond), ThrottlingBurstLimit: jsii.Number(startBurst)}
	}
	limits[webhookPath+"/POST"] = &awsapigateway.MethodDeploymentOptions{ThrottlingRateLimit: jsii.Number(webhooksPerSecond), ThrottlingBurstLimit: jsii.Number(webhookBurst)}
	return &limits
}

// newAPI makes the REST API: IAM on every route, everything else is the function's work.
func newAPI(scope constructs.Construct, s Settings, fn awslambda.Function) awsapigateway.RestApi {
	scope = constructs.NewConstruct(scope, jsii.String("Api"))
	logs := newLogGroup(scope, "Logs", "/aws/vendedlogs/apigateway/slipway", s)
	countTooLarge(scope, logs)
	api := awsapigateway.NewRestApi(scope, jsii.String("RestApi"), &awsapigateway.RestApiProps{
		RestApiName:   jsii.String("slipway"),
		Description:   jsii.String("Slipway's control API"),
		EndpointTypes: &[]awsapigateway.EndpointType{awsapigateway.EndpointType_REGIONAL},
		// One for the whole region, another stack's replaced; without it API Gateway refuses a stage with access logs.
		CloudWatchRole: jsii.Bool(s.APIGatewayRole == Replace),
		DefaultMethodOptions: &awsapigateway.MethodOptions{
			AuthorizationType: awsapigateway.AuthorizationType_IAM,
		},
		DeployOptions: &awsapigateway.StageOptions{
			StageName:            jsii.String(stageName),
			ThrottlingRateLimit:  jsii.Number(requestsPerSecond),
			ThrottlingBurstLimit: jsii.Number(requestBurst),
			MethodOptions:        startLimits(),
			AccessLogDestination: awsapigateway.NewLogGroupLogDestination(logs),
			AccessLogFormat:      accessLog(),
		},
	})
	api.Node().TryRemoveChild(jsii.String("Endpoint")) // its own output; ours is named Api
	wordRefusals(api)
	integration := invoke(scope, api, fn)
	for _, r := range routes {
		api.Root().ResourceForPath(jsii.String(r.path)).AddMethod(jsii.String(r.method), integration, nil)
	}
	return api
}

// invoke proxies to the function by one permission for the whole API; a Lambda integration would make two a route.
func invoke(scope constructs.Construct, api awsapigateway.RestApi, fn awslambda.Function) awsapigateway.Integration {
	fn.AddPermission(jsii.String("Api"), &awslambda.Permission{
		Principal: awsiam.NewServicePrincipal(jsii.String("apigateway.amazonaws.com"), nil),
		SourceArn: api.ArnForExecuteApi(jsii.String("*"), jsii.String("/*"), jsii.String(stageName)),
		Scope:     scope,
	})
	return awsapigateway.NewAwsIntegration(&awsapigateway.AwsIntegrationProps{
		Service: jsii.String("lambda"),
		Path:    jsii.String("2015-03-31/functions/" + *fn.FunctionArn() + "/invocations"),
		Proxy:   jsii.Bool(true),
		Options: &awsapigateway.IntegrationOptions{Timeout: awscdk.Duration_Seconds(jsii.Number(29))},
	})
}

// accessLog says who called what, and how it went; no bodies and no query.
func accessLog() awsapigateway.AccessLogFormat {
	return awsapigateway.AccessLogFormat_JsonWithStandardFields(&awsapigateway.JsonWithStandardFieldProps{
		Caller: jsii.Bool(true), User: jsii.Bool(true), Ip: jsii.Bool(true), Protocol: jsii.Bool(true),
		HttpMethod: jsii.Bool(true), ResourcePath: jsii.Bool(true), RequestTime: jsii.Bool(true),
		Status: jsii.Bool(true), ResponseLength: jsii.Bool(true),
	})
}
