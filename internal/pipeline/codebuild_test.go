package pipeline_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/logs"
)

const wayByBuild = "Prepare Route CodeBuild Build Admit Deploy Shift HealthCheck Verdict Settle"

// newBuildApp makes an app whose tests and builds run in CodeBuild.
func newBuildApp(t *testing.T) *app {
	t.Helper()
	a := newApp(t)
	s := a.Environments["production"]
	s.Runner = deploy.RunnerCodeBuild
	a.Environments = map[string]deploy.Settings{"production": s, "staging": s}
	a.apply()
	return a
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
