package infra_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
)

func TestBadContext(t *testing.T) {
	for _, each := range []struct {
		key   string
		value any
		want  string
	}{
		{"arch", "mips", `context "arch": mips is unknown; want arm64 or x86_64`},
		{"arch", 64.0, `context "arch": 64 is unknown; want arm64 or x86_64`},
		{"removal", "keep", `context "removal": keep is unknown; want retain or destroy`},
		{"removal", "", "want retain or destroy"},
		{"functionsDir", "", `context "functionsDir": ; want a text that isn't empty`},
		{"targets", 1.0, `context "targets": 1; want a list of names`},
		{"targets", "shop,*", `"*" is not a Lambda function's name; want 1 to 64 letters, digits, - or _`},
		{"targets", []any{"arn:aws:lambda:x"}, "is not a Lambda function's name"},
		{"hookFunctions", []any{true, "a b"}, `context "hookFunctions": "a b" is not`},
		{"repositories", "shop,a/b", `context "repositories": "a/b" is not a CodeCommit repository`},
		{"topics", "arn:aws:sns:x", `context "topics": "arn:aws:sns:x" is not a standard SNS topic's name`},
		{"flagsConcurrency", -1.0, `context "flagsConcurrency": -1; want a whole number from 0, which sets no limit`},
		{"flagsConcurrency", "many", "many; want a whole number"},
		{"flagsConcurrency", 1.5, "1.5; want a whole number"},
		{"retentionDays", 31.0, `context "retentionDays": 31; CloudWatch Logs keeps logs for one of [1 3 5 7 14 30`},
		{"retentionDays", 30.5, "30.5; CloudWatch Logs"},
		{"retentionDays", "forever", "forever; CloudWatch Logs"},
		{"alarmTopic", "ops", `context "alarmTopic": ops; want an SNS topic's ARN, or nothing`},
		{"assetsBucket", "My_Bucket", "want an S3 bucket's name, or nothing"},
		{"target", "shop", `context "target" is unknown; there are alarmTopic, apiGatewayRole, arch, assetsBucket, buildCache, flagsConcurrency, functionsDir, hookFunctions, pipelineRepository, removal, repositories, retentionDays, runner, targets, topics`},
		{"apiGatewayRole", "mine", `context "apiGatewayRole": mine is unknown; want replace or keep`},
		{"buildCache", "s3", `context "buildCache": s3 is unknown; want none or local`},
		{"runner", "jenkins", `context "runner": jenkins is unknown; want codebuild or function`},
	} {
		_, err := infra.ParseSettings(map[string]any{each.key: each.value})
		if err == nil || !strings.Contains(err.Error(), each.want) {
			t.Errorf("%s=%v: %v, want %s", each.key, each.value, err, each.want)
		}
	}
}

func TestGoodContext(t *testing.T) {
	got, err := infra.ParseSettings(map[string]any{"arch": "x86_64", "functionsDir": "/builds", "targets": "", "hookFunctions": "a,b_c",
		"flagsConcurrency": "0", "retentionDays": "90", "removal": "destroy", "runner": "function", "buildCache": "local", "aws:cdk:enable-path-metadata": true, "@aws-cdk/core:x": true, "cli-telemetry": false})
	want := infra.Settings{Arch: "x86_64", FunctionsDir: "/builds", HookFunctions: []string{"a", "b_c"}, RetentionDays: 90, Removal: "destroy", Runner: "function",
		BuildCache: "local", APIGatewayRole: "replace"}
	if err != nil || !reflect.DeepEqual(normal(got), normal(want)) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// normal makes no list and an empty one the same.
func normal(s infra.Settings) infra.Settings {
	s.Targets, s.HookFunctions = append([]string{}, s.Targets...), append([]string{}, s.HookFunctions...)
	return s
}

func TestCDKFileHoldsTheDefaults(t *testing.T) {
	context, err := infra.ReadContext("../cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := infra.ParseSettings(context)
	if err != nil || !reflect.DeepEqual(normal(got), normal(infra.DefaultSettings())) {
		t.Errorf("cdk.json says %+v, %v; the defaults are %+v", got, err, infra.DefaultSettings())
	}
	if fields := reflect.TypeFor[infra.Settings]().NumField(); len(context) != fields {
		t.Errorf("cdk.json has %d settings of %d", len(context), fields)
	}
}

func TestReadContext(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cdk.json")
	if context, err := infra.ReadContext(file); err != nil || len(context) != 0 {
		t.Errorf("a missing file: %v, %v", context, err)
	}
	if err := os.WriteFile(file, []byte(`{"context":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := infra.ReadContext(file); err == nil || !strings.Contains(err.Error(), "cdk.json: unexpected end of JSON") {
		t.Errorf("half a file: %v", err)
	}
}

func TestMissingBuilds(t *testing.T) {
	dir := t.TempDir()
	settings := infra.DefaultSettings()
	settings.FunctionsDir = dir
	synthesize := func(root string) string {
		err := infra.Synth(infra.Input{Root: root, Out: t.TempDir(), Settings: settings})
		if err == nil {
			t.Fatal("no error")
		}
		return err.Error()
	}
	for _, name := range infra.Functions()[1:] {
		if err := writeBootstrap(dir, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, infra.Functions()[0], "bootstrap")
	if got, want := synthesize(".."), missing+" is missing; build it with: make functions"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := os.MkdirAll(missing, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := synthesize(".."), missing+" is empty or not a file; build it with: make functions"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "shop")); err != nil {
		t.Fatal(err)
	}
	if err := writeBootstrap(dir, infra.Functions()[0], ""); err != nil {
		t.Fatal(err)
	}
	if got, want := synthesize(".."), "shop/bootstrap is missing; build it with: make shop"; !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := synthesize(dir), "run in the repository's root"; !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}
