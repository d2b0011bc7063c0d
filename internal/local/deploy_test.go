package local_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// checkout makes a repository's root with what Deploy reads, for a test to change.
func checkout(t *testing.T) string {
	t.Helper()
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "infra/local"), os.DirFS(filepath.Join(here, "infra/local"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "bin/functions"), os.DirFS(filepath.Join(here, "bin/functions"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ".slipway"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(here, "statemachine.asl.json"), filepath.Join(dir, "statemachine.asl.json"))
	return dir
}

// replaceIn replaces a text in a file.
func replaceIn(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q (%v)", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, new)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDeployAgain: a second Deploy changes nothing, and a third brings a new build, a new setting and a new definition.
func TestDeployAgain(t *testing.T) {
	dir := checkout(t)
	cloud := startIn(t, dir)
	first, err := cloud.Deploy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, first.ShopURL); !strings.Contains(got, `"none"`) {
		t.Errorf("the shop says %s", got)
	}
	if status := postUnsigned(t, first.API+"/webhooks/github"); status != http.StatusUnauthorized {
		t.Errorf("the webhook, which nobody has set up, answers %d; want 401", status)
	}
	before := codeOf(t, cloud, "slipway-admit")

	again, err := cloud.Deploy(t.Context())
	if err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	if after := codeOf(t, cloud, "slipway-admit"); after != before {
		t.Errorf("the same build became %+v, was %+v", after, before)
	}

	copyFile(t, filepath.Join(dir, "bin/functions/sweep/bootstrap"), filepath.Join(dir, "bin/functions/admit/bootstrap"))
	replaceIn(t, filepath.Join(dir, "infra/local/Slipway.template.json"), `"Timeout": 60`, `"Timeout": 59`)
	if _, err := cloud.Deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := codeOf(t, cloud, "slipway-admit")
	if after.sha == before.sha || after.timeout != 59 || after.sha != codeOf(t, cloud, "slipway-sweep").sha {
		t.Errorf("a new build and a new time-out: %+v, was %+v", after, before)
	}
	zips, _ := filepath.Glob(filepath.Join(dir, ".slipway/assets/*"))
	builds, _ := filepath.Glob(filepath.Join(dir, "bin/functions/*"))
	if len(zips) != len(builds)-1 { // admit and sweep are the same
		t.Errorf("%d zips of %d builds are kept", len(zips), len(builds))
	}
}

// TestDeployThatFails: the error names what failed, and the next Deploy is not held up by what the first one left.
func TestDeployThatFails(t *testing.T) {
	dir := checkout(t)
	cloud := startIn(t, dir)
	file := filepath.Join(dir, "infra/local/SlipwayShop.template.json")

	replaceIn(t, file, "AWS::Lambda::Alias", "AWS::Lambda::Alien")
	if _, err := cloud.Deploy(t.Context()); err == nil || !strings.Contains(err.Error(), "SlipwayShop") || !strings.Contains(err.Error(), "AWS::Lambda::Alien") {
		t.Errorf("an unknown resource: %v", err)
	}
	replaceIn(t, file, "AWS::Lambda::Alien", "AWS::Lambda::Alias")
	out, err := cloud.Deploy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, out.ShopURL); !strings.Contains(got, `"none"`) {
		t.Errorf("the shop says %s", got)
	}

	if err := os.RemoveAll(filepath.Join(dir, "bin/functions/sweep")); err != nil {
		t.Fatal(err)
	}
	if _, err := cloud.Deploy(t.Context()); err == nil || !strings.Contains(err.Error(), "bin/functions/sweep/bootstrap is missing") {
		t.Errorf("without a build: %v", err)
	}
}

