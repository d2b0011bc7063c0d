package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/logs"
)

const wayByBuild = "Prepare Route CodeBuild Build Admit Deploy Shift HealthCheck Verdict Settle"

// newBuildApp makes an app whose tests and builds run in CodeBuild.
func newBuildApp(t *testing.T) *app {
	t.Helper()
	localtest.Needs(t, localtest.CodeBuild)
	a := newApp(t)
	a.byCodeBuild()
	return a
}

// byCodeBuild has the app's tests and builds run in CodeBuild from now on.
func (a *app) byCodeBuild() {
	a.t.Helper()
	localtest.Needs(a.t, localtest.CodeBuild)
	s := a.Environments["production"]
	s.Runner = deploy.RunnerCodeBuild
	a.Environments = map[string]deploy.Settings{"production": s, "staging": s}
	a.apply()
}

// object reads one of the bucket's.
func object(t *testing.T, key string) []byte {
	t.Helper()
	out, err := world.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &world.out.Bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// output is what `slipway logs` shows of a deployment.
func (r *run) output() string {
	r.a.t.Helper()
	log := logs.New(cloudwatchlogs.NewFromConfig(world.cloud.Config()), world.out.LogGroup)
	lines, _, err := log.Read(r.a.t.Context(), r.id, "", 0)
	if err != nil {
		r.a.t.Fatal(err)
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line.Text + "\n")
	}
	return text.String()
}

func TestCodeBuild(t *testing.T) {
	a := newBuildApp(t)
	r := a.deploy(a.commit("one", config("test=echo tested in $SLIPWAY_STAGE of $SLIPWAY_APP, CI=$CI, key=$AWS_ACCESS_KEY_ID.")))
	d := r.wants(deploy.Success)
	if got := r.states(); got != wayByBuild {
		t.Errorf("states:\n%s, want\n%s", got, wayByBuild)
	}
	a.serves("one")
	for _, name := range []string{"test", "build"} {
		s := d.Stage(name)
		if s == nil || s.Outcome != deploy.Passed || s.End == nil || s.End.Before(s.Start) || s.Start.Before(d.StartTime) {
			t.Errorf("stage %s: %+v", name, s)
		}
	}
	if !strings.HasPrefix(d.Build, "slipway:") || d.Runner != deploy.RunnerCodeBuild || d.Release == nil || d.Release.TestedBy != d.ID {
		t.Errorf("build %q, runner %q, release %+v", d.Build, d.Runner, d.Release)
	}
	sum := sha256.Sum256([]byte("one"))
	sha := hex.EncodeToString(sum[:])
	want := deploy.Artifact{Path: "out/version", SHA256: sha, Bytes: 3, Key: "artifacts/" + a.name + "/" + d.CommitSHA + "/" + sha + "/out/version"}
	if len(d.Release.Artifacts) != 1 || d.Release.Artifacts[0] != want || d.Artifacts["out/version"] != want.Key || string(object(t, want.Key)) != "one" {
		t.Errorf("artifacts %+v, want %+v", d.Release.Artifacts, want)
	}
	if got, want := r.output(), "--- test\ntested in test of "+a.name+", CI=true, key=.\n--- build\n"; !strings.HasPrefix(got, want) {
		t.Errorf("output\n%s\nwant\n%s", got, want)
	}
}

func TestCodeBuildFails(t *testing.T) {
	way := "Prepare Route CodeBuild Build SettleFailure Outcome Failed"
	for _, c := range []struct{ name, yaml, kind, said, stages string }{
		{"test", config("test=echo no; exit 3"), "TestFailed", "test script: the script exited with code 3", "test:failed"},
		{"build", config("build=exit 4"), "BuildFailed", "build script: the script exited with code 4", "test:passed build:failed"},
		{"artifact", config("build=true"), "BuildFailed", "artifact out/version: the build did not make it", "test:passed build:failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newBuildApp(t)
			a.write("live", "zero")
			r := a.deploy(a.commit("one", c.yaml))
			d := r.wants(deploy.Failed)
			if string(d.ErrorKind) != c.kind || d.Error != c.said || d.Changed != nil || d.Build == "" {
				t.Errorf("kind %s, error %q, changed %v, build %q", d.ErrorKind, d.Error, d.Changed, d.Build)
			}
			if got := stagesOf(d); got != "prepare:passed "+c.stages {
				t.Errorf("stages %s, want %s", got, c.stages)
			}
			if got := r.states(); got != way {
				t.Errorf("states:\n%s, want\n%s", got, way)
			}
			a.serves("zero")
			if out := r.ended(); aws.ToString(out.Error) != c.kind || !strings.Contains(aws.ToString(out.Cause), c.said) {
				t.Errorf("the execution tells %s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
			}
		})
	}
}

