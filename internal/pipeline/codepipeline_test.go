package pipeline_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// answer is what the function told CodePipeline of a job.
type answer struct {
	Operation         string
	JobID             string `json:"jobId"`
	ContinuationToken string `json:"continuationToken"`
	ExecutionDetails  struct {
		Summary             string `json:"summary"`
		ExternalExecutionID string `json:"externalExecutionId"`
		PercentComplete     int    `json:"percentComplete"`
	} `json:"executionDetails"`
	FailureDetails struct {
		Type                string `json:"type"`
		Message             string `json:"message"`
		ExternalExecutionID string `json:"externalExecutionId"`
	} `json:"failureDetails"`
	OutputVariables map[string]string `json:"outputVariables"`
}

// jobs is CodePipeline, which the local cloud lacks, as far as a job's answer goes: it speaks the service's protocol to the real SDK
// and keeps what it hears.
var jobs struct {
	sync.Mutex
	once    sync.Once
	answers map[string][]answer
}

func hear(w http.ResponseWriter, r *http.Request) {
	var a answer
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "CodePipeline_20150709.")
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil || !ok || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.Operation = operation
	jobs.Lock()
	defer jobs.Unlock()
	jobs.answers[a.JobID] = append(jobs.answers[a.JobID], a)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	fmt.Fprint(w, "{}")
}

// pipelines tells the function where CodePipeline is.
func pipelines(t *testing.T) {
	t.Helper()
	jobs.once.Do(func() {
		jobs.answers = map[string][]answer{}
		server := httptest.NewServer(http.HandlerFunc(hear)) // until the package's tests end
		name := aws.String("slipway-codepipeline")
		got, err := world.fn.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: name})
		if err != nil {
			t.Fatal(err)
		}
		variables := got.Environment.Variables
		variables["AWS_ENDPOINT_URL_CODEPIPELINE"] = server.URL
		if _, err := world.fn.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: name,
			Environment: &types.Environment{Variables: variables}}); err != nil {
			t.Fatal(err)
		}
	})
}

