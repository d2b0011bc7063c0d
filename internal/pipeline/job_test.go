package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/source"
)

// folder is where a job lies, without a bucket.
type folder struct {
	job, result *deploy.Deployment
	stopped     bool
	err         error // of the next PutResult
	puts        int
}

func (f *folder) Job(context.Context, string) (*deploy.Deployment, error) { return f.job, nil }
func (f *folder) Result(context.Context, string) (*deploy.Deployment, error) {
	return f.result, nil
}
func (f *folder) Stopped(context.Context, string) (bool, error) { return f.stopped, nil }
func (f *folder) PutResult(_ context.Context, d *deploy.Deployment) error {
	if err := f.err; err != nil {
		f.err = nil
		return err
	}
	kept := *d
	f.result, f.puts = &kept, f.puts+1
	return nil
}

func newJob(t *testing.T, f *folder) *pipeline.Job {
	t.Helper()
	config := deploy.DefaultConfig()
	f.job = deploy.New("deploy-20260101-000000000-aaaaaaaa", deploy.Deploy, "shop", "production", time.Now())
	f.job.Config, f.job.Settings, f.job.Execution = &config, &deploy.Settings{}, executionOf(f.job.ID)
	j := &pipeline.Job{Folder: f}
	if err := j.Open(t.Context(), f.job.ID, "test"); err != nil {
		t.Fatal(err)
	}
	return j
}

// A build that begins after the cancel fetches nothing and runs nothing: its workshop has nothing to do so with.
func TestJobCancelledBeforeItBegins(t *testing.T) {
	f := &folder{stopped: true}
	j := newJob(t, f)
	stage := pipeline.Test{Workshop: pipeline.Workshop{Desk: pipeline.Desk{Records: j, Now: time.Now, Log: slog.New(slog.DiscardHandler)}}}
	_, err := stage.Run(t.Context(), pipeline.Call{State: []byte(`{"deployment":"` + f.job.ID + `"}`), Execution: f.job.Execution})
	if deploy.KindOf(err) != deploy.Cancelled || f.puts > 0 {
		t.Errorf("%v, %d results, want Cancelled and none", err, f.puts)
	}
}

func TestJobKeepsWhatWasWritten(t *testing.T) {
	f := &folder{}
	j := newJob(t, f)
	d, err := j.Deployment(t.Context(), f.job.ID)
	if err != nil {
		t.Fatal(err)
	}
	begin := func(d *deploy.Deployment) error { d.Begin("test", time.Now()); return nil }
	refused := errors.New("refused")
	if err := j.Update(t.Context(), d, func(d *deploy.Deployment) error { _ = begin(d); return refused }); !errors.Is(err, refused) || f.puts > 0 {
		t.Errorf("%v, %d results", err, f.puts)
	}
	f.err = errors.New("S3 is down")
	if err := j.Update(t.Context(), d, begin); err == nil {
		t.Error("an update that could not be stored was none")
	}
	if d, _ = j.Deployment(t.Context(), f.job.ID); d.Stage("test") != nil {
		t.Errorf("what was not stored is known: %+v", d.Stages)
	}
	if err := j.Update(t.Context(), d, begin); err != nil || d.Stage("test") == nil || f.result.Stage("test") == nil {
		t.Errorf("%v, %+v, %+v", err, d.Stages, f.result)
	}
	f.err = errors.New("S3 is down")
	if err := j.Update(t.Context(), d, func(d *deploy.Deployment) error { d.Finish("test", deploy.Passed, time.Now()); return nil }); err == nil {
		t.Error("an end that could not be stored was one")
	}
	if d, _ = j.Deployment(t.Context(), f.job.ID); !d.Stage("test").Open() {
		t.Errorf("an end that was not stored is known: %+v", d.Stages)
	}
	next := &pipeline.Job{Folder: f}
	if err := next.Open(t.Context(), f.job.ID, "build"); err != nil {
		t.Fatal(err)
	}
	if d, err := next.Deployment(t.Context(), f.job.ID); err != nil || d.Stage("test") == nil {
		t.Errorf("the next phase knows %+v, %v", d, err)
	}
	if _, err := next.Deployment(t.Context(), "another"); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("another deployment: %v", err)
	}
}

// memory is a table, a bucket and a build's result for one deployment.
type memory struct {
	d, result *deploy.Deployment
	there     map[string]int64 // digests of artifacts
}

func (m *memory) Deployment(context.Context, string) (*deploy.Deployment, error) {
	d := *m.d
	return &d, nil
}

func (m *memory) Update(_ context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	fresh := *m.d
	if err := change(&fresh); err != nil {
		return err
	}
	m.d = &fresh
	*d = fresh
	return nil
}

func (m *memory) Result(context.Context, string) (*deploy.Deployment, error) {
	if m.result == nil {
		return nil, deploy.Errorf(deploy.NotFound, "", "none")
	}
	return m.result, nil
}

func (m *memory) Release(context.Context, string, string) (*deploy.Release, error) { return nil, nil }
func (m *memory) PutRelease(_ context.Context, r *deploy.Release, _ bool) (*deploy.Release, error) {
	return r, nil
}
func (m *memory) PutArtifact(context.Context, string, string, string, string) (deploy.Artifact, error) {
	panic("collecting stores nothing")
}
func (m *memory) FetchArtifact(context.Context, deploy.Artifact, string) error {
	panic("collecting fetches nothing")
}
func (m *memory) CheckArtifact(_ context.Context, a deploy.Artifact) error {
	_, err := m.FindArtifact(context.Background(), "", "", a.Path, a.SHA256)
	return err
}
func (m *memory) FindArtifact(_ context.Context, app, commit, name, sha string) (deploy.Artifact, error) {
	if n, ok := m.there[sha]; ok {
		return deploy.Artifact{Path: name, Key: app + "/" + commit + "/" + sha, SHA256: sha, Bytes: n}, nil
	}
	return deploy.Artifact{}, deploy.Errorf(deploy.NotFound, "", "no %q", sha)
}