func stagesOf(d *deploy.Deployment) string {
	var names []string
	for _, s := range d.Stages {
		names = append(names, s.Name+":"+string(s.Outcome))
	}
	return strings.Join(names, " ")
}

// A script that a build runs dies with the cancel as one in a function does, whatever CodeBuild is told.
func TestCodeBuildCancelled(t *testing.T) {
	for _, stage := range []string{"test", "build"} {
		t.Run(stage, func(t *testing.T) {
			a := newBuildApp(t)
			r := a.deploy(a.commit("one", config(stage+"="+linger)))
			group := a.lingers()
			begin := time.Now()
			if err := a.cancel(r.id); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the script's group to die", func() (int, bool) { return 0, !alive(group) })
			t.Logf("dead after %v", time.Since(begin).Round(10*time.Millisecond))
			d := r.wants(deploy.Aborted)
			if d.ErrorKind != deploy.Cancelled || d.Build == "" || d.Stage(stage) == nil || d.Stage(stage).Outcome != deploy.StageFailed {
				t.Errorf("%s %q, build %q, stages %s", d.ErrorKind, d.Error, d.Build, stagesOf(d))
			}
			if got, want := r.states(), "Prepare Route CodeBuild Build SettleFailure Outcome Failed"; got != want {
				t.Errorf("states %s, want %s", got, want)
			}
		})
	}
}

// The cancel may come before its build has begun: nothing of the commit runs then.
func TestCodeBuildCancelledBeforeItBegins(t *testing.T) {
	a := newBuildApp(t)
	r := a.deploy(a.commit("one", config(`test=touch "$SERVE/ran"`)))
	waitFor(t, "Prepare to end", func() (int, bool) {
		d, err := world.store.Deployment(t.Context(), r.id)
		return 0, err == nil && d.Runner == deploy.RunnerCodeBuild
	})
	if err := a.cancel(r.id); err != nil {
		t.Fatal(err)
	}
	if d := r.wants(deploy.Aborted); d.ErrorKind != deploy.Cancelled {
		t.Errorf("%s %q", d.ErrorKind, d.Error)
	}
}

// startBuild.sync stops the build of an execution that is stopped.
func TestCodeBuildOfAStoppedExecution(t *testing.T) {
	a := newBuildApp(t)
	r := a.deploy(a.commit("one", config("test="+linger)))
	group := a.lingers()
	if _, err := world.sfn.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &r.arn}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the script's group to die", func() (int, bool) { return 0, !alive(group) })
}

// Somebody who stops the build in CodeBuild means the deployment.
func TestCodeBuildStopped(t *testing.T) {
	a := newBuildApp(t)
	r := a.deploy(a.commit("one", config("build="+linger)))
	group := a.lingers()
	codeBuild(t, "StopBuild", map[string]any{"id": r.buildID()})
	waitFor(t, "the script's group to die", func() (int, bool) { return 0, !alive(group) })
	d := r.wants(deploy.Aborted)
	if d.ErrorKind != deploy.Cancelled || d.CancelTime == nil || stagesOf(d) != "prepare:passed test:passed build:failed" {
		t.Errorf("%s %q, stages %s", d.ErrorKind, d.Error, stagesOf(d))
	}
}

// buildID finds the build that runs for the deployment.
func (r *run) buildID() string {
	r.a.t.Helper()
	id, _ := r.build()
	return id
}

// build finds the deployment's build, and how it stands.
func (r *run) build() (id, status string) {
	r.a.t.Helper()
	var listed struct{ IDs []string }
	if err := json.Unmarshal(codeBuild(r.a.t, "ListBuildsForProject", map[string]any{"projectName": "slipway"}), &listed); err != nil {
		r.a.t.Fatal(err)
	}
	var found struct {
		Builds []struct {
			ID          string
			BuildStatus string
			Environment struct {
				EnvironmentVariables []struct{ Name, Value string }
			}
		}
	}
	if err := json.Unmarshal(codeBuild(r.a.t, "BatchGetBuilds", map[string]any{"ids": listed.IDs}), &found); err != nil {
		r.a.t.Fatal(err)
	}
	for _, b := range found.Builds {
		for _, v := range b.Environment.EnvironmentVariables {
			if v.Name == "SLIPWAY_DEPLOYMENT" && v.Value == r.id {
				return b.ID, b.BuildStatus
			}
		}
	}
	r.a.t.Fatal("no build is for " + r.id)
	return "", ""
}