// job sends the function a job's event as CodePipeline does, and gives its answer.
func (a *app) job(id, parameters, artifact string, revision *string, token string) answer {
	a.t.Helper()
	inputs := []any{}
	if artifact != "" {
		inputs = append(inputs, map[string]any{"name": "Source", "revision": revision,
			"location": map[string]any{"type": "S3", "s3Location": map[string]string{"bucketName": world.out.Bucket, "objectKey": artifact}}})
	}
	keys, err := world.cloud.Config().Credentials.Retrieve(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	data := map[string]any{"inputArtifacts": inputs, "outputArtifacts": []any{},
		"actionConfiguration": map[string]any{"configuration": map[string]string{"FunctionName": "slipway-codepipeline", "UserParameters": parameters}},
		"artifactCredentials": map[string]string{"accessKeyId": keys.AccessKeyID, "secretAccessKey": keys.SecretAccessKey, "sessionToken": keys.SessionToken}}
	if token != "" {
		data["continuationToken"] = token
	}
	event, err := json.Marshal(map[string]any{"CodePipeline.job": map[string]any{"id": id, "accountId": "000000000000", "data": data}})
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := world.fn.Invoke(a.t.Context(), &lambda.InvokeInput{FunctionName: aws.String("slipway-codepipeline"), Payload: event})
	if err != nil || out.FunctionError != nil {
		a.t.Fatalf("%v, %s: %s", err, deref(out.FunctionError), out.Payload)
	}
	jobs.Lock()
	defer jobs.Unlock()
	told := jobs.answers[id]
	if len(told) == 0 {
		a.t.Fatalf("job %s: no answer", id)
	}
	return told[len(told)-1]
}

// artifact puts a zip where a pipeline would, and gives its key. It has no Unix modes, as those that Java or Windows make.
func (a *app) artifact(files map[string]string) string {
	a.t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(mapKeys(files)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		a.t.Fatal(err)
	}
	key := "pipelines/" + randomText()
	if _, err := world.s3.PutObject(a.t.Context(), &s3.PutObjectInput{Bucket: &world.out.Bucket, Key: &key, Body: bytes.NewReader(buf.Bytes())}); err != nil {
		a.t.Fatal(err)
	}
	return key
}

// ends asks again with the token, as CodePipeline does, until the job has its end.
func (a *app) ends(first answer, parameters string) answer {
	a.t.Helper()
	if first.ContinuationToken == "" {
		a.t.Fatalf("the job ended at once: %+v", first)
	}
	return waitFor(a.t, "the job's end", func() (answer, bool) {
		got := a.job("later-"+randomText(), parameters, "", nil, first.ContinuationToken)
		return got, got.ContinuationToken == ""
	})
}

func TestPipelineJob(t *testing.T) {
	a := newApp(t)
	pipelines(t)
	parameters := fmt.Sprintf(`{"app":%q,"environment":"production"}`, a.name)
	commit := strings.Repeat("0123456789", 4)
	key := a.artifact(map[string]string{"slipway.yaml": config("test=./gradlew check"), "version": "one",
		"gradlew": "#!/bin/sh\ntest \"$1\" = check\n"})
	id := "job-" + randomText()
	first := a.job(id, parameters, key, &commit, "")
	again := a.job(id, parameters, key, &commit, "")
	if first.Operation != "PutJobSuccessResult" || first.ContinuationToken == "" || again.ContinuationToken != first.ContinuationToken {
		t.Errorf("first %+v, again %+v", first, again)
	}
	end := a.ends(first, parameters)
	d, err := world.store.Deployment(t.Context(), first.ContinuationToken)
	if err != nil || d.Status != deploy.Success || d.CommitSHA != commit {
		t.Fatalf("%+v, %v", d, err)
	}
	a.serves("one")
	want := map[string]string{"DeploymentId": d.ID, "CommitId": commit, "Environment": "production", "Status": "success"}
	if end.Operation != "PutJobSuccessResult" || fmt.Sprint(end.OutputVariables) != fmt.Sprint(want) || end.ExecutionDetails.ExternalExecutionID != d.ID ||
		end.ExecutionDetails.PercentComplete != 100 || !strings.HasPrefix(end.ExecutionDetails.Summary, "success") {
		t.Errorf("%+v", end)
	}
	if all, _, err := world.store.List(t.Context(), deploy.Query{App: a.name, Limit: 9}); err != nil || len(all) != 1 {
		t.Errorf("%d deployments, %v; want the one", len(all), err)
	}
	late := a.job(id, parameters, key, &commit, "")
	if late.ContinuationToken != "" || late.OutputVariables["DeploymentId"] != d.ID {
		t.Errorf("the same job after its end: %+v", late)
	}
}

// TestPipelineJobWithoutACommit: a source that isn't git's is known by its content.
func TestPipelineJobWithoutACommit(t *testing.T) {
	a := newApp(t)
	pipelines(t)
	parameters := fmt.Sprintf(`{"app":%q,"environment":"production"}`, a.name)
	files := map[string]string{"slipway.yaml": config("test=exit 3"), "version": "one"}
	var commits []string
	for range 2 {
		end := a.ends(a.job("job-"+randomText(), parameters, a.artifact(files), aws.String("v1.4"), ""), parameters)
		if end.Operation != "PutJobFailureResult" || end.FailureDetails.Type != "JobFailed" || !strings.Contains(end.FailureDetails.Message, "ended failed: ") {
			t.Errorf("%+v", end)
		}
		d, err := world.store.Deployment(t.Context(), end.FailureDetails.ExternalExecutionID)
		if err != nil || d.ErrorKind != deploy.TestFailed {
			t.Fatalf("%+v, %v", d, err)
		}
		commits = append(commits, d.CommitSHA)
	}
	if commits[0] != commits[1] {
		t.Errorf("the same content has commits %v", commits)
	}
}

func TestPipelineJobsThatCantBe(t *testing.T) {
	a := newApp(t)
	pipelines(t)
	good, commit := a.artifact(map[string]string{"version": "one"}), strings.Repeat("a", 40)
	right := fmt.Sprintf(`{"app":%q,"environment":"production"}`, a.name)
	for name, row := range map[string]struct{ parameters, artifact, token, says string }{
		"no JSON":      {"production", good, "", "UserParameters is not JSON"},
		"nothing":      {"", good, "", "UserParameters is not JSON"},
		"a typo":       {`{"app":"x","env":"y"}`, good, "", "env: unknown; want app, branch, commit_sha, environment"},
		"no app":       {`{"app":"nothing-here","environment":"production"}`, good, "", "nothing-here"},
		"no room":      {strings.Replace(right, "production", "moon", 1), good, "", "moon"},
		"no commit":    {strings.Replace(right, "{", `{"commit_sha":"main",`, 1), good, "", "commit_sha"},
		"no artifact":  {right, "", "", "inputArtifacts: 0 of them"},
		"gone":         {right, "pipelines/gone", "", "can't be read"},
		"climbs":       {right, a.artifact(map[string]string{"../x": "y"}), "", "climbs out"},
		"no zip":       {right, "sources/" + a.name + "/" + a.bundle(map[string]string{"a": "b"}) + ".tar.gz", "", "not a zip"},
		"strange text": {right, good, "xyz", "continuationToken"},
	} {
		got := a.job("job-"+randomText(), row.parameters, row.artifact, &commit, row.token)
		if got.Operation != "PutJobFailureResult" || got.FailureDetails.Type != "ConfigurationError" || !strings.Contains(got.FailureDetails.Message, row.says) {
			t.Errorf("%s: %+v, want %q", name, got, row.says)
		}
	}
	if all, _, err := world.store.List(t.Context(), deploy.Query{App: a.name, Limit: 9}); err != nil || len(all) != 0 {
		t.Errorf("%d deployments, %v; want none", len(all), err)
	}
}
