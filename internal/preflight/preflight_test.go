package preflight_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/preflight"
)

var cloud *local.Cloud

func TestMain(m *testing.M) {
	localtest.Main(m, "../..", func(_ context.Context, c *local.Cloud) (func(), error) {
		cloud = c
		return nil, nil
	})
}

// function makes a function with one published version, and an alias on a version; "" makes none.
func function(t *testing.T, name, alias, version string) {
	t.Helper()
	role, err := localtest.Role(t.Context(), cloud, name, localtest.Trust("lambda"), "")
	if err != nil {
		t.Fatal(err)
	}
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	if _, err := archive.Create("bootstrap"); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	client := lambda.NewFromConfig(cloud.Config())
	_, err = client.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: &name, Role: &role, Handler: aws.String("bootstrap"),
		Runtime: types.RuntimeProvidedal2023, Publish: true, Code: &types.FunctionCode{ZipFile: code.Bytes()}})
	if err != nil {
		t.Fatal(err)
	}
	if alias == "" {
		return
	}
	if _, err := client.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: &version}); err != nil {
		t.Fatal(err)
	}
}

// find returns the finding about a subject.
func find(t *testing.T, found []preflight.Finding, subject string) preflight.Finding {
	t.Helper()
	at := slices.IndexFunc(found, func(f preflight.Finding) bool { return f.Subject == subject })
	if at < 0 {
		t.Fatalf("nothing about %s: %+v", subject, found)
	}
	return found[at]
}

func TestCheck(t *testing.T) {
	ctx, cfg := t.Context(), cloud.Config()
	function(t, "good", "live", "1")
	function(t, "latest", "live", "$LATEST")
	function(t, "other-alias", "blue", "1")
	function(t, "no-alias", "", "")
	if _, err := sns.NewFromConfig(cfg).CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("there")}); err != nil {
		t.Fatal(err)
	}
	settings := preflight.Settings{Targets: []string{"good", "latest", "other-alias", "no-alias", "missing", "slipway-shop"},
		HookFunctions: []string{"good", "no-hook"}, Topics: []string{"there", "gone"}, AlarmTopic: "arn:aws:sns:us-east-1:000000000000:no-alarms"}

	found := preflight.Check(ctx, cfg, settings)
	for subject, want := range map[string]preflight.Finding{
		"credentials":           {Level: preflight.Good, Text: "arn:aws:"},
		"region":                {Level: preflight.Good, Text: "us-east-1 of account 000000000000"},
		"CDK bootstrap":         {Level: preflight.Note, Text: "make deploy makes it"},
		"target good":           {Level: preflight.Good, Text: "alias live on version 1"},
		"target latest":         {Level: preflight.Problem, Text: "aws lambda update-alias --function-name latest --name live --function-version N"},
		"target other-alias":    {Level: preflight.Note, Text: "has no alias live; name the one that takes the traffic as target.alias in app.yaml: blue"},
		"target no-alias":       {Level: preflight.Problem, Text: "aws lambda create-alias --function-name no-alias --name live --function-version N"},
		"target missing":        {Level: preflight.Problem, Text: "no such function in us-east-1; create it, or correct TARGETS"},
		"target slipway-shop":   {Level: preflight.Note, Text: "TARGETS=a,b"},
		"hook function good":    {Level: preflight.Good},
		"hook function no-hook": {Level: preflight.Problem, Text: "correct hookFunctions in cdk.json"},
		"topic there":           {Level: preflight.Good},
		"topic gone":            {Level: preflight.Problem, Text: "there is no topic arn:aws:sns:us-east-1:000000000000:gone"},
		"alarm topic":           {Level: preflight.Problem, Text: "no-alarms"},
		"Lambda's limits":       {Level: preflight.Good},
	} {
		if got := find(t, found, subject); got.Level != want.Level || !strings.Contains(got.Text, want.Text) {
			t.Errorf("%s: level %d, %q; want level %d, %q", subject, got.Level, got.Text, want.Level, want.Text)
		}
	}
	if !preflight.Failed(found) {
		t.Error("with problems it passes")
	}

	_, err := ssm.NewFromConfig(cfg).PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/cdk-bootstrap/hnb659fds/version"), Value: aws.String("30"), Type: ssmtypes.ParameterTypeString})
	if err != nil {
		t.Fatal(err)
	}
	found = preflight.Check(ctx, cfg, preflight.Settings{Targets: []string{"good", "other-alias"}})
	if got := find(t, found, "CDK bootstrap"); got.Level != preflight.Good || got.Text != "version 30" || preflight.Failed(found) {
		t.Errorf("once bootstrapped: %+v", found)
	}
}

