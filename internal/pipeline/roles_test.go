package pipeline_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// update rewrites the golden file of calls: whole after a run of all tests, else the new ones are added.
var update = flag.Bool("update", false, "rewrite infra/testdata/calls.txt")

const callsFile = "../../infra/testdata/calls.txt"

// outsider is a function that a test makes and the stack's targets don't name.
const outsider = "outsider"

// generic are the names in ARNs that differ from run to run, each with what the golden file has in its place. The order counts.
var generic = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`deploy-\d{8}-\d{9}-[a-z2-7]{8}`), "ID"},
	{regexp.MustCompile(`ID-recovery-\d+`), "ID-recovery-N"},
	{regexp.MustCompile(`(:execution:slipway:).+`), "${1}ID"},
	{regexp.MustCompile(`/(sources|fetched)/.+`), "/${1}/APP/COMMIT.tar.gz"},
	{regexp.MustCompile(`/artifacts/.+`), "/artifacts/APP/COMMIT/BUILD/FILE"},
	{regexp.MustCompile(`/jobs/[^/]+/`), "/jobs/ID/"},
	{regexp.MustCompile(`(:execute-api:[^/]+:)[^/]+/`), "${1}API/"},
	{regexp.MustCompile(`log-stream:.+`), "log-stream:ID"},
	{regexp.MustCompile(`(parameter/slipway(?:-own)?/).+`), "${1}NAME"},
	{regexp.MustCompile(`(secret:slipway/).+`), "${1}NAME"},
	{regexp.MustCompile(`(secret:slipway-own/github-webhook)-[0-9a-zA-Z]{6}$`), "${1}-??????"},
	{regexp.MustCompile(`(secret:slipway-own/)[^g].*|(secret:slipway-own/)g[^i].*`), "${1}${2}NAME"},
	{regexp.MustCompile(`(:function:[^:]+):\d+$`), "${1}:N"},
	{regexp.MustCompile(`^arn:aws:`), "arn:${AWS::Partition}:"},
	{regexp.MustCompile(`:us-east-1:000000000000:`), ":${AWS::Region}:${AWS::AccountId}:"},
}

// describe writes a call as the golden file has it.
func describe(c localtest.Call) string {
	resource := c.Resource
	for name, arn := range map[string]string{
		"DataDeployments": ":table/" + world.out.DeploymentsTable,
		"DataFlags":       ":table/" + world.out.FlagsTable,
		"DataBus":         ":event-bus/" + world.out.EventBus,
		"DataBucket":      ":s3:::" + world.out.Bucket,
	} {
		if at := strings.Index(resource, arn); at >= 0 {
			resource = "${" + name + ".Arn}" + resource[at+len(arn):]
		}
	}
	for _, g := range generic {
		resource = g.pattern.ReplaceAllString(resource, g.name)
	}
	return ownFunction.ReplaceAllString(c.Who, "slipway-") + " " + c.Action + " " + resource
}

// ownFunction begins the names of functions that tests run in the place of Slipway's, by their roles.
var ownFunction = regexp.MustCompile(`^app-[a-z0-9]{8}-\d+-`)

// checkCalls runs after the tests: no role was refused anything but an outsider, and each call is in the golden file, which
// infra's tests hold the stack's policies to.
func checkCalls() error {
	if world.cloud == nil || world.cloud.Engine != local.MiniStack {
		return nil
	}
	calls, err := localtest.Calls(world.cloud)
	if err != nil {
		return err
	}

	var made, refused []string
	for _, c := range calls {
		switch {
		case strings.HasPrefix(c.Who, localtest.Person), meant.has(c): // whose rights are a test's own
		case c.Allowed:
			made = append(made, describe(c))
		case c.Who == "slipway-job" || c.Who == "slipway-builds": // a commit's code tried it (TestBuildReachesItsOwnJob)
		case !strings.Contains(c.Resource, outsider):
			refused = append(refused, describe(c))
		}
	}
	if len(refused) > 0 {
		slices.Sort(refused)
		return fmt.Errorf("roles were refused what the tests need; see infra/policy.go:\n%s", strings.Join(slices.Compact(refused), "\n"))
	}
	return errors.Join(compareCalls(made), checkRequests(len(made)))
}

// checkRequests holds the requests that were made to AWS's own models.
func checkRequests(calls int) error {
	if calls == 0 {
		return nil // the tests that ran needed no function
	}
	summary, err := world.cloud.CheckRequests(context.Background(), world.cloud.RecordedRequests())
	if testing.Verbose() {
		fmt.Println(summary)
	}
	return err
}

func compareCalls(made []string) error {
	text, err := os.ReadFile(callsFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	known := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })

	if *update {
		if whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""; !whole {
			made = append(made, known...)
		}
		slices.Sort(made)
		return os.WriteFile(callsFile, []byte(strings.Join(slices.Compact(made), "\n")+"\n"), 0o644)
	}

	var unknown []string
	for _, call := range made {
		if !slices.Contains(known, call) && !slices.Contains(unknown, call) {
			unknown = append(unknown, call)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("calls that infra/testdata/calls.txt lacks; read them, then run these tests with -update:\n%s", strings.Join(unknown, "\n"))
	}
	return nil
}

