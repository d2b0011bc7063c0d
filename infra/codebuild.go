package infra

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// runner is the folder of the program that builds run, among those of the functions.
const runner = "runner"

// projectName is the CodeBuild project's, buildGroup its own log's: what CodeBuild says about its phases. What scripts print is in
// OutputGroup, wherever they run.
const (
	projectName = "slipway"
	buildGroup  = "/aws/codebuild/" + projectName
)

// How long a build may wait for its turn, and run: two scripts of ten minutes, and room for what is around them.
const (
	queueMinutes = 30
	buildMinutes = 30
)

// cacheFolder is what CodeBuild keeps from one build to the next, where it can: a folder in it for each app.
const cacheFolder = "/var/cache/slipway"

// buildRule is the name of the rule by which Step Functions hears of a build's end ("Run a Job", IAM policies for CodeBuild).
const buildRule = "rule/StepFunctionsGetEventForCodeBuildStartBuildRule"

// BuildSpec is what each build does. The scripts are no part of it: they, and all else that differs from build to build, are data
// that the runner reads from the bucket, so that no input ever becomes part of a shell's line. A failed test ends the build
// before its phase of that name.
func BuildSpec() string {
	spec := map[string]any{
		"version": 0.2,
		"phases": map[string]any{
			"install":   map[string]any{"commands": []string{"chmod +x ./" + bootstrap}}, // a zip's modes may be lost
			"pre_build": map[string]any{"commands": []string{"./" + bootstrap + " test"}},
			"build":     map[string]any{"commands": []string{"./" + bootstrap + " build"}},
		},
		"cache": map[string]any{"paths": []string{cacheFolder + "/**/*"}},
	}
	text, err := json.Marshal(spec)
	if err != nil {
		panic(err) // plain values
	}
	return string(text)
}

// newBuilds makes the project that runs tests and builds. It sets no limit to how many run at once: the account's quota is one, and
// with it builds queue, where a limit of the project's own would refuse them.
func newBuilds(scope constructs.Construct, s Settings, code string, d *data) awscodebuild.CfnProject {
	scope = constructs.NewConstruct(scope, jsii.String("Builds"))
	program := awss3assets.NewAsset(scope, jsii.String("Runner"), &awss3assets.AssetProps{Path: jsii.String(code)})
	log := newLogGroup(scope, "Logs", buildGroup, s)
	res := newResources(awscdk.Stack_Of(scope), s, d)
	project := awscodebuild.NewCfnProject(scope, jsii.String("Project"), &awscodebuild.CfnProjectProps{
		Name:        jsii.String(projectName),
		Description: jsii.String("Slipway: runs a commit's tests and builds its release"),
		ServiceRole: newBuildRole(scope, res, program).RoleArn(),
		Artifacts:   &awscodebuild.CfnProject_ArtifactsProperty{Type: jsii.String("NO_ARTIFACTS")}, // the runner stores them
		Source: &awscodebuild.CfnProject_SourceProperty{
			Type:      jsii.String("S3"),
			Location:  jsii.String(*program.S3BucketName() + "/" + *program.S3ObjectKey()),
			BuildSpec: jsii.String(BuildSpec()),
		},
		Environment: s.buildEnvironment(d),
		Cache: &awscodebuild.CfnProject_ProjectCacheProperty{
			Type: jsii.String("LOCAL"), Modes: jsii.Strings("LOCAL_CUSTOM_CACHE"),
		},
		LogsConfig: &awscodebuild.CfnProject_LogsConfigProperty{
			CloudWatchLogs: &awscodebuild.CfnProject_CloudWatchLogsConfigProperty{Status: jsii.String("ENABLED"), GroupName: log.LogGroupName()},
		},
		QueuedTimeoutInMinutes: jsii.Number(queueMinutes),
		TimeoutInMinutes:       jsii.Number(buildMinutes),
		Visibility:             jsii.String("PRIVATE"),
	})
	project.OverrideLogicalId(jsii.String("CodeBuildProject"))
	return project
}

// buildEnvironment is the smallest machine of the functions' own architecture, so that what is built there runs there.
func (s Settings) buildEnvironment(d *data) *awscodebuild.CfnProject_EnvironmentProperty {
	kind, image := "ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"
	if s.Arch == X8664 {
		kind, image = "LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"
	}
	var variables []any
	for _, v := range []struct {
		name  string
		value *string
	}{
		{"SLIPWAY_BUCKET", d.bucket.BucketName()},
		{"SLIPWAY_LOG_GROUP", d.output.LogGroupName()},
		{"SLIPWAY_CACHE", jsii.String(cacheFolder)},
	} {
		variables = append(variables, &awscodebuild.CfnProject_EnvironmentVariableProperty{Name: jsii.String(v.name), Value: v.value})
	}
	return &awscodebuild.CfnProject_EnvironmentProperty{
		Type: jsii.String(kind), ComputeType: jsii.String("BUILD_GENERAL1_SMALL"), Image: jsii.String(image),
		PrivilegedMode: jsii.Bool(false), EnvironmentVariables: &variables,
	}
}

// newBuildRole is what a commit's own code can take on: it runs in the build as root. So it is held to what a build is for: no
// table, no machine, no list of the bucket, and nothing that another side writes.
func newBuildRole(scope constructs.Construct, r *resources, program awss3assets.Asset) awsiam.IRole {
	statements := []awsiam.PolicyStatement{
		allow([]*string{join(program.Bucket().BucketArn(), "/"+*program.S3ObjectKey())}, "s3:GetObject", "s3:GetObjectVersion"),
		allow(r.sources, "s3:GetObject"),
		allow(r.artifacts, "s3:GetObject", "s3:PutObject"),
		allow(r.jobs, "s3:GetObject"),
		allow(r.results, "s3:PutObject"),
		allow(r.output, writeLogs...),
		allow(arns(r.stack, "logs", "log-group:"+buildGroup+":*"), writeLogs...),
		allow(r.parameters, "ssm:GetParameter"),
		allow(r.secrets, "secretsmanager:GetSecretValue"),
	}
	role := newServiceRole(scope, "Role", "codebuild.amazonaws.com", "What slipway-builds may do", statements)
	return role.WithoutPolicyUpdates(nil)
}

// runBuilds is what startBuild.sync takes.
func runBuilds(scope constructs.Construct, project awscodebuild.CfnProject) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{
		allow([]*string{project.AttrArn()}, "codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"),
		allow(arns(awscdk.Stack_Of(scope), "events", buildRule), "events:PutTargets", "events:PutRule", "events:DescribeRule"),
	}
}
