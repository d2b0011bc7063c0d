package codepipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/codepipeline"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
)

const commit = "0123456789012345678901234567890123456789"

// world is all that a worker talks to; it keeps what it is told.
type world struct {
	app      deploy.App
	fails    error
	record   *deploy.Deployment
	requests []launch.Request
	bundles  []string
	told     string
}

func (w *world) App(context.Context, string) (*deploy.App, error) { return &w.app, w.fails }

func (w *world) Repeated(context.Context, launch.Once) (*deploy.Deployment, error) { return nil, nil }

func (w *world) Deploy(_ context.Context, r launch.Request) (*deploy.Deployment, error) {
	w.requests = append(w.requests, r)
	return &deploy.Deployment{ID: "deploy-20261125-120000000-aaaaaaaa", Status: deploy.Pending}, nil
}

func (w *world) Deployment(context.Context, string) (*deploy.Deployment, error) { return w.record, nil }

func (w *world) PutBundle(_ context.Context, app, commit string, _ *os.File) (*deploy.Bundle, error) {
	w.bundles = append(w.bundles, app+"/"+commit)
	return &deploy.Bundle{}, nil
}

func (w *world) Download(_ context.Context, _ *events.CodePipelineJob, _ events.CodePipelineInputArtifact, f *os.File) error {
	_, err := f.WriteString("zip")
	return err
}

func (w *world) Goes(_ context.Context, _ string, d *deploy.Deployment) error {
	w.told = "goes " + d.ID
	return nil
}

func (w *world) Succeeded(_ context.Context, _ string, d *deploy.Deployment) error {
	w.told = "succeeded " + d.ID
	return nil
}

func (w *world) Failed(_ context.Context, _ string, d *deploy.Deployment, cause error) error {
	w.told = fmt.Sprintf("failed %v: %v", d != nil, cause)
	return nil
}

