package codepipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"github.com/slipway-cd/slipway/internal/codepipeline"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// TestAnswers: what is told is within CodePipeline's bounds, and a job that has its end needs no other.
func TestAnswers(t *testing.T) {
	for refusal, kind := range map[string]deploy.Kind{"": "", "InvalidJobStateException": "", "JobNotFoundException": deploy.Internal} {
		var message string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body struct{ FailureDetails struct{ Message string } }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			message = body.FailureDetails.Message
			if refusal != "" {
				w.WriteHeader(http.StatusBadRequest)
			}
			fmt.Fprintf(w, `{"__type":%q}`, refusal)
		}))
		config := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
		p := codepipeline.New(client.NewFromConfig(config), config)
		if err := p.Failed(t.Context(), "job", nil, errors.New(strings.Repeat("é", 6000))); deploy.KindOf(err) != kind {
			t.Errorf("%s: %v", refusal, err)
		}
		if len(message) == 0 || len(message) > 5000 {
			t.Errorf("a message of %d bytes", len(message))
		}
		server.Close()
	}
}

// TestDownload: what S3 refuses is the pipeline's to mend, what it can't do now is worth another try.
func TestDownload(t *testing.T) {
	for _, each := range []struct {
		status int
		code   string
		kind   deploy.Kind
	}{
		{http.StatusOK, "", ""},
		{http.StatusForbidden, "AccessDenied", deploy.Invalid},
		{http.StatusNotFound, "NoSuchKey", deploy.Invalid},
		{http.StatusServiceUnavailable, "SlowDown", deploy.Internal},
		{http.StatusInternalServerError, "InternalError", deploy.Internal},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(each.status)
			if each.code != "" {
				fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", each.code)
			}
		}))
		p := codepipeline.New(nil, aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1})
		job := &events.CodePipelineJob{Data: events.CodePipelineData{ArtifactCredentials: events.CodePipelineArtifactCredentials{AccessKeyID: "id", SecretAccessKey: "secret"}}}
		a := events.CodePipelineInputArtifact{Name: "Source", Location: events.CodePipelineInputLocation{
			LocationType: "S3", S3Location: events.CodePipelineS3Location{BucketName: "artifacts", ObjectKey: "key"}}}
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Download(t.Context(), job, a, f); deploy.KindOf(err) != each.kind {
			t.Errorf("%d %s: %v, want %q", each.status, each.code, err, each.kind)
		}
		f.Close()
		server.Close()
	}
}
