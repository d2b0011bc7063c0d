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
		cache       string
	}{
		{slipway, "ARM_CONTAINER", "aarch64", "codebuild", "NO_CACHE"},
		{otherSlipway, "LINUX_CONTAINER", "x86_64", "function", "LOCAL"},
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
		if p.text("Cache", "Type") != each.cache || p.text("Artifacts", "Type") != "NO_ARTIFACTS" || p.text("Visibility") != "PRIVATE" {
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

// TestBuildSpec: the commands are the same for every commit. Nothing of a slipway.yaml is ever part of one.
func TestBuildSpec(t *testing.T) {
	for _, each := range []struct {
		in     template
		cached bool
	}{{slipway, false}, {otherSlipway, true}} {
		project := each.in.Resources["CodeBuildProject"]
		text := project.text("Source", "BuildSpec")
		if text != infra.BuildSpec(each.cached) || strings.ContainsAny(text, "$`") {
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
		install, test, build := spec.Phases["install"].Commands, spec.Phases["pre_build"].Commands, spec.Phases["build"].Commands
		if spec.Version != 0.2 || len(spec.Phases) != 3 || !slices.Equal(install, []string{"chmod +x ./bootstrap", "./bootstrap session"}) ||
			!slices.Equal(test, []string{"./bootstrap test"}) || !slices.Equal(build, []string{"./bootstrap build"}) {
			t.Errorf("the specification is %+v", spec)
		}

		var cache string
		for _, v := range project.at("Environment", "EnvironmentVariables").([]any) {
			if v := (resource{Properties: v.(object)}); v.text("Name") == "SLIPWAY_CACHE" {
				cache = v.text("Value")
			}
		}
		var want []string
		if each.cached {
			want = []string{cache + "/**/*"}
		}
		if each.cached != (cache != "") || !slices.Equal(spec.Cache.Paths, want) {
			t.Errorf("CodeBuild keeps %v, scripts write to %q", spec.Cache.Paths, cache)
		}
	}
}

// mayOf returns what a role may do: the resources of each action.
func mayOf(t *testing.T, who string) map[string][]string {
	t.Helper()
	allowed := map[string][]string{}
	for _, s := range statements(t, slipway) {
		for _, action := range s.actions {
			if s.who == who {
				allowed[action] = append(allowed[action], s.resources...)
			}
		}
	}
	return allowed
}

// TestBuildRole: a commit's own code can take on this role, which all builds share, since it is root in the build.
func TestBuildRole(t *testing.T) {
	allowed := mayOf(t, "slipway-builds")
	want := []string{"execute-api:Invoke", "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "s3:GetObjectVersion"}
	if got := sorted(allowed); !slices.Equal(got, want) {
		t.Errorf("a build may %v, want %v", got, want)
	}
	for action, ends := range map[string]string{
		"execute-api:Invoke": "/prod/POST/v1/build-session", "logs:PutLogEvents": ":log-group:/aws/codebuild/slipway:*", "s3:GetObject": ".zip",
	} {
		if where := allowed[action]; len(where) != 1 || !strings.HasSuffix(where[0], ends) {
			t.Errorf("a build may %s on %v, want one that ends with %s", action, where, ends)
		}
	}
}

// TestJobRole: the session of a build reaches what is named by the deployment's own app, commit and id, and nothing else.
func TestJobRole(t *testing.T) {
	allowed := mayOf(t, "slipway-job")
	want := []string{"logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "s3:PutObject"}
	if got := sorted(allowed); !slices.Equal(got, want) {
		t.Errorf("a session may %v, want %v", got, want)
	}
	own := []string{"/${aws:PrincipalTag/app}/${aws:PrincipalTag/commit}/", "/${aws:PrincipalTag/app}/${aws:PrincipalTag/commit}.tar.gz",
		"/jobs/${aws:PrincipalTag/deployment}/", ":log-stream:${aws:PrincipalTag/deployment}"}
	for action, where := range allowed {
		for _, resource := range where {
			if !slices.ContainsFunc(own, func(part string) bool { return strings.Contains(resource, part) }) {
				t.Errorf("a session may %s on %s", action, resource)
			}
		}
	}
	for _, where := range allowed["s3:PutObject"] {
		if !strings.HasSuffix(where, "/*") && !strings.HasSuffix(where, "/result.json") {
			t.Errorf("a session may write %s", where)
		}
	}
}

// What startBuild.sync takes, on the project and on the one rule of Step Functions' own, and for nobody else.
func TestWhoRunsBuilds(t *testing.T) {
	for _, s := range statements(t, slipway) {
		for _, action := range s.actions {
			switch service, name, _ := strings.Cut(action, ":"); {
			case service == "codebuild" && s.who == "slipway-buildsession":
				if name != "BatchGetBuilds" || len(s.resources) != 1 || !strings.HasSuffix(s.resources[0], ":project/slipway") {
					t.Errorf("%s may %s on %v", s.who, action, s.resources)
				}
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
