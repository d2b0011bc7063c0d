package pipeline_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/source"
)

type fields = map[string]any

// build is what startBuild.sync says of one: a phase that did not go well and why, where there is one.
func build(status, phase, message string) fields {
	phases := []fields{{"PhaseType": "SUBMITTED", "PhaseStatus": "SUCCEEDED"}, {"PhaseType": "QUEUED", "PhaseStatus": "SUCCEEDED"}}
	if phase != "" {
		phases = append(phases, fields{"PhaseType": phase, "PhaseStatus": status, "Contexts": []fields{{"StatusCode": "", "Message": message}}})
	}
	return fields{"Id": "slipway:b1", "BuildStatus": status, "BuildComplete": true, "Phases": phases, "StartTime": 1763000000000,
		"Logs": fields{"GroupName": "/aws/codebuild/slipway", "StreamName": "b1"}}
}

func throws(name string, cause any) fields {
	text, isText := cause.(string)
	if !isText {
		data, _ := json.Marshal(cause)
		text = string(data)
	}
	return fields{"0": fields{"Throw": fields{"Error": name, "Cause": text}}}
}

// answers are CodeBuild's, where the local cloud can't have them: its own faults, its queue, its clock; and its lies. The cause of a
// failed build is the answer that a good one would have given, or its Build alone; both are read.
var answers = map[string]fields{
	"Fault":      throws("States.TaskFailed", fields{"Build": build("FAULT", "PROVISIONING", "no host")}),
	"TimedOut":   throws("States.TaskFailed", fields{"Build": build("TIMED_OUT", "PRE_BUILD", "")}),
	"Queued":     throws("States.TaskFailed", build("TIMED_OUT", "QUEUED", "")),
	"Stopped":    throws("States.TaskFailed", build("STOPPED", "BUILD", "")),
	"Unprovided": throws("States.TaskFailed", build("FAILED", "PROVISIONING", "the image can't be pulled")),
	"Killed":     throws("States.TaskFailed", fields{"Build": build("FAILED", "BUILD", "exit status 137")}),
	"FailedTest": throws("States.TaskFailed", fields{"Build": build("FAILED", "PRE_BUILD", "exit status 1")}),
	"Refused":    throws("CodeBuild.AccessDeniedException", "User is not authorized to perform codebuild:StartBuild"),
	"Late":       throws("States.Timeout", ""),
	"Empty":      throws("States.TaskFailed", "{}"),
	"Succeeded":  {"0": fields{"Return": fields{"Build": build("SUCCEEDED", "", "")}}},
}

