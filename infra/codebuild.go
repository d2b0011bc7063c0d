package infra

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/internal/buildsession"
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

// cacheFolder is what CodeBuild keeps from one build to the next with the setting buildCache, where it can: a folder in it for each
// app. Builds are root, so that each can read and change what the next one of any app finds there.
const cacheFolder = "/var/cache/slipway"

// buildRule is the name of the rule by which Step Functions hears of a build's end ("Run a Job", IAM policies for CodeBuild).
const buildRule = "rule/StepFunctionsGetEventForCodeBuildStartBuildRule"

// BuildSpec is what each build does. The scripts are no part of it: they, and all else that differs from build to build, are data
// that the runner reads from the bucket, so that no input ever becomes part of a shell's line. A failed test ends the build
// before its phase of that name.
func BuildSpec(withCache bool) string {
	spec := map[string]any{
		"version": 0.2,
		"phases": map[string]any{
			"install":   map[string]any{"commands": []string{"chmod +x ./" + bootstrap, "./" + bootstrap + " session"}}, // a zip's modes may be lost
			"pre_build": map[string]any{"commands": []string{"./" + bootstrap + " test"}},
			"build":     map[string]any{"commands": []string{"./" + bootstrap + " build"}},
		},
	}
	if withCache {
		spec["cache"] = map[string]any{"paths": []string{cacheFolder + "/**/*"}}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		panic(err) // plain values
	}
	return string(text)
}

// newBuilds makes the project that runs tests and builds. It sets no limit to how many run at once: the account's quota is one, and
// with it builds queue, where a limit of the project's own would refuse them.
func newBuilds(scope constructs.Construct, s Settings, code string, d *data, api awsapigateway.RestApi) *builds {
	scope = constructs.NewConstruct(scope, jsii.String("Builds"))
	program := awss3assets.NewAsset(scope, jsii.String("Runner"), &awss3assets.AssetProps{Path: jsii.String(code)})
	log := newLogGroup(scope, "Logs", buildGroup, s)
	role := newBuildRole(scope, program, api)
	project := awscodebuild.NewCfnProject(scope, jsii.String("Project"), &awscodebuild.CfnProjectProps{
		Name:        jsii.String(projectName),
		Description: jsii.String("Slipway: runs a commit's tests and builds its release"),
		ServiceRole: role.RoleArn(),
		Artifacts:   &awscodebuild.CfnProject_ArtifactsProperty{Type: jsii.String("NO_ARTIFACTS")}, // the runner stores them
		Source: &awscodebuild.CfnProject_SourceProperty{
			Type:      jsii.String("S3"),
			Location:  jsii.String(*program.S3BucketName() + "/" + *program.S3ObjectKey()),
			BuildSpec: jsii.String(BuildSpec(s.BuildCache == LocalCache)),
		},
		Environment: s.buildEnvironment(d, api),
		Cache:       s.buildCache(),
		LogsConfig: &awscodebuild.CfnProject_LogsConfigProperty{
			CloudWatchLogs: &awscodebuild.CfnProject_CloudWatchLogsConfigProperty{Status: jsii.String("ENABLED"), GroupName: log.LogGroupName()},
		},
		QueuedTimeoutInMinutes: jsii.Number(queueMinutes),
		TimeoutInMinutes:       jsii.Number(buildMinutes),
		Visibility:             jsii.String("PRIVATE"),
	})
	project.OverrideLogicalId(jsii.String("CodeBuildProject"))
	return &builds{project: project, role: role}
}

// builds is the project, and the role that its builds run as.
type builds struct {
	project awscodebuild.CfnProject
	role    awsiam.IRole
}

func (s Settings) buildCache() *awscodebuild.CfnProject_ProjectCacheProperty {
	if s.BuildCache != LocalCache {
		return &awscodebuild.CfnProject_ProjectCacheProperty{Type: jsii.String("NO_CACHE")}
	}
	return &awscodebuild.CfnProject_ProjectCacheProperty{Type: jsii.String("LOCAL"), Modes: jsii.Strings("LOCAL_CUSTOM_CACHE")}
}

// buildEnvironment is the smallest machine of the functions' own architecture, so that what is built there runs there.
func (s Settings) buildEnvironment(d *data, api awsapigateway.RestApi) *awscodebuild.CfnProject_EnvironmentProperty {
	kind, image := "ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"
	if s.Arch == X8664 {
		kind, image = "LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"
	}
	var variables []any
	set := func(name string, value *string) {
		variables = append(variables, &awscodebuild.CfnProject_EnvironmentVariableProperty{Name: jsii.String(name), Value: value})
	}
	set("SLIPWAY_API", api.Url())
	set("SLIPWAY_BUCKET", d.bucket.BucketName())
	set("SLIPWAY_LOG_GROUP", d.output.LogGroupName())
	if s.BuildCache == LocalCache {
		set("SLIPWAY_CACHE", jsii.String(cacheFolder))
	}

	return &awscodebuild.CfnProject_EnvironmentProperty{
		Type: jsii.String(kind), ComputeType: jsii.String("BUILD_GENERAL1_SMALL"), Image: jsii.String(image),
		PrivilegedMode: jsii.Bool(false), EnvironmentVariables: &variables,
	}
}

