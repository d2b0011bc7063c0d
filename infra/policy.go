package infra

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// resources names all that a policy may speak of, as ARNs, and gives the functions the same names.
type resources struct {
	stack awscdk.Stack
	data  *data

	runner                              string
	table, indexes, bucket, bus, output []*string
	flags                               []*string
	uploaded, fetched, sources          []*string // sources are both
	artifacts                           []*string
	jobs, results                       []*string
	handovers, cancels                  []*string
	secrets, parameters                 []*string // of scripts
	ownSecrets, ownParameters           []*string // that Slipway itself logs in with
	targets, versions                   []*string
	hooks, repositories                 []*string
	topics                              []*string
	machine, executions                 []*string
}

func newResources(stack awscdk.Stack, s Settings, d *data) *resources {
	r := &resources{stack: stack, data: d, runner: s.Runner}
	r.table = []*string{d.deployments.TableArn()}
	r.flags = []*string{d.flags.TableArn()}
	r.indexes = []*string{join(d.deployments.TableArn(), "/index/*")}
	r.bucket = []*string{d.bucket.BucketArn()}
	r.uploaded = []*string{d.bucket.ArnForObjects(jsii.String("sources/*"))}
	r.fetched = []*string{d.bucket.ArnForObjects(jsii.String("fetched/*"))}
	r.sources = slices.Concat(r.uploaded, r.fetched)
	r.artifacts = []*string{d.bucket.ArnForObjects(jsii.String("artifacts/*"))}
	r.jobs = []*string{d.bucket.ArnForObjects(jsii.String("jobs/*"))}
	r.handovers = []*string{d.bucket.ArnForObjects(jsii.String("jobs/*/deployment.json"))}
	r.results = []*string{d.bucket.ArnForObjects(jsii.String("jobs/*/result.json"))}
	r.cancels = []*string{d.bucket.ArnForObjects(jsii.String("jobs/*/cancelled"))}
	r.bus = []*string{d.bus.EventBusArn()}
	r.output = arns(stack, "logs", "log-group:"+OutputGroup+":*")
	r.parameters = arns(stack, "ssm", "parameter/slipway/*")
	r.secrets = arns(stack, "secretsmanager", "secret:slipway/*")
	r.ownParameters = arns(stack, "ssm", "parameter/slipway-own/*")
	r.ownSecrets = arns(stack, "secretsmanager", "secret:slipway-own/*")
	r.machine = arns(stack, "states", "stateMachine:"+stateMachineName)
	r.executions = arns(stack, "states", "execution:"+stateMachineName+":*")
	for _, name := range s.Targets {
		r.targets = append(r.targets, arns(stack, "lambda", "function:"+name)...)
		r.versions = append(r.versions, arns(stack, "lambda", "function:"+name+":*")...)
	}
	for _, name := range s.Repositories {
		r.repositories = append(r.repositories, arns(stack, "codecommit", name)...)
	}
	for _, name := range s.Topics {
		r.topics = append(r.topics, arns(stack, "sns", name)...)
	}
	for _, name := range s.HookFunctions {
		r.hooks = append(r.hooks, arns(stack, "lambda", "function:"+name)...)
	}
	return r
}

// environment is what every function finds in its environment.
func (r *resources) environment() *map[string]*string {
	return &map[string]*string{
		"SLIPWAY_DEPLOYMENTS_TABLE": r.data.deployments.TableName(),
		"SLIPWAY_FLAGS_TABLE":       r.data.flags.TableName(),
		"SLIPWAY_BUCKET":            r.data.bucket.BucketName(),
		"SLIPWAY_EVENT_BUS":         r.data.bus.EventBusName(),
		"SLIPWAY_LOG_GROUP":         r.data.output.LogGroupName(),
		"SLIPWAY_STATE_MACHINE_ARN": r.machine[0],
		"SLIPWAY_WEBHOOK_SECRET":    jsii.String(webhookSecret), // its name; one function may read it
		"SLIPWAY_GITHUB_URL":        jsii.String(gitHubURL),
		"SLIPWAY_RUNNER":            jsii.String(r.runner),
	}
}