// FuzzCollect: whatever CodeBuild and a build say, Build either fails with a Kind, or both said that it went well and each
// artifact is one that is there.
func FuzzCollect(f *testing.F) {
	good, _ := json.Marshal(map[string]any{"Build": build("FAILED", "PRE_BUILD", "exit status 1")})
	f.Add("", "SUCCEEDED", []byte(`{"stages":[{"name":"test","start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:01Z","outcome":"passed"},`+
		`{"name":"build","start":"2026-01-01T00:00:01Z","end":"2026-01-01T00:00:02Z","outcome":"passed"}],"release":{"artifacts":[{"path":"a","sha256":"x"}]}}`))
	f.Add(string(good), "", []byte(`{"stages":[{"name":"test"}],"error":"no","error_kind":"TestFailed"}`))
	f.Add(`{"BuildStatus":"STOPPED","Phases":null}`, "", []byte(`{}`))
	f.Add(`{"Build":null,"BuildStatus":"FAILED","Phases":[{"Contexts":[{}]}]}`, "", []byte(`{"stages":[{"name":"build","outcome":"x"}]}`))
	f.Add("text", "", []byte(nil))
	f.Fuzz(func(t *testing.T, cause, status string, left []byte) {
		config := deploy.DefaultConfig()
		config.Artifacts = []string{"a"}
		d := deploy.New("deploy-20260101-000000000-aaaaaaaa", deploy.Deploy, "shop", "production", time.Now())
		d.Status, d.Config, d.Settings, d.Runner = deploy.Running, &config, &deploy.Settings{}, deploy.RunnerCodeBuild
		d.Execution = executionOf(d.ID)
		m := &memory{d: d, there: map[string]int64{"x": 7}}
		if json.Unmarshal(left, &m.result) != nil {
			m.result = nil
		}
		s := pipeline.Build{Releases: m, Results: m, Workshop: pipeline.Workshop{Artifacts: m,
			Desk: pipeline.Desk{Records: m, Now: time.Now, Log: slog.New(slog.DiscardHandler)}}}
		st := pipeline.State{Deployment: d.ID, Build: pipeline.Answer{Status: status}}
		if cause != "" {
			st.Error = pipeline.Failure{Error: "States.TaskFailed", Cause: cause}
		}
		text, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Run(t.Context(), pipeline.Call{State: text, Execution: d.Execution})
		if err == nil {
			if cause != "" && !strings.Contains(cause, "SUCCEEDED") || cause == "" && status != "SUCCEEDED" {
				t.Errorf("%q %q was taken for a success", status, cause)
			}
			if r := m.d.Release; r == nil || len(r.Artifacts) != 1 || r.Artifacts[0].SHA256 != "x" || r.Artifacts[0].Bytes != 7 || r.App != "shop" {
				t.Errorf("release %+v", r)
			}
		} else if kind := deploy.KindOf(err); m.d.ErrorKind != kind || m.d.Error == "" {
			t.Errorf("%v, on the record %s %q", err, m.d.ErrorKind, m.d.Error)
		}
		for _, s := range m.d.Stages {
			if s.End == nil || s.Outcome != deploy.Passed && s.Outcome != deploy.Skipped && s.Outcome != deploy.StageFailed {
				t.Errorf("stage %+v", s)
			}
		}
	})
}

// Build may be called again after its answer was lost.
func TestCodeBuildTwice(t *testing.T) {
	a := newBuildApp(t)
	sha := a.commit("one", config())
	id := deploy.NewID(time.Now(), []byte("again"))
	call := map[string]any{"state": map[string]any{"app": a.name, "environment": "production", "commit_sha": sha},
		"execution": "arn:aws:states:us-east-1:000000000000:execution:slipway:" + id, "start_time": time.Now()}
	var answers []string
	invoke := func(function string) map[string]any {
		t.Helper()
		var last map[string]any
		answers = nil
		for range 2 {
			answer, failure := a.invoke(function, call)
			text, _ := json.Marshal(answer)
			answers, last = append(answers, string(text)+failure), answer
		}
		if answers[0] != answers[1] {
			t.Errorf("%s answered %s, then %s", function, answers[0], answers[1])
		}
		return last
	}
	state := invoke("prepare")
	if state["runner"] != "codebuild" {
		t.Fatalf("prepare: %v", answers)
	}
	d, err := world.store.Deployment(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	went("test build?")(d)
	d.Finish("build", deploy.StageFailed, time.Now())
	d.Fail(deploy.BuildFailed, "build script: no")
	if err := source.NewS3(world.s3, world.out.Bucket).PutResult(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	cause, _ := json.Marshal(build("FAILED", "BUILD", "exit status 1"))
	state["error"] = map[string]any{"Error": "States.TaskFailed", "Cause": string(cause)}
	call["state"] = state
	invoke("build")
	if !strings.Contains(answers[1], "BuildFailed") || !strings.Contains(answers[1], "build script: no") {
		t.Errorf("build answered %v", answers)
	}
	if d, err = world.store.Deployment(t.Context(), id); err != nil || stagesOf(d) != "prepare:passed test:passed build:failed" {
		t.Errorf("stages %s, %v", stagesOf(d), err)
	}
}
