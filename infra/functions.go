package infra

import (
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// handler is one Lambda function of Slipway. Its name is the folder's in functions/, and the ASL state's in lower case.
type handler struct {
	name      string
	does      string
	timeout   int // seconds; below the ASL's TimeoutSeconds, so that a slow function can still name its error
	memoryMB  int
	storageMB int // of /tmp; Lambda's own 512 where it is 0
	may       func(*resources) []awsiam.PolicyStatement
}

// Scripts unpack and build in /tmp, and Lambda gives a share of the processor by the memory.
const (
	light     = 512
	scripting = 1769 // MB, of one whole processor
	workspace = 2048 // MB
	fetching  = 1024 // MB, of a pack and of the bundle that is made of it
)

// handlers lists them all: the machine's in the order in which a deployment meets them, then what answers over HTTP, then what events
// call.
var handlers = []handler{
	{"prepare", "Makes the record, reads slipway.yaml, checks the bundle", 100, light, 0, mayPrepare},
	{"fetch", "Fetches a commit from the app's git server", 280, scripting, fetching, mayFetch},
	{"test", "Runs the commit's tests", 870, scripting, workspace, mayTest},
	{"build", "Builds the release, or finds it built", 870, scripting, workspace, mayBuild},
	{"admit", "Gives the environment's lock, or queues for it", 60, light, 0, mayAdmit},
	{"deploy", "Brings the release to the target", 870, scripting, workspace, mayDeploy},
	{"shift", "Sets the plan's next weight on the target", 870, scripting, workspace, mayShift},
	{"healthcheck", "Probes the environment and gives a verdict", 100, light, 0, mayCheckHealth},
	{"rollback", "Takes the target back to the release before", 870, scripting, workspace, mayRollBack},
	{"settle", "Writes the outcome, frees the lock and hands it on", 870, scripting, workspace, maySettle},
	{"buildsession", "Lends a build credentials for its own deployment", 20, light, 0, mayOpenSessions},
	{"api", "Answers the control API", 29, light, 0, mayServeAPI},
	{"commit", "Deploys the commits that events tell of", 60, light, 0, mayCommit},
	{"webhook", "Deploys the commits that GitHub tells of", 20, light, 0, mayHear},
	{"codepipeline", "Deploys what a pipeline hands over", 280, scripting, fetching, mayAnswerPipelines},
	{"notify", "Tells of deployments' statuses", 60, light, 0, mayNotify},
	{"ofrep", "Evaluates flags for applications", 10, light, 0, mayServeFlags},
	{"sweep", "Ends deployments whose execution is gone", 50, light, 0, maySweep},
}

// stateMachineName is fixed, so that functions inside the machine can be allowed to answer it without a cycle.
const stateMachineName = "slipway"

// functionName is what the Lambda function of a handler is called.
func functionName(handler string) string { return "slipway-" + handler }

// newFunctions makes the functions, by handler's name. Each has a role and a log group of its own.
func newFunctions(scope constructs.Construct, s Settings, code map[string]string, d *data) map[string]awslambda.Function {
	scope = constructs.NewConstruct(scope, jsii.String("Functions"))
	res := newResources(awscdk.Stack_Of(scope), s, d)
	made := map[string]awslambda.Function{}
	for _, h := range handlers {
		made[h.name] = newFunction(scope, h, s, code[h.name], res)
	}
	return made
}

func newFunction(scope constructs.Construct, h handler, s Settings, code string, res *resources) awslambda.Function {
	name := functionName(h.name)
	id := strings.ToUpper(h.name[:1]) + h.name[1:]
	scope = constructs.NewConstruct(scope, jsii.String(id))
	fn := awslambda.NewFunction(scope, jsii.String("Function"), &awslambda.FunctionProps{
		FunctionName: jsii.String(name),
		Description:  jsii.String("Slipway: " + h.does),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Architecture: s.architecture(),
		Handler:      jsii.String(bootstrap),
		Code:         awslambda.Code_FromAsset(jsii.String(code), nil),
		Role:         newRole(scope, name, h.may(res)...),
		LogGroup:     newLogGroup(scope, "Logs", "/aws/lambda/"+name, s),
		MemorySize:   jsii.Number(h.memoryMB),
		Timeout:      awscdk.Duration_Seconds(jsii.Number(h.timeout)),
		Environment:  res.environment(),
	})
	resource := fn.Node().DefaultChild().(awslambda.CfnFunction)
	// A short, lasting logical id is what `sam remote invoke PrepareFunction` takes.
	resource.OverrideLogicalId(jsii.String(id + "Function"))
	dropDependsOn(resource)
	if h.name == flagsHandler && s.FlagsConcurrency > 0 {
		resource.SetReservedConcurrentExecutions(jsii.Number(s.FlagsConcurrency))
	}
	if h.storageMB > 0 {
		resource.SetEphemeralStorage(&awslambda.CfnFunction_EphemeralStorageProperty{Size: jsii.Number(h.storageMB)})
	}
	return fn
}

// dropDependsOn removes what the construct adds for a role whose policies are resources of their own. Ours are inside of
// it, the reference to its ARN is enough, and cfn-lint complains of more.
func dropDependsOn(resource awscdk.CfnResource) {
	resource.AddDeletionOverride(jsii.String("DependsOn"))
}

// newRole lets a Lambda function write its own log group and do what statements say. Lambda's managed policy for the
// same may write every log group of the account.
func newRole(scope constructs.Construct, function string, statements ...awsiam.PolicyStatement) awsiam.Role {
	logs := allow(arns(awscdk.Stack_Of(scope), "logs", "log-group:/aws/lambda/"+function+":*"), writeLogs...)
	return newServiceRole(scope, "Role", "lambda.amazonaws.com", "What "+function+" may do", append([]awsiam.PolicyStatement{logs}, statements...))
}

func (s Settings) architecture() awslambda.Architecture {
	if s.Arch == X8664 {
		return awslambda.Architecture_X86_64()
	}
	return awslambda.Architecture_ARM_64()
}

// codeOf finds the folder of each function's bootstrap. The shop's is there too.
func codeOf(root string, s Settings) (map[string]string, error) {
	dir := s.FunctionsDir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(root, dir)
	}
	code := map[string]string{}
	for _, name := range Functions() {
		code[name] = filepath.Join(dir, name)
		target := "functions"
		if name == shop {
			target = shop
		}
		if err := checkBootstrap(code[name], target); err != nil {
			return nil, err
		}
	}
	return code, nil
}