// What several functions do. A transaction is allowed by what it is made of, which is puts.
var (
	readWrite = []string{"dynamodb:GetItem", "dynamodb:PutItem"}
	writeLogs = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
	answer    = []string{"states:SendTaskSuccess", "states:SendTaskFailure"}
	moveAlias = []string{"lambda:GetFunctionConfiguration", "lambda:GetAlias", "lambda:UpdateAlias"}
)

func (r *resources) records() awsiam.PolicyStatement { return allow(r.table, readWrite...) }

// places is records for those that look at the environment's head at the same time.
func (r *resources) places() awsiam.PolicyStatement {
	return allow(r.table, append([]string{"dynamodb:BatchGetItem"}, readWrite...)...)
}

// switches is what creating a release's flags and switching them off takes.
func (r *resources) switches() awsiam.PolicyStatement { return allow(r.flags, readWrite...) }

// findSource tells a bundle that is missing from one that is forbidden: without ListBucket S3 answers 403 for both.
func (r *resources) findSource(bundles []*string) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{allow(bundles, "s3:GetObject"), allow(r.bucket, "s3:ListBucket")}
}

// scripts is what running a commit's script takes: its bundle, its secrets, a place for its output.
func (r *resources) scripts() []awsiam.PolicyStatement {
	return append(r.findSource(r.sources),
		allow(r.output, writeLogs...),
		allow(r.parameters, "ssm:GetParameter"),
		allow(r.secrets, "secretsmanager:GetSecretValue"))
}

// hooking is what running hooks takes besides scripts.
func (r *resources) hooking() []awsiam.PolicyStatement {
	statements := []awsiam.PolicyStatement{allow(r.bus, "events:PutEvents")}
	if len(r.hooks) > 0 {
		statements = append(statements, allow(r.hooks, "lambda:InvokeFunction"))
	}
	return statements
}

// onTargets allows actions on the functions that may be deployed, and to read their versions; where there are
// none, nothing. Lambda checks a call with a qualifier against the version's own ARN, and of ours only
// GetFunctionConfiguration has one.
func (r *resources) onTargets(actions ...string) []awsiam.PolicyStatement {
	if len(r.targets) == 0 {
		return nil
	}
	return []awsiam.PolicyStatement{allow(r.targets, actions...), allow(r.versions, "lambda:GetFunctionConfiguration")}
}

func mayPrepare(r *resources) []awsiam.PolicyStatement {
	return append(r.findSource(r.sources), r.records(), allow(r.handovers, "s3:PutObject"))
}

// mayFetch has no way to the objects of a bundle but to look whether it is there, and to store one.
func mayFetch(r *resources) []awsiam.PolicyStatement {
	return concat(r.findSource(r.fetched), r.pulling(), r.loggingIn(), []awsiam.PolicyStatement{r.records(), allow(r.fetched, "s3:PutObject")})
}

// loggingIn reads what Slipway itself shows to git servers and to notifications' channels. No function that runs scripts may.
func (r *resources) loggingIn() []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{allow(r.ownParameters, "ssm:GetParameter"), allow(r.ownSecrets, "secretsmanager:GetSecretValue")}
}

// pulling is what CodeCommit wants of git; where the stack was told of no repository, nothing.
func (r *resources) pulling() []awsiam.PolicyStatement {
	if len(r.repositories) == 0 {
		return nil
	}
	return []awsiam.PolicyStatement{allow(r.repositories, "codecommit:GitPull")}
}

func mayTest(r *resources) []awsiam.PolicyStatement { return append(r.scripts(), r.records()) }

func mayBuild(r *resources) []awsiam.PolicyStatement {
	return append(r.scripts(), r.records(), allow(r.artifacts, "s3:GetObject", "s3:PutObject"), allow(r.results, "s3:GetObject"))
}