// mocked gives the emulator the answers, as Step Functions Local takes them: an execution of the machine's ARN with #NAME behind it
// gets that one in CodeBuild's place, and runs all else.
var mocked = sync.OnceValue(func() error {
	cases, responses := fields{}, fields{}
	for name, answer := range answers {
		cases[name], responses[name] = fields{"CodeBuild": name}, answer
	}
	body, err := json.Marshal(fields{"stepfunctions._sfn_mock_config": fields{
		"StateMachines": fields{"slipway": fields{"TestCases": cases}}, "MockedResponses": responses,
	}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, world.cloud.Endpoint()+"/_ministack/config", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	status, text, err := localtest.Send(world.cloud, request, body, "states")
	if err != nil {
		return err
	}
	if status != http.StatusOK || !strings.Contains(string(text), "_sfn_mock_config") {
		return fmt.Errorf("%d: %s", status, text)
	}
	return nil
})

// answered starts a deployment that gets that answer, and finds left as the build's result.
func (a *app) answered(answer, sha string, left func(d *deploy.Deployment)) *run {
	a.t.Helper()
	if err := mocked(); err != nil {
		a.t.Fatal(err)
	}
	var entropy [5]byte
	if _, err := rand.Read(entropy[:]); err != nil {
		a.t.Fatal(err)
	}
	id := deploy.NewID(time.Now(), entropy[:])
	d := deploy.New(id, deploy.Deploy, a.name, "production", time.Now())
	d.CommitSHA = sha
	if err := world.store.Create(a.t.Context(), d); err != nil {
		a.t.Fatal(err)
	}
	if left != nil {
		left(d)
		if err := source.NewS3(world.s3, world.out.Bucket).PutResult(a.t.Context(), d); err != nil {
			a.t.Fatal(err)
		}
	}
	input := fmt.Sprintf(`{"deployment":%q}`, id)
	out, err := world.sfn.StartExecution(a.t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(world.out.StateMachineARN + "#" + answer), Name: &id, Input: &input,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return &run{a: a, id: id, arn: *out.ExecutionArn}
}

// went makes a result in which stages ended; one with a ? behind it is open.
func went(stages string, more ...func(*deploy.Deployment)) func(*deploy.Deployment) {
	return func(d *deploy.Deployment) {
		for _, name := range strings.Fields(stages) {
			d.Begin(strings.TrimSuffix(name, "?"), time.Now())
			d.Finish(name, deploy.Passed, time.Now())
		}
		for _, each := range more {
			each(d)
		}
	}
}

func says(a deploy.Artifact) func(*deploy.Deployment) {
	return func(d *deploy.Deployment) { d.Release = &deploy.Release{Artifacts: []deploy.Artifact{a}} }
}

func TestCodeBuildAnswers(t *testing.T) {
	absent := strings.Repeat("ab", 32)
	failed := went("test?", func(d *deploy.Deployment) {
		d.Finish("test", deploy.StageFailed, time.Now())
		d.Fail(deploy.Superseded, "I am superseded") // no stage of a build can be
	})
	for _, c := range []struct {
		answer string
		left   func(*deploy.Deployment)
		status deploy.Status
		kind   deploy.Kind
		said   string
		stages string
	}{
		{"Fault", nil, deploy.Failed, deploy.Internal, "slipway:b1 ended by a fault of CodeBuild's own in phase PROVISIONING: no host (its own log: b1 in /aws/codebuild/slipway)", ""},
		{"TimedOut", went("test?"), deploy.Failed, deploy.TestFailed, "test script: CodeBuild ended slipway:b1 at its time limit", " test:failed"},
		{"TimedOut", went("test build?"), deploy.Failed, deploy.BuildFailed, "build script: CodeBuild ended slipway:b1 at its time limit", " test:passed build:failed"},
		{"TimedOut", nil, deploy.Failed, deploy.TestFailed, "test script: CodeBuild ended slipway:b1 at its time limit", ""},
		{"Queued", nil, deploy.Failed, deploy.Internal, "before the tests began", ""},
		{"Stopped", went("test build?"), deploy.Aborted, deploy.Cancelled, "cancelled at ", " test:passed build:failed"},
		{"Unprovided", nil, deploy.Failed, deploy.Internal, "in phase PROVISIONING, before the tests began: the image can't be pulled", ""},
		{"Killed", went("test build?"), deploy.Failed, deploy.BuildFailed, "build script: slipway:b1 ended in phase BUILD without a result: exit status 137", " test:passed build:failed"},
		{"FailedTest", nil, deploy.Failed, deploy.TestFailed, "test script: slipway:b1 ended in phase PRE_BUILD without a result", ""},
		{"FailedTest", failed, deploy.Failed, deploy.TestFailed, "I am superseded", " test:failed"},
		{"Refused", nil, deploy.Failed, deploy.Internal, "the build could not be run: CodeBuild.AccessDeniedException: User is not", ""},
		{"Late", went("test?"), deploy.Failed, deploy.TestFailed, "test script: CodeBuild had not ended the build when the machine's time", " test:failed"},
		{"Empty", nil, deploy.Failed, deploy.Internal, "the build could not be run: States.TaskFailed", ""},
		{"Empty", failed, deploy.Failed, deploy.TestFailed, "I am superseded", " test:failed"},
		{"Succeeded", nil, deploy.Failed, deploy.Internal, "says that it succeeded and left no result", ""},
		{"Succeeded", went("test"), deploy.Failed, deploy.Internal, "says that it succeeded and left no result", " test:passed"},
		{"Succeeded", failed, deploy.Failed, deploy.Internal, "says that it succeeded and left no result", " test:failed"},
		{"Succeeded", went("test build"), deploy.Failed, deploy.BuildFailed, "artifact out/version: the build did not make it", " test:passed build:failed"},
		{"Succeeded", went("test build", says(deploy.Artifact{Path: "out/version", SHA256: absent})), deploy.Failed, deploy.BuildFailed, "it is gone from artifacts/", " test:passed build:failed"},
		{"Succeeded", went("test build", says(deploy.Artifact{Path: "out/version", SHA256: "../../other/app"})), deploy.Failed, deploy.BuildFailed, "is no SHA-256", " test:passed build:failed"},
	} {
		t.Run(c.answer, func(t *testing.T) {
			a := newBuildApp(t)
			a.write("live", "zero")
			r := a.answered(c.answer, a.commit("one", config()), c.left)
			d := r.wants(c.status)
			if d.ErrorKind != c.kind || !strings.Contains(d.Error, c.said) {
				t.Errorf("%s %q, want %s %q", d.ErrorKind, d.Error, c.kind, c.said)
			}
			if got := stagesOf(d); got != "prepare:passed"+c.stages {
				t.Errorf("stages %s, want%s", got, c.stages)
			}
			if got, want := r.states(), "Prepare Route CodeBuild Build SettleFailure Outcome Failed"; got != want {
				t.Errorf("states %s, want %s", got, want)
			}
			if out := r.ended(); aws.ToString(out.Error) != string(c.kind) || !strings.Contains(aws.ToString(out.Cause), c.said) {
				t.Errorf("the execution tells %s: %s", aws.ToString(out.Error), aws.ToString(out.Cause))
			}
			a.serves("zero")
		})
	}
}

// A result is believed no more than S3 confirms: what else it says of an artifact is looked up.
func TestCodeBuildResultIsLookedUp(t *testing.T) {
	a := newBuildApp(t)
	sha := a.commit("two", config())
	if err := os.Mkdir(filepath.Join(a.dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	a.write("out/version", "two")
	made, err := source.NewS3(world.s3, world.out.Bucket).PutArtifact(t.Context(), a.name, sha, "out/version", filepath.Join(a.dir, "out/version"))
	if err != nil {
		t.Fatal(err)
	}
	lie := made
	lie.Key, lie.Bytes = "sources/other/key", 1<<40
	r := a.answered("Succeeded", sha, went("test build", says(lie), func(d *deploy.Deployment) {
		d.App, d.CommitSHA, d.Source = "other", "none", &deploy.Bundle{SHA256: strings.Repeat("0", 64)}
		end := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		d.Stages[0].Start, d.Stages[0].End, d.Stages[0].Attempt = time.Time{}, &end, -1<<40
	}))
	d := r.wants(deploy.Success)
	if d.Release.SourceSHA256 != d.Source.SHA256 || d.Source.SHA256 == strings.Repeat("0", 64) {
		t.Errorf("the release's bundle is %q, the deployment's %q", d.Release.SourceSHA256, d.Source.SHA256)
	}
	if s := d.Stage("test"); s.Start.Before(d.StartTime) || s.End.After(time.Now()) || s.Attempt != 1 {
		t.Errorf("its tests ran from %s to %s in attempt %d", s.Start, s.End, s.Attempt)
	}
	if len(d.Release.Artifacts) != 1 || d.Release.Artifacts[0] != made || d.Release.App != a.name || d.Release.CommitSHA != sha || d.Release.BuiltBy != d.ID {
		t.Errorf("release %+v, want %+v", d.Release, made)
	}
	a.serves("two")

	// The same digest, once another content lies under the key.
	if _, err := world.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &world.out.Bucket, Key: &made.Key, Body: strings.NewReader("bad")}); err != nil {
		t.Fatal(err)
	}
	d = a.deploy(sha).wants(deploy.Failed)
	if d.ErrorKind != deploy.BuildFailed || !strings.Contains(d.Error, "isn't what was built") {
		t.Errorf("%s %q", d.ErrorKind, d.Error)
	}
}