// newBuildRole is what a commit's own code can take on: it runs in the build as root. So it does nothing but what CodeBuild itself needs
// of it, and ask for the session of its own build.
func newBuildRole(scope constructs.Construct, program awss3assets.Asset, api awsapigateway.RestApi) awsiam.IRole {
	stack := awscdk.Stack_Of(scope)
	statements := []awsiam.PolicyStatement{
		allow([]*string{join(program.Bucket().BucketArn(), "/"+*program.S3ObjectKey())}, "s3:GetObject", "s3:GetObjectVersion"),
		allow(arns(stack, "logs", "log-group:"+buildGroup+":*"), writeLogs...),
		allow([]*string{api.ArnForExecuteApi(jsii.String("POST"), jsii.String(buildsession.Path), jsii.String(stageName))}, "execute-api:Invoke"),
	}
	role := newServiceRole(scope, "Role", "codebuild.amazonaws.com", "What slipway-builds may do", statements)
	return role.WithoutPolicyUpdates(nil)
}

// tag is the value of a session's tag, which IAM fills in when it judges a request.
func tag(name string) string { return "${aws:PrincipalTag/" + name + "}" }

// newBuildSessions makes the role that a build works with, the route by which it gets a session of it, and lets the function assume it.
// The session's tags say which deployment it is for.
func newBuildSessions(scope constructs.Construct, s Settings, d *data, api awsapigateway.RestApi, fn awslambda.Function, b *builds) {
	scope = constructs.NewConstruct(scope, jsii.String("BuildSessions"))
	stack := awscdk.Stack_Of(scope)
	object := func(key string) *string { return d.bucket.ArnForObjects(jsii.String(key)) }
	commit, job := tag("app")+"/"+tag("commit"), "jobs/"+tag("deployment")
	may := awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{
		allow([]*string{object("sources/" + commit + ".tar.gz"), object("fetched/" + commit + ".tar.gz")}, "s3:GetObject"),
		allow([]*string{object("artifacts/" + commit + "/*")}, "s3:GetObject", "s3:PutObject"),
		allow([]*string{object(job + "/deployment.json"), object(job + "/cancelled")}, "s3:GetObject"),
		allow([]*string{object(job + "/result.json")}, "s3:GetObject", "s3:PutObject"),
		allow(arns(stack, "logs", "log-group:"+OutputGroup+":log-stream:"+tag("deployment")), writeLogs...),
	}})
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:          awsiam.NewArnPrincipal(fn.Role().RoleArn()).WithSessionTags(),
		Description:        jsii.String("What slipway-job may do"),
		InlinePolicies:     &map[string]awsiam.PolicyDocument{"Work": may},
		MaxSessionDuration: awscdk.Duration_Hours(jsii.Number(1)),
	})

	fn.AddEnvironment(jsii.String("SLIPWAY_JOB_ROLE"), role.RoleArn(), nil)
	fn.AddEnvironment(jsii.String("SLIPWAY_BUILD_ROLE"), b.role.RoleName(), nil)
	fn.AddEnvironment(jsii.String("SLIPWAY_BUILD_PROJECT"), jsii.String(projectName), nil)
	api.Root().ResourceForPath(jsii.String(buildsession.Path)).AddMethod(jsii.String("POST"), invoke(scope, api, fn), nil)
}

// mayOpenSessions has no right on the role that it assumes: that role's trust policy names it.
func mayOpenSessions(r *resources) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{
		allow(r.table, "dynamodb:GetItem"),
		allow(arns(r.stack, "codebuild", "project/"+projectName), "codebuild:BatchGetBuilds"),
		allow(r.parameters, "ssm:GetParameter"),
		allow(r.secrets, "secretsmanager:GetSecretValue"),
	}
}

// runBuilds is what startBuild.sync takes.
func runBuilds(scope constructs.Construct, project awscodebuild.CfnProject) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{
		allow([]*string{project.AttrArn()}, "codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"),
		allow(arns(awscdk.Stack_Of(scope), "events", buildRule), "events:PutTargets", "events:PutRule", "events:DescribeRule"),
	}
}