func (w *world) handle(t *testing.T, parameters, token string, revisions ...string) error {
	t.Helper()
	data := events.CodePipelineData{ContinuationToken: token}
	data.ActionConfiguration.Configuration.UserParameters = parameters
	for _, r := range revisions {
		data.InputArtifacts = append(data.InputArtifacts, events.CodePipelineInputArtifact{Revision: &r})
	}
	event, err := json.Marshal(events.CodePipelineJobEvent{CodePipelineJob: events.CodePipelineJob{ID: "job", Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return w.worker().Handle(t.Context(), event)
}

func (w *world) worker() *codepipeline.Worker {
	return &codepipeline.Worker{Launcher: w, Records: w, Bundles: w, Pipelines: w, Convert: func(r io.ReaderAt, size int64, out io.Writer) error {
		_, err := io.Copy(out, io.NewSectionReader(r, 0, size))
		return err
	}}
}

// TestWhichCommit: the parameters' own, else the artifact's, else the content's; and no artifact is looked at where commits are fetched.
func TestWhichCommit(t *testing.T) {
	other := strings.Repeat("b", 40)
	git := deploy.Source{Type: deploy.SourceGit}
	named := fmt.Sprintf(`{"app":"shop","environment":"production","commit_sha":%q,"branch":"main","force_deployment":true}`, other)
	const bare = `{"app":"shop","environment":"production"}`
	const ofZip = "4a70fe9aa6436e02c2dea340fbd1e352e4ef2d8c" // sha256 of "zip", 40 digits of it
	for name, row := range map[string]struct {
		source       deploy.Source
		parameters   string
		revisions    []string
		want, bundle string
		says         string
	}{
		"parameters":       {deploy.Source{}, named, []string{commit}, other, "shop/" + other, ""},
		"revision":         {deploy.Source{}, bare, []string{commit}, commit, "shop/" + commit, ""},
		"content":          {deploy.Source{}, bare, []string{"v1.4"}, ofZip, "shop/" + ofZip, ""},
		"no branch":        {deploy.Source{}, `{"app":"shop","environment":"production","branch":"a\nb"}`, []string{commit}, "", "", "branch: 3 bytes"},
		"unknown field":    {deploy.Source{}, `{"app":"shop","environment":"production","env":"x"}`, []string{commit}, "", "", "env: unknown; want app, branch"},
		"another spelling": {deploy.Source{}, `{"app":"shop","environment":"production","Branch":"dev"}`, []string{commit}, "", "", "Branch: unknown; want branch"},
		"a field twice":    {deploy.Source{}, `{"app":"shop","app":"shed","environment":"production"}`, []string{commit}, "", "", "app: is there twice"},
		"two objects":      {deploy.Source{}, bare + bare, []string{commit}, "", "", "UserParameters is not JSON"},
		"no object":        {deploy.Source{}, "shop", []string{commit}, "", "", `want an object such as {"app":"shop"`},
		"two artifacts":    {deploy.Source{}, bare, []string{commit, commit}, "", "", "2 of them"},
		"git":              {git, named, nil, other, "", ""},
		"git, revision":    {git, bare, []string{commit}, commit, "", ""},
		"git, no revision": {git, bare, []string{"v1.4"}, "", "", "commit_sha: is missing"},
	} {
		w := &world{app: deploy.App{Name: "shop", Source: row.source}}
		if err := w.handle(t, row.parameters, "", row.revisions...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if row.says != "" {
			if len(w.requests) > 0 || !strings.HasPrefix(w.told, "failed false: ") || !strings.Contains(w.told, row.says) {
				t.Errorf("%s: %s, launched %+v", name, w.told, w.requests)
			}
			continue
		}
		if len(w.requests) != 1 || w.requests[0].CommitSHA != row.want || strings.Join(w.bundles, " ") != row.bundle || !strings.HasPrefix(w.told, "goes ") {
			t.Errorf("%s: launched %+v with bundles %v, told %q", name, w.requests, w.bundles, w.told)
		}
		if r := w.requests[0]; r.Once.Key != "codepipeline/job" || r.Once.Fingerprint == "" || row.parameters == named && (r.Branch != "main" || !r.Force) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestEnds(t *testing.T) {
	for _, row := range []struct {
		d    deploy.Deployment
		want string
	}{
		{deploy.Deployment{Status: deploy.Running}, "goes ID"},
		{deploy.Deployment{Status: deploy.Success}, "succeeded ID"},
		{deploy.Deployment{Status: deploy.RolledBack, Error: "unhealthy"}, "failed true: deployment ID of 01234567 to staging ended rolled_back: unhealthy"},
		{deploy.Deployment{Status: deploy.Aborted, SupersededBy: "OTHER"}, "failed true: deployment ID of 01234567 to staging ended cancelled, superseded by OTHER"},
		{deploy.Deployment{Status: deploy.Failed, Error: "no way back", Repair: "slipway rollback ID"}, "failed true: deployment ID of 01234567 to staging ended failed: no way back; repair: slipway rollback ID"},
	} {
		row.d.ID, row.d.CommitSHA, row.d.Environment = "ID", commit, "staging"
		w := &world{record: &row.d}
		if err := w.handle(t, "", "deploy-20261125-120000000-aaaaaaaa"); err != nil || w.told != row.want {
			t.Errorf("%s: told %q, %v; want %q", row.d.Status, w.told, err, row.want)
		}
	}
}

// TestRecordedJob: an event as CodePipeline sends it is understood whole.
func TestRecordedJob(t *testing.T) {
	recorded, err := os.ReadFile("testdata/job.json")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{app: deploy.App{Name: "shop"}}
	if err := w.worker().Handle(t.Context(), recorded); err != nil || len(w.requests) != 1 {
		t.Fatalf("%v, told %q", err, w.told)
	}
	r := w.requests[0]
	if r.App != "shop" || r.Environment != "staging" || r.CommitSHA != commit || r.Branch != "main" || r.Once.Key != "codepipeline/c0d76431-b0e7-xmpl-97e3-e8ee786eb6f6" || len(w.bundles) != 1 {
		t.Errorf("%+v, bundles %v", r, w.bundles)
	}
}

// TestOurFailures are for Lambda to try again: the pipeline's owner can't mend them.
func TestOurFailures(t *testing.T) {
	w := &world{fails: errors.New("the table is away")}
	if err := w.handle(t, `{"app":"shop","environment":"production"}`, "", commit); err == nil || w.told != "" {
		t.Errorf("%v, told %q", err, w.told)
	}
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"CodePipeline.job":{"id":"j","data":{"actionConfiguration":{"configuration":{"UserParameters":"{\"app\":\"shop\",\"environment\":\"production\"}"}},"inputArtifacts":[{"revision":null}]}}}`))
	f.Add([]byte(`{"CodePipeline.job":{"id":"j","data":{"continuationToken":"x"}}}`))
	recorded, err := os.ReadFile("testdata/job.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(recorded)
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, event []byte) {
		w := &world{app: deploy.App{Name: "shop"}, record: &deploy.Deployment{}}
		worker := codepipeline.Worker{Launcher: w, Records: w, Bundles: w, Pipelines: w, Convert: func(io.ReaderAt, int64, io.Writer) error { return nil }}
		if err := worker.Handle(t.Context(), event); err == nil && w.told == "" {
			t.Error("taken, and the pipeline was told nothing")
		}
	})
}