// TestDeployByTheCDK: the CDK's own command deploys what infra makes, as make deploy does, and the stacks are those that Deploy makes.
func TestDeployByTheCDK(t *testing.T) {
	cloud := start(t, local.Options{})
	tools, err := local.Install(t.Context(), root, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	bootstrapCDK(t, cloud)
	dir := t.TempDir()
	arch := map[string]string{"amd64": "x86_64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	cdk(t, cloud, "bin/synth", "-o", dir, "-c", "arch="+arch, "-c", "removal=destroy", "-c", "runner=function")
	cdk(t, cloud, tools.CDK, "deploy", "--app", dir, local.SlipwayStack, local.ShopStack, "--method", "direct", "--concurrency", "2",
		"--require-approval", "never", "--outputs-file", filepath.Join(dir, "outputs.json"), "--no-notices", "--no-version-reporting", "--ci")

	text, err := os.ReadFile(filepath.Join(dir, "outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := local.ParseOutputs(stacks(t, string(text)), cloud.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, out.ShopURL); !strings.Contains(got, `"none"`) {
		t.Errorf("the shop says %s", got)
	}

	other := start(t, local.Options{})
	if _, err := other.Deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := functionsOf(t, other), functionsOf(t, cloud); !maps.Equal(got, want) {
		t.Errorf("Deploy made the functions\n%v\nthe CDK\n%v", got, want)
	}
}

// bootstrapCDK makes the two things of the CDK's bootstrap contract that matter here: the bucket for the functions' code, and the
// version that the CDK looks for. cdk bootstrap would make five roles too, which nobody takes on here.
func bootstrapCDK(t *testing.T, cloud *local.Cloud) {
	t.Helper()
	_, err := s3.NewFromConfig(cloud.Config(), func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: aws.String("cdk-hnb659fds-assets-000000000000-" + local.Region),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ssm.NewFromConfig(cloud.Config()).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name:  aws.String("/cdk-bootstrap/hnb659fds/version"),
		Type:  "String",
		Value: aws.String("30"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cdk runs a command of the CDK with this cloud's credentials alone, in the repository's root.
func cdk(t *testing.T, cloud *local.Cloud, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	cmd.Env = slices.DeleteFunc(os.Environ(), func(line string) bool {
		return strings.HasPrefix(line, "AWS_") || strings.HasPrefix(line, "CDK_")
	})
	cmd.Env = append(cmd.Env, cloud.Env()...)
	cmd.Env = append(cmd.Env, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"CDK_DISABLE_CLI_TELEMETRY=true", "CDK_DISABLE_VERSION_CHECK=1", "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION=1",
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// startIn starts a cloud that is deployed to from dir.
func startIn(t *testing.T, dir string) *local.Cloud {
	t.Helper()
	other := start(t, local.Options{})
	keys, err := other.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	site := local.Site{Endpoint: other.Endpoint(), Region: local.Region, AccessKey: keys.AccessKeyID, SecretKey: keys.SecretAccessKey}
	cloud, err := local.Start(t.Context(), local.Options{Root: dir, Engine: local.Remote, Remote: site})
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

type code struct {
	sha     string
	timeout int32
}

func codeOf(t *testing.T, cloud *local.Cloud, function string) code {
	t.Helper()
	out, err := lambda.NewFromConfig(cloud.Config()).GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{
		FunctionName: aws.String(function),
	})
	if err != nil {
		t.Fatal(err)
	}
	return code{aws.ToString(out.CodeSha256), aws.ToInt32(out.Timeout)}
}

// functionsOf lists a cloud's functions with what a template says of them.
func functionsOf(t *testing.T, cloud *local.Cloud) map[string]string {
	t.Helper()
	found := map[string]string{}
	pages := lambda.NewListFunctionsPaginator(lambda.NewFromConfig(cloud.Config()), &lambda.ListFunctionsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Functions {
			found[*f.FunctionName] = fmt.Sprintln(f.Architectures, f.Runtime, aws.ToInt32(f.Timeout), aws.ToInt32(f.MemorySize), *f.Description)
		}
	}
	return found
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTargets: a function that make up is told of is named by each policy that names the example app's, and by nothing else.
func TestTargets(t *testing.T) {
	cloud := start(t, local.Options{Targets: []string{"mine", "yours"}})
	if _, err := cloud.Deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"Action": {"GetTemplate"}, "Version": {"2010-05-15"}, "StackName": {local.SlipwayStack}}.Encode()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, cloud.Endpoint()+"/", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, text, err := localtest.Send(cloud, request, []byte(form), "cloudformation")
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, text)
	}
	want := strings.Count(string(text), ":function:slipway-shop")
	for _, name := range []string{"mine", "yours"} {
		if got := strings.Count(string(text), ":function:"+name); got != want || want < 6 {
			t.Errorf("%s is named %d times, the example app %d times", name, got, want)
		}
	}
}

// postUnsigned sends a push with a signature that is of no secret, and returns the status.
func postUnsigned(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", "push")
	request.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
