package infra_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
)

func TestBuildProject(t *testing.T) {
	for _, each := range []struct {
		in          template
		kind, image string
		runner      string
	}{
		{slipway, "ARM_CONTAINER", "aarch64", "codebuild"},
		{otherSlipway, "LINUX_CONTAINER", "x86_64", "function"},
	} {
		projects := each.in.of(t, "AWS::CodeBuild::Project")
		if len(projects) != 1 {
			t.Fatalf("%d projects, want 1", len(projects))
		}
		p := projects["CodeBuildProject"]
		if p.text("Environment", "Type") != each.kind || !strings.Contains(p.text("Environment", "Image"), each.image) ||
			p.text("Environment", "ComputeType") != "BUILD_GENERAL1_SMALL" || p.at("Environment", "PrivilegedMode") != false {
			t.Errorf("it runs in %v", p.at("Environment"))
		}
		if p.text("Cache", "Type") != "LOCAL" || p.text("Artifacts", "Type") != "NO_ARTIFACTS" || p.text("Visibility") != "PRIVATE" {
			t.Errorf("cache %v, artifacts %v, visibility %v", p.at("Cache"), p.at("Artifacts"), p.at("Visibility"))
		}
		group := each.in.Resources[strings.Trim(p.text("LogsConfig", "CloudWatchLogs", "GroupName"), "${}")]
		if group.text("LogGroupName") != "/aws/codebuild/slipway" || p.text("LogsConfig", "CloudWatchLogs", "Status") != "ENABLED" {
			t.Errorf("it logs into %v", p.at("LogsConfig"))
		}
		if p.at("ConcurrentBuildLimit") != nil {
			t.Error("a limit of the project's own refuses builds that would wait for their turn")
		}
		if got := each.in.Resources["PrepareFunction"].text("Environment", "Variables", "SLIPWAY_RUNNER"); got != each.runner {
			t.Errorf("the default runner is %q, want %q", got, each.runner)
		}
	}
}

// The commands are the same for every commit: nothing that anybody writes into slipway.yaml is ever part of one.
func TestBuildSpec(t *testing.T) {
	text := slipway.Resources["CodeBuildProject"].text("Source", "BuildSpec")
	if text != infra.BuildSpec() || strings.ContainsAny(text, "$`") {
		t.Errorf("the specification is %s", text)
	}
	var spec struct {
		Version float64
		Phases  map[string]struct{ Commands []string }
		Cache   struct{ Paths []string }
	}
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	test, build := spec.Phases["pre_build"].Commands, spec.Phases["build"].Commands
	if spec.Version != 0.2 || len(spec.Phases) != 3 || !slices.Equal(test, []string{"./bootstrap test"}) || !slices.Equal(build, []string{"./bootstrap build"}) {
		t.Errorf("the specification is %+v", spec)
	}
	var cache string
	for _, v := range slipway.Resources["CodeBuildProject"].at("Environment", "EnvironmentVariables").([]any) {
		if v := (resource{Properties: v.(object)}); v.text("Name") == "SLIPWAY_CACHE" {
			cache = v.text("Value")
		}
	}
	if want := []string{cache + "/**/*"}; cache == "" || !slices.Equal(spec.Cache.Paths, want) {
		t.Errorf("CodeBuild keeps %v, scripts write to %q", spec.Cache.Paths, cache)
	}
}

// A commit's own code can take on this role: it runs in the build as root.
func TestBuildRole(t *testing.T) {
	allowed := map[string][]string{}
	for _, s := range statements(t, slipway) {
		for _, action := range s.actions {
			if s.who == "slipway-builds" {
				allowed[action] = append(allowed[action], s.resources...)
			}
		}
	}
	want := []string{"logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject",
		"secretsmanager:GetSecretValue", "ssm:GetParameter"}
	if got := sorted(allowed); !slices.Equal(got, want) {
		t.Errorf("a build may %v, want %v", got, want)
	}
	for _, where := range allowed["s3:PutObject"] {
		if !strings.HasSuffix(where, "/artifacts/*") && !strings.HasSuffix(where, "/jobs/*/result.json") {
			t.Errorf("a build may write %s", where)
		}
	}
}

// What startBuild.sync takes, on the project and on the one rule of Step Functions' own, and for nobody else.
func TestWhoRunsBuilds(t *testing.T) {
	for _, s := range statements(t, slipway) {
		for _, action := range s.actions {
			switch service, name, _ := strings.Cut(action, ":"); {
			case service == "codebuild":
				if s.who != "slipway" || !slices.Equal(s.resources, []string{"${CodeBuildProject.Arn}"}) {
					t.Errorf("%s may %s on %v", s.who, action, s.resources)
				}
			case service == "events" && name != "PutEvents":
				if s.who != "slipway" || len(s.resources) != 1 || !strings.HasSuffix(s.resources[0], ":rule/StepFunctionsGetEventForCodeBuildStartBuildRule") {
					t.Errorf("%s may %s on %v", s.who, action, s.resources)
				}
			}
		}
	}
	machine := []string{}
	for _, s := range statements(t, slipway) {
		if s.who == "slipway" {
			machine = append(machine, s.actions...)
		}
	}
	for _, action := range []string{"codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds", "events:PutTargets", "events:PutRule", "events:DescribeRule"} {
		if !slices.Contains(machine, action) {
			t.Errorf("the machine may not %s", action)
		}
	}
}