func mayAdmit(r *resources) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{r.places(), allow(r.machine, answer...)}
}

// mayDeploy reads artifacts for itself and for Lambda, which takes the code from S3 with the caller's rights.
func mayDeploy(r *resources) []awsiam.PolicyStatement {
	return concat(r.scripts(), r.hooking(), r.onTargets("lambda:GetFunctionConfiguration", "lambda:GetAlias", "lambda:UpdateFunctionCode", "lambda:PublishVersion"),
		[]awsiam.PolicyStatement{r.places(), r.switches(), allow(r.artifacts, "s3:GetObject")})
}

// mayShift reads artifacts for the scripts and hooks that run once the release serves.
func mayShift(r *resources) []awsiam.PolicyStatement {
	return concat(r.scripts(), r.hooking(), r.onTargets(moveAlias...), []awsiam.PolicyStatement{r.records(), allow(r.artifacts, "s3:GetObject")})
}

// mayRollBack has artifacts too: a script target's own rollback puts them back, and a version that is gone is made of them anew.
func mayRollBack(r *resources) []awsiam.PolicyStatement {
	return concat(r.scripts(), r.hooking(), r.onTargets(append([]string{"lambda:UpdateFunctionCode", "lambda:PublishVersion"}, moveAlias...)...),
		[]awsiam.PolicyStatement{r.records(), r.switches(), allow(r.artifacts, "s3:GetObject")})
}

func mayCheckHealth(r *resources) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{r.records()}
}

// maySettle reads what serves, so that the record says so, and changes nothing of it.
func maySettle(r *resources) []awsiam.PolicyStatement {
	return concat(r.scripts(), r.hooking(), r.onTargets("lambda:GetFunctionConfiguration", "lambda:GetAlias"), []awsiam.PolicyStatement{r.places(), allow(r.machine, answer...)})
}

// mayAnswerPipelines reads no artifact by its own rights: each job brings the credentials for its own.
func mayAnswerPipelines(r *resources) []awsiam.PolicyStatement {
	return append(r.findSource(r.fetched), r.records(), allow(r.fetched, "s3:PutObject"), allow(r.machine, "states:StartExecution"),
		allow([]*string{jsii.String("*")}, "codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"))
}

func mayServeAPI(r *resources) []awsiam.PolicyStatement {
	return append(r.findSource(r.uploaded), r.records(),
		allow(append(r.table, r.indexes...), "dynamodb:Query"),
		allow(r.flags, append([]string{"dynamodb:Query", "dynamodb:BatchWriteItem"}, readWrite...)...),
		allow(r.machine, "states:StartExecution", "states:SendTaskFailure"), // a cancel ends the wait for a turn
		allow(r.cancels, "s3:PutObject"),
		allow(r.output, "logs:GetLogEvents"))
}

// maySweep finds what is open, and which of it nobody works on.
func maySweep(r *resources) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{r.records(),
		allow([]*string{join(r.table[0], "/index/open")}, "dynamodb:Query"),
		allow(r.machine, "states:ListExecutions", "states:StartExecution"),
		allow(r.executions, "states:DescribeExecution")}
}

func allow(on []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: &on})
}

// arns names resources of service in the stack's own account and region.
func arns(stack awscdk.Stack, service string, names ...string) []*string {
	named := make([]*string, len(names))
	for i, name := range names {
		named[i] = jsii.String("arn:" + *stack.Partition() + ":" + service + ":" + *stack.Region() + ":" + *stack.Account() + ":" + name)
	}
	return named
}

func join(arn *string, suffix string) *string { return jsii.String(*arn + suffix) }

func concat(lists ...[]awsiam.PolicyStatement) []awsiam.PolicyStatement {
	var all []awsiam.PolicyStatement
	for _, each := range lists {
		all = append(all, each...)
	}
	return all
}
