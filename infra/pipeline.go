package infra

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// definitionFile is the one definition of the workflow, in the repository's root.
const definitionFile = "statemachine.asl.json"

// functionParameters says which function stands for each ${…} of the definition.
var functionParameters = map[string]string{
	"PrepareFunctionArn":     "prepare",
	"FetchFunctionArn":       "fetch",
	"TestFunctionArn":        "test",
	"BuildFunctionArn":       "build",
	"AdmitFunctionArn":       "admit",
	"DeployFunctionArn":      "deploy",
	"ShiftFunctionArn":       "shift",
	"HealthCheckFunctionArn": "healthcheck",
	"RollbackFunctionArn":    "rollback",
	"SettleFunctionArn":      "settle",
}

func readDefinition(root string) (string, error) {
	file := filepath.Join(root, definitionFile)
	definition, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the workflow's definition: %w; run in the repository's root", err)
	}
	return string(definition), nil
}

// newPipeline makes the state machine. X-Ray stays off: the history shows every state's time, for 90 days and for
// nothing. The log keeps failures longer than that.
func newPipeline(scope constructs.Construct, s Settings, definition string, functions map[string]awslambda.Function, builds awscodebuild.CfnProject) awsstepfunctions.StateMachine {
	scope = constructs.NewConstruct(scope, jsii.String("Pipeline"))
	substitutions, invoked := map[string]*string{"CodeBuildProject": builds.Ref()}, []*string{}
	for _, h := range handlers {
		for parameter, name := range functionParameters {
			if name == h.name {
				substitutions[parameter] = functions[name].FunctionArn()
				invoked = append(invoked, functions[name].FunctionArn())
			}
		}
	}
	machine := awsstepfunctions.NewStateMachine(scope, jsii.String("StateMachine"), &awsstepfunctions.StateMachineProps{
		StateMachineName:        jsii.String(stateMachineName),
		DefinitionBody:          awsstepfunctions.DefinitionBody_FromString(jsii.String(definition)),
		DefinitionSubstitutions: &substitutions,
		Role:                    newPipelineRole(scope, invoked, builds),
		Logs: &awsstepfunctions.LogOptions{
			// The name's start keeps the policy that lets AWS's services write here from growing (vended logs).
			Destination:          newLogGroup(scope, "Logs", "/aws/vendedlogs/states/"+stateMachineName, s),
			Level:                awsstepfunctions.LogLevel_ERROR,
			IncludeExecutionData: jsii.Bool(true), // ids and small decisions; nothing secret passes between states
		},
	})
	resource := machine.Node().DefaultChild().(awsstepfunctions.CfnStateMachine)
	resource.OverrideLogicalId(jsii.String("StateMachine"))
	dropDependsOn(resource)
	return machine
}

// deliverLogs sets up the log, by actions for which AWS knows no resource but "*" (Step Functions, "Logging using
// CloudWatch Logs").
var deliverLogs = []string{"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
	"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"}

// newPipelineRole may invoke the functions, run builds and log, and the construct adds nothing to it.
func newPipelineRole(scope constructs.Construct, invoked []*string, builds awscodebuild.CfnProject) awsiam.IRole {
	statements := append([]awsiam.PolicyStatement{
		allow(invoked, "lambda:InvokeFunction"),
		allow([]*string{jsii.String("*")}, deliverLogs...),
	}, runBuilds(scope, builds)...)
	role := newServiceRole(scope, "Role", "states.amazonaws.com", "What the state machine "+stateMachineName+" may do", statements)
	return role.WithoutPolicyUpdates(nil)
}
