package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// The rules of the second door.
const (
	EndedRule = "slipway-ended" // executions that ended otherwise than well
	SweepRule = "slipway-sweep" // what the events missed, which are sent at best effort
)

// newSweep calls the function sweep when an execution ended, and each minute.
func newSweep(scope constructs.Construct, fn awslambda.Function, machine awsstepfunctions.StateMachine) {
	scope = constructs.NewConstruct(scope, jsii.String("Sweep"))
	newRule(scope, "Ended", fn, &awsevents.CfnRuleProps{
		Name:        jsii.String(EndedRule),
		Description: jsii.String("An execution of Slipway's ended otherwise than well"),
		EventPattern: map[string]any{
			"source":      []string{"aws.states"},
			"detail-type": []string{"Step Functions Execution Status Change"},
			"detail": map[string]any{
				"stateMachineArn": []*string{machine.StateMachineArn()},
				"status":          []string{"ABORTED", "FAILED", "TIMED_OUT"},
			},
		},
	})
	newRule(scope, "Minute", fn, &awsevents.CfnRuleProps{
		Name:               jsii.String(SweepRule),
		Description:        jsii.String("Looks for deployments of Slipway's that nobody works on any more"),
		ScheduleExpression: jsii.String("rate(1 minute)"),
	})
}

// newRule makes a rule that calls a function, and lets it. CDK's own targets would bring packages for twenty services.
func newRule(scope constructs.Construct, id string, fn awslambda.Function, props *awsevents.CfnRuleProps) {
	props.Targets = []*awsevents.CfnRule_TargetProperty{{Id: fn.Node().Id(), Arn: fn.FunctionArn()}}
	rule := awsevents.NewCfnRule(scope, jsii.String(id), props)
	fn.AddPermission(jsii.String(id+"Calls"), &awslambda.Permission{
		Principal: awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil),
		SourceArn: awscdk.Token_AsString(rule.AttrArn(), nil),
		Scope:     scope,
	})
}
