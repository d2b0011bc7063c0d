// Package infra is Slipway's CDK app: the stack Slipway, and SlipwayShop with the example app.
package infra

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// Input is what a synthesis starts from.
type Input struct {
	Root     string // the repository's root, where statemachine.asl.json is; "" for the working folder
	Out      string // the folder of the cloud assembly to write
	Settings Settings
}

// bootstrap is the file that provided.al2023 runs, and the only one in a function's folder.
const bootstrap = "bootstrap"

// Functions lists the folders that FunctionsDir must have: the handlers', the builds' runner, and the example app's.
func Functions() []string {
	var names []string
	for _, h := range handlers {
		names = append(names, h.name)
	}
	return append(names, runner, shop)
}

// Synth writes the cloud assembly. Its error names the file that is missing and what builds it.
func Synth(in Input) error {
	definition, err := readDefinition(in.Root)
	if err != nil {
		return err
	}
	code, err := codeOf(in.Root, in.Settings)
	if err != nil {
		return err
	}
	return synth(in, definition, code)
}

// synth is all that takes the CDK, and its seconds: whatever can be refused without it has been.
func synth(in Input, definition string, code map[string]string) (err error) {
	defer func() {
		if r := recover(); r != nil { // a failed assertion in the CDK panics
			err = fmt.Errorf("the CDK refuses: %v", r)
		}
	}()
	app := awscdk.NewApp(&awscdk.AppProps{
		DefaultStackSynthesizer: in.Settings.synthesizer(),
		Outdir:                  jsii.String(in.Out),
		AnalyticsReporting:      jsii.Bool(false), // no resource that only counts constructs
		TreeMetadata:            jsii.Bool(false),
		Context: &map[string]any{ // what the cdk command sets too: SAM finds the code and the constructs by it
			"aws:cdk:enable-asset-metadata": true,
			"aws:cdk:enable-path-metadata":  true,
		},
	})
	newSlipway(app, in.Settings, definition, code)
	newShop(app, in.Settings, code[shop])
	newExamplePipeline(app, in.Settings)
	app.Synth(nil)
	return nil
}

// newSlipway makes the product's own stack; code has each function's folder by name.
func newSlipway(app awscdk.App, s Settings, definition string, code map[string]string) {
	stack := awscdk.NewStack(app, jsii.String("Slipway"), &awscdk.StackProps{
		Description: jsii.String("Slipway: continuous deployment with health checks, rollback and feature flags."),
	})
	d := newData(stack, s)
	functions := newFunctions(stack, s, code, d)
	api := newAPI(stack, s, functions["api"])
	builds := newBuilds(stack, s, code[runner], d, api)
	newBuildSessions(stack, s, d, api, functions["buildsession"], builds)
	machine := newPipeline(stack, s, definition, functions, builds.project)
	dead := newDeadEvents(stack)
	newPushEvents(stack, d, functions["commit"], dead)
	newWebhook(stack, api, functions["webhook"])
	newSweep(stack, functions["sweep"], machine)
	untold := newNotifications(stack, d, functions["notify"])
	flags := newFlagsURL(stack, functions["ofrep"])
	newDashboard(stack, machine, functions, api, newAlarms(stack, s, machine, functions, dead, untold))
	newOutput(stack, "Api", api.Url())
	newOutput(stack, "FlagsUrl", flags)
	newOutput(stack, "StateMachineArn", machine.StateMachineArn())
	newOutput(stack, "DeploymentsTable", d.deployments.TableName())
	newOutput(stack, "FlagsTable", d.flags.TableName())
	newOutput(stack, "Bucket", d.bucket.BucketName())
	newOutput(stack, "EventBus", d.bus.EventBusName())
	newOutput(stack, "LogGroup", d.output.LogGroupName())
}

// newOutput makes an output with exactly that name, whatever construct is called the same.
func newOutput(stack awscdk.Stack, name string, value *string) {
	output := awscdk.NewCfnOutput(stack, jsii.String(name+"Output"), &awscdk.CfnOutputProps{Value: value})
	output.OverrideLogicalId(jsii.String(name))
}

// checkBootstrap says which make target builds what is missing.
func checkBootstrap(dir, target string) error {
	file := filepath.Join(dir, bootstrap)
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("%s is missing; build it with: make %s", file, target)
	case !info.Mode().IsRegular() || info.Size() == 0:
		return fmt.Errorf("%s is empty or not a file; build it with: make %s", file, target)
	}
	return nil
}

// synthesizer says how code gets into the cloud: by what `cdk bootstrap` made, or into a bucket that there is, with the
// caller's own credentials.
func (s Settings) synthesizer() awscdk.IReusableStackSynthesizer {
	if s.AssetsBucket == "" {
		return nil
	}
	return awscdk.NewCliCredentialsStackSynthesizer(&awscdk.CliCredentialsStackSynthesizerProps{
		FileAssetsBucketName: jsii.String(s.AssetsBucket),
	})
}
