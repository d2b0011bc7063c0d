package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// letIn lets rules put what they can't deliver into a queue of dead letters.
func letIn(dead awssqs.Queue, rules []*string) {
	dead.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sqs:SendMessage"), Resources: &[]*string{dead.QueueArn()},
		Conditions: &map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rules}},
	}))
}

// triesThen has Lambda try an event that the function failed at again, and put it into the queue at last, by the function's role.
func triesThen(scope constructs.Construct, fn awslambda.Function, dead awssqs.Queue) {
	awslambda.NewCfnEventInvokeConfig(scope, jsii.String("Tries"), &awslambda.CfnEventInvokeConfigProps{
		FunctionName: fn.FunctionName(), Qualifier: jsii.String("$LATEST"), MaximumRetryAttempts: jsii.Number(processTries), MaximumEventAgeInSeconds: jsii.Number(deliverySpan),
		DestinationConfig: &awslambda.CfnEventInvokeConfig_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventInvokeConfig_OnFailureProperty{Destination: dead.QueueArn()},
		},
	})
}
