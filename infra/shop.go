package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"
)

// ShopFunction is the Lambda function of the example app; its alias "live" takes the traffic.
const ShopFunction = "slipway-shop"

const (
	shop      = "shop" // its folder among the functions
	shopAlias = "live"
)

// newShop makes the stack of examples/shop: a function, its first version, an alias on it and a public URL of the alias.
//
// From then on Slipway moves the alias and publishes the versions, and CloudFormation must not: it compares templates,
// never the cloud, so what never changes in the template is never touched. Hence a version and an alias whose templates
// don't depend on the code, instead of the construct's current version, which would move the alias back with each new
// build. A version is retained, because a rollback may need it.
func newShop(app awscdk.App, s Settings, code string) {
	stack := awscdk.NewStack(app, jsii.String("SlipwayShop"), &awscdk.StackProps{
		Description: jsii.String("The example app that Slipway deploys: one function behind a URL."),
	})
	fn := awslambda.NewFunction(stack, jsii.String("Function"), &awslambda.FunctionProps{
		FunctionName: jsii.String(ShopFunction),
		Description:  jsii.String("Slipway's example app"),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Architecture: s.architecture(),
		Handler:      jsii.String(bootstrap),
		Code:         awslambda.Code_FromAsset(jsii.String(code), nil),
		Role:         newRole(stack, ShopFunction),
		LogGroup:     newLogGroup(stack, "Logs", "/aws/lambda/"+ShopFunction, s),
		MemorySize:   jsii.Number(256),
		Timeout:      awscdk.Duration_Seconds(jsii.Number(10)),
	})
	dropDependsOn(fn.Node().DefaultChild().(awslambda.CfnFunction))
	version := awslambda.NewCfnVersion(stack, jsii.String("FirstVersion"), &awslambda.CfnVersionProps{FunctionName: fn.FunctionName()})
	version.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	alias := awslambda.NewCfnAlias(stack, jsii.String("Live"), &awslambda.CfnAliasProps{
		FunctionName:    fn.FunctionName(),
		FunctionVersion: version.AttrVersion(),
		Name:            jsii.String(shopAlias),
	})
	newOutput(stack, "ShopUrl", newShopURL(stack, fn, alias).AttrFunctionUrl())
}

// newShopURL opens the alias to everybody. Lambda wants two permissions for that: to call the URL, and to be invoked by it.
func newShopURL(stack awscdk.Stack, fn awslambda.Function, alias awslambda.CfnAlias) awslambda.CfnUrl {
	url := awslambda.NewCfnUrl(stack, jsii.String("Url"), &awslambda.CfnUrlProps{
		TargetFunctionArn: fn.FunctionArn(),
		Qualifier:         jsii.String(shopAlias),
		AuthType:          jsii.String("NONE"),
	})
	url.AddDependency(alias)
	awslambda.NewCfnPermission(stack, jsii.String("UrlCall"), &awslambda.CfnPermissionProps{
		FunctionName: alias.Ref(), Principal: jsii.String("*"),
		Action: jsii.String("lambda:InvokeFunctionUrl"), FunctionUrlAuthType: jsii.String("NONE"),
	})
	awslambda.NewCfnPermission(stack, jsii.String("UrlInvoke"), &awslambda.CfnPermissionProps{
		FunctionName: alias.Ref(), Principal: jsii.String("*"),
		Action: jsii.String("lambda:InvokeFunction"), InvokedViaFunctionUrl: jsii.Bool(true),
	})
	return url
}
