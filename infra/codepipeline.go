package infra

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodepipeline"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
)

// The example pipeline takes a CodeCommit repository's main branch to two environments of an app.
const (
	pipelineName   = "slipway-example"
	pipelineBranch = "main"
	pipelineApp    = "shop"
)

// newExamplePipeline makes the stack of a pipeline of CodePipeline's that deploys by Slipway, in both of its ways: to staging by
// the state machine, to production by the function that is handed the source. It is made only where the setting names a repository.
// It names Slipway's parts and refers to none, so that either stack can be deployed without the other.
func newExamplePipeline(app awscdk.App, s Settings) {
	if s.PipelineRepository == "" {
		return
	}
	stack := awscdk.NewStack(app, jsii.String("SlipwayPipeline"), &awscdk.StackProps{
		Description: jsii.String("An example of a pipeline of CodePipeline's that deploys by Slipway."),
	})
	store := newArtifactStore(stack, s)
	repository := arns(stack, "codecommit", s.PipelineRepository)
	machine, function := arns(stack, "states", "stateMachine:"+stateMachineName), arns(stack, "lambda", "function:"+functionName("codepipeline"))
	role := newServiceRole(stack, "Role", "codepipeline.amazonaws.com", "What "+pipelineName+" may do", []awsiam.PolicyStatement{
		allow([]*string{store.ArnForObjects(jsii.String("*"))}, "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"),
		allow([]*string{store.BucketArn()}, "s3:GetBucketVersioning", "s3:GetBucketAcl", "s3:GetBucketLocation"),
		allow(repository, "codecommit:GetBranch", "codecommit:GetCommit", "codecommit:UploadArchive", "codecommit:GetUploadArchiveStatus", "codecommit:CancelUploadArchive"),
		allow(machine, "states:StartExecution", "states:DescribeStateMachine"),
		allow(arns(stack, "states", "execution:"+stateMachineName+":*"), "states:DescribeExecution"),
		allow(function, "lambda:InvokeFunction"),
	})
	pipeline := awscodepipeline.NewCfnPipeline(stack, jsii.String("Pipeline"), &awscodepipeline.CfnPipelineProps{
		Name: jsii.String(pipelineName), PipelineType: jsii.String("V2"), ExecutionMode: jsii.String("QUEUED"), RoleArn: role.RoleArn(),
		ArtifactStore: &awscodepipeline.CfnPipeline_ArtifactStoreProperty{Type: jsii.String("S3"), Location: store.BucketName()},
		Stages: []any{
			stage(sourceAction(s.PipelineRepository)), stage(machineAction(machine[0])), stage(functionAction()),
		},
	})
	startOnPush(stack, pipeline, repository)
}

// newArtifactStore keeps the sources between two actions, for a month.
func newArtifactStore(stack awscdk.Stack, s Settings) awss3.Bucket {
	return awss3.NewBucket(stack, jsii.String("Artifacts"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(), EnforceSSL: jsii.Bool(true), Encryption: awss3.BucketEncryption_S3_MANAGED,
		Versioned: jsii.Bool(true), RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Expiration: awscdk.Duration_Days(jsii.Number(30)), NoncurrentVersionExpiration: awscdk.Duration_Days(jsii.Number(1)),
		}},
	})
}

// action is one action, the only one of its stage.
func action(name, category, provider, namespace string, configuration map[string]string) *awscodepipeline.CfnPipeline_ActionDeclarationProperty {
	return &awscodepipeline.CfnPipeline_ActionDeclarationProperty{
		Name: jsii.String(name), Namespace: jsii.String(namespace), Configuration: configuration,
		ActionTypeId: &awscodepipeline.CfnPipeline_ActionTypeIdProperty{
			Category: jsii.String(category), Owner: jsii.String("AWS"), Provider: jsii.String(provider), Version: jsii.String("1"),
		},
	}
}

func stage(a *awscodepipeline.CfnPipeline_ActionDeclarationProperty) *awscodepipeline.CfnPipeline_StageDeclarationProperty {
	return &awscodepipeline.CfnPipeline_StageDeclarationProperty{Name: a.Name, Actions: []any{a}}
}

func sourceAction(repository string) *awscodepipeline.CfnPipeline_ActionDeclarationProperty {
	a := action("Source", "Source", "CodeCommit", "SourceVariables", map[string]string{
		"RepositoryName": repository, "BranchName": pipelineBranch, "PollForSourceChanges": "false", "OutputArtifactFormat": "CODE_ZIP"})
	a.OutputArtifacts = []any{&awscodepipeline.CfnPipeline_OutputArtifactProperty{Name: jsii.String("Source")}}
	return a
}

// machineAction starts the state machine and waits for its end. The app's commits have to be where Slipway finds them.
func machineAction(machine *string) *awscodepipeline.CfnPipeline_ActionDeclarationProperty {
	return action("Staging", "Invoke", "StepFunctions", "Staging", map[string]string{
		"StateMachineArn": *machine, "InputType": "Literal", "Input": named("staging")})
}

// functionAction hands the source over.
func functionAction() *awscodepipeline.CfnPipeline_ActionDeclarationProperty {
	a := action("Production", "Invoke", "Lambda", "Production", map[string]string{
		"FunctionName": functionName("codepipeline"), "UserParameters": named("production")})
	a.InputArtifacts = []any{&awscodepipeline.CfnPipeline_InputArtifactProperty{Name: jsii.String("Source")}}
	return a
}

// named is what both actions say: which commit goes where.
func named(environment string) string {
	text, err := json.Marshal(map[string]string{"app": pipelineApp, "environment": environment,
		"commit_sha": "#{SourceVariables.CommitId}", "branch": "#{SourceVariables.BranchName}"})
	if err != nil {
		panic(err) // plain values
	}
	return string(text)
}

// startOnPush starts the pipeline when the branch moves; polling would ask all day.
func startOnPush(stack awscdk.Stack, pipeline awscodepipeline.CfnPipeline, repository []*string) {
	arn := arns(stack, "codepipeline", pipelineName)
	role := newServiceRole(stack, "RuleRole", "events.amazonaws.com", "What "+pipelineName+"-rule may do",
		[]awsiam.PolicyStatement{allow(arn, "codepipeline:StartPipelineExecution")})
	rule := awsevents.NewCfnRule(stack, jsii.String("Push"), &awsevents.CfnRuleProps{
		Description: jsii.String("Starts " + pipelineName + " when its branch moves"),
		EventPattern: map[string]any{
			"source": []string{"aws.codecommit"}, "detail-type": []string{"CodeCommit Repository State Change"}, "resources": repository,
			"detail": map[string]any{"event": []string{"referenceCreated", "referenceUpdated"}, "referenceType": []string{"branch"}, "referenceName": []string{pipelineBranch}},
		},
		Targets: []any{&awsevents.CfnRule_TargetProperty{Id: jsii.String("Pipeline"), Arn: arn[0], RoleArn: role.RoleArn()}},
	})
	rule.AddDependency(pipeline)
}