// codeBuild calls CodeBuild's API, for which the program needs no client.
func codeBuild(t *testing.T, operation string, in any) []byte {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, world.cloud.Endpoint(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "CodeBuild_20161006."+operation)
	status, text, err := localtest.Send(world.cloud, request, body, "codebuild")
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d: %s, %v", operation, status, text, err)
	}
	return text
}

// What is tested and built is promoted without a build; what was built by force is tested, and not built again.
func TestCodeBuildOnce(t *testing.T) {
	a := newBuildApp(t)
	counted := config(`test=echo test >> "$SERVE/runs"`, `build=echo build >> "$SERVE/runs"; mkdir -p out && cp version out/version`)
	sha := a.commit("one", counted)
	first := a.start(map[string]any{"commit_sha": sha, "environment": "staging"}).wants(deploy.Success)
	r := a.deploy(sha)
	second := r.wants(deploy.Success)
	if got, want := r.states(), wayUp; got != want || second.Build != "" || second.TestedBy != first.ID || second.Release.BuiltBy != first.ID {
		t.Errorf("states %s, want %s; build %q, tested by %q, release %+v", got, want, second.Build, second.TestedBy, second.Release)
	}
	if got := stagesOf(second); !strings.HasPrefix(got, "prepare:passed test:skipped build:skipped ") {
		t.Errorf("stages %s", got)
	}
	forced := a.commit("two", counted)
	d := a.start(map[string]any{"commit_sha": forced, "force_deployment": true}).wants(deploy.Success)
	if d.Release.TestedBy != "" || !strings.HasPrefix(stagesOf(d), "prepare:passed test:skipped build:passed ") {
		t.Errorf("by force: release %+v, stages %s", d.Release, stagesOf(d))
	}
	d = a.start(map[string]any{"commit_sha": forced, "environment": "staging"}).wants(deploy.Success)
	if d.Build == "" || !strings.HasPrefix(stagesOf(d), "prepare:passed test:passed build:skipped ") {
		t.Errorf("build %q, stages %s", d.Build, stagesOf(d))
	}
	if got, want := strings.Join(strings.Fields(a.read("runs")), " "), "test build build test"; got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
}

// A secret is a reference in all that the build is given, a value in the script, and stars in its output.
func TestCodeBuildSecrets(t *testing.T) {
	a := newBuildApp(t)
	value := "hidden-" + randomText()
	_, err := ssm.NewFromConfig(world.cloud.Config()).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/slipway/" + a.name + "/key"), Value: &value, Type: ssmtypes.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	production := a.Environments["production"]
	production.Variables = map[string]string{"SERVE": a.dir, "DB_PASSWORD": "of-production-alone"}
	a.Environments["production"] = production
	a.Variables = map[string]string{"SERVE": a.dir, "KEY": "ssm:key", "API_TOKEN": "plain-" + value, "ODD": "a'b \"$(touch no)\" `no`\n;"}
	a.apply()
	r := a.deploy(a.commit("one", config(`test=printf '%s' "$KEY" > "$SERVE/key"; printf '%s' "$ODD" > "$SERVE/odd"; echo "$KEY and $API_TOKEN"`)))
	d := r.wants(deploy.Success)
	if got, err := os.ReadFile(filepath.Join(a.dir, "odd")); err != nil || a.read("key") != value || string(got) != a.Variables["ODD"] {
		t.Errorf("the script saw %q and %q, %v", a.read("key"), got, err)
	}
	if got := r.output(); !strings.Contains(got, "*** and ***\n") || strings.Contains(got, value) {
		t.Errorf("output:\n%s", got)
	}
	for _, part := range []string{"deployment.json", "result.json"} {
		if strings.Contains(string(object(t, "jobs/"+d.ID+"/"+part)), "of-production-alone") {
			t.Errorf("%s holds a variable of the environment, which a build has nothing to do with", part)
		}
		if text := string(object(t, "jobs/"+d.ID+"/"+part)); !strings.Contains(text, "ssm:key") || strings.Contains(text, `"`+value) {
			t.Errorf("%s holds %s", part, text)
		}
	}
}