// TestFunctionOutsideTargets: the error of a function that Slipway may not deploy says which setting lacks it, and the same goes for
// a function that a hook names.
func TestFunctionOutsideTargets(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the local cloud; run without -short")
	}
	localtest.Needs(t, localtest.Roles)
	f := newLambdaApp(t)
	name := outsider + "-" + f.name
	_, err := world.fn.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: &world.role,
		Code: &lambdatypes.FunctionCode{ZipFile: pack(t, "placeholder")}, Publish: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := f.Environments["production"]
	settings.Target.Function = name
	f.Environments["production"] = settings
	f.apply()

	d := f.deploy(f.version("one")).wants(deploy.Failed)
	for _, want := range []string{"target.function", name + " isn't among the functions that Slipway may deploy", "make deploy TARGETS=" + name, "make up TARGETS=" + name + ",..."} {
		if !strings.Contains(d.Error, want) {
			t.Errorf("error %q, want %q in it", d.Error, want)
		}
	}
	if d.Dirty || d.Changed != nil {
		t.Errorf("dirty %v, changed %v", d.Dirty, d.Changed)
	}
}

// TestHookOutside: a hook that names a function which the app allows and the stack doesn't is told which setting lacks it.
func TestHookOutside(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	a := newApp(t)
	a.allowHooks(outsider)
	d := a.deploy(a.commit("one", config("hooks: {pre_deploy: [{function: "+outsider+"}]}"))).wants(deploy.Success)
	want := "it isn't among the functions that hooks may invoke; add it to hookFunctions in cdk.json"
	if log := strings.Join(d.Logs, "\n"); !strings.Contains(log, want) {
		t.Errorf("the timeline lacks %q:\n%s", want, log)
	}
}

// answering is a hook's function, which answers every call at once.
const answering = `#!/usr/bin/env python3
import os, urllib.request as http
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with http.urlopen(api + "next") as event:
        id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        event.read()
    http.urlopen(http.Request(api + id + "/response", data=b'"heard"')).read()
`

// TestRolesOfScripts: wherever a commit's scripts and hooks run, the stage's role lets them have what they may: the bundle, artifacts,
// secrets of both kinds, the hook's function, events, and a place for what they print.
func TestRolesOfScripts(t *testing.T) {
	localtest.Needs(t, localtest.Roles)
	a := newApp(t)
	hook := local.HookFunction
	_, err := world.fn.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &hook, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: &world.role,
		Code: &lambdatypes.FunctionCode{ZipFile: zipped(t, map[string][]byte{"bootstrap": []byte(answering)})},
	})
	if err != nil {
		t.Fatal(err)
	}
	putSecret(t, "slipway/"+a.name+"/token", "a-secret-of-secrets-manager")
	_, err = ssm.NewFromConfig(world.cloud.Config()).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/slipway/" + a.name + "/key"), Value: aws.String("a-secret-of-ssm"), Type: ssmtypes.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	settings := a.Environments["production"]
	settings.HookFunctions = []string{hook}
	secrets := map[string]string{"TOKEN": "secretsmanager:token", "KEY": "ssm:key"}
	a.Variables = secrets // of test and build
	maps.Copy(settings.Variables, secrets)
	a.Environments["production"] = settings
	a.apply()

	const check = `test "$TOKEN" = a-secret-of-secrets-manager && test "$KEY" = a-secret-of-ssm && echo checked`
	hooks := "hooks:"
	for _, point := range []string{"pre_deploy", "post_deploy", "on_failure", "pre_rollback", "post_rollback"} {
		hooks += fmt.Sprintf("\n  %s: [{script: '%s'}, {function: %s}, {event: Heard}]", point, check, hook)
	}
	scripts := func(test string) string {
		return config("test="+check+test, "build=mkdir -p out && cp version out/version && "+check, `deploy=cp out/version "$SERVE/live" && `+check,
			"post_deploy="+check, `rollback=cp out/version "$SERVE/live" && `+check, hooks)
	}
	good := a.deploy(a.commit("one", scripts(""))).wants(deploy.Success)
	bad := a.deploy(a.commit("bad", strings.Replace(scripts(""), "health_check_timeout: 120", "health_check_timeout: 3", 1))).wants(deploy.RolledBack)
	failed := a.deploy(a.commit("two", scripts(" && exit 1"))).wants(deploy.Failed)
	for _, c := range []struct {
		d     *deploy.Deployment
		heard int
	}{{good, 2}, {bad, 5}, {failed, 1}} {
		log := strings.Join(c.d.Logs, "\n")
		if strings.Contains(log, "which stops nothing") || strings.Contains(log, "warning") {
			t.Errorf("%s: a hook or post_deploy failed:\n%s", c.d.ID, log)
		}
		if got := strings.Count(log, "function "+hook+": done"); got != c.heard {
			t.Errorf("%s: the hook's function was called %d times, want %d:\n%s", c.d.ID, got, c.heard, log)
		}
	}
}