func TestFlagsConcurrency(t *testing.T) {
	account, err := lambda.NewFromConfig(cloud.Config()).GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	if err != nil {
		t.Fatal(err)
	}
	room := *account.AccountLimit.UnreservedConcurrentExecutions - 100
	for n, want := range map[int32]preflight.Finding{
		0:        {Level: preflight.Good},
		100:      {Level: preflight.Good},
		room:     {Level: preflight.Good},
		room + 1: {Level: preflight.Problem, Text: fmt.Sprintf("flagsConcurrency is %d, and %d can be reserved: Lambda keeps 100 for", room+1, room)},
		5000:     {Level: preflight.Problem, Text: "or to 0 for no limit"},
	} {
		got := find(t, preflight.Check(t.Context(), cloud.Config(), preflight.Settings{FlagsConcurrency: n}), "Lambda's limits")
		if got.Level != want.Level || !strings.Contains(got.Text, want.Text) {
			t.Errorf("%d: level %d, %q; want level %d, %q", n, got.Level, got.Text, want.Level, want.Text)
		}
	}
}

func TestAssetsBucket(t *testing.T) {
	_, err := s3.NewFromConfig(cloud.Config(), func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("builds")})
	if err != nil {
		t.Fatal(err)
	}
	for bucket, want := range map[string]preflight.Level{"builds": preflight.Good, "no-builds": preflight.Problem} {
		found := preflight.Check(t.Context(), cloud.Config(), preflight.Settings{AssetsBucket: bucket})
		if got := find(t, found, "bucket "+bucket); got.Level != want {
			t.Errorf("%+v, want level %d", got, want)
		}
	}
}

// TestNothingToDeployWith: without a region or credentials that work, the one finding says what to set.
func TestNothingToDeployWith(t *testing.T) {
	none := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, os.ErrNotExist })
	for name, c := range map[string]struct {
		change        func(*aws.Config)
		subject, want string
	}{
		"no region":      {func(cfg *aws.Config) { cfg.Region = "" }, "region", "set AWS_REGION"},
		"no credentials": {func(cfg *aws.Config) { cfg.Credentials = none }, "credentials", "set AWS_PROFILE"},
		"unknown key": {func(cfg *aws.Config) {
			cfg.Credentials = credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "no", "")
		}, "credentials", "AWS refuses them; sign in again"},
		"nobody answers": {func(cfg *aws.Config) { cfg.BaseEndpoint, cfg.RetryMaxAttempts = aws.String("http://127.0.0.1:1"), 1 }, "region", "is it a region of AWS"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cloud.Config()
			c.change(&cfg)
			found := preflight.Check(t.Context(), cfg, preflight.Settings{Targets: []string{"x"}})
			got := find(t, found, c.subject)
			if got.Level != preflight.Problem || !strings.Contains(got.Text, c.want) || len(found) > 2 || !preflight.Failed(found) {
				t.Errorf("%+v; want one problem with %q", found, c.want)
			}
		})
	}
}

// TestFewPermissions: what these credentials may not look at is a note, since the CDK deploys by roles of its own.
func TestFewPermissions(t *testing.T) {
	cfg := cloud.Config()
	key, err := localtest.User(t.Context(), cloud, "powerless")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = key
	found := preflight.Check(t.Context(), cfg, preflight.Settings{Targets: []string{"good"}})
	for subject, want := range map[string]string{"CDK bootstrap": "may not ssm:GetParameter", "target good": "may not lambda:GetFunctionConfiguration"} {
		if got := find(t, found, subject); got.Level != preflight.Note || !strings.Contains(got.Text, want) {
			t.Errorf("%+v; want a note with %q", got, want)
		}
	}
	if preflight.Failed(found) {
		t.Errorf("it fails: %+v", found)
	}
}

// TestSettingsAreOfCDK: cdk.json's own keys are the ones that are read.
func TestSettingsAreOfCDK(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../..", "cdk.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"targets", "hookFunctions", "topics", "alarmTopic", "assetsBucket"} {
		if !strings.Contains(string(text), `"`+key+`":`) {
			t.Errorf("cdk.json has no %s", key)
		}
	}
}
