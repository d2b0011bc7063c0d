package source_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

const jobID = "deploy-20260101-000000000-aaaaaaaa"

func TestJobsOnTheCloud(t *testing.T) {
	objects, s := cloudBucket(t)
	d := deploy.New(jobID, deploy.Deploy, "shop", "production", time.Now())
	for name, read := range map[string]func() error{
		"job":    func() error { _, err := s.Job(t.Context(), jobID); return err },
		"result": func() error { _, err := s.Result(t.Context(), jobID); return err },
	} {
		if err := read(); deploy.KindOf(err) != deploy.NotFound {
			t.Errorf("no %s: %v", name, err)
		}
	}
	if err := s.PutJob(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	d.Begin("test", time.Now())
	if err := s.PutResult(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	job, err := s.Job(t.Context(), jobID)
	if err != nil || job.App != "shop" || job.Stage("test") != nil {
		t.Errorf("job %+v, %v", job, err)
	}
	result, err := s.Result(t.Context(), jobID)
	if err != nil || result.Stage("test") == nil {
		t.Errorf("result %+v, %v", result, err)
	}
	for want, text := range map[string]string{
		"no deployment's record": "{", "is the record of": `{"id":"deploy-20260101-000000000-bbbbbbbb"}`,
		"over 1048576 bytes": `{"id":"` + jobID + `"}` + strings.Repeat(" ", 1<<20),
	} {
		objects.put(t, "jobs/"+jobID+"/result.json", []byte(text), nil)
		if _, err := s.Result(t.Context(), jobID); deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	d.Error = strings.Repeat("x", 1<<20)
	if err := s.PutResult(t.Context(), d); deploy.KindOf(err) != deploy.TooLarge {
		t.Errorf("a result of over 1 MiB: %v", err)
	}
}

func TestStop(t *testing.T) {
	_, s := cloudBucket(t)
	if stopped, err := s.Stopped(t.Context(), jobID); stopped || err != nil {
		t.Errorf("before: %v, %v", stopped, err)
	}
	for range 2 {
		if err := s.Stop(t.Context(), jobID); err != nil {
			t.Fatal(err)
		}
	}
	if stopped, err := s.Stopped(t.Context(), jobID); !stopped || err != nil {
		t.Errorf("after: %v, %v", stopped, err)
	}
}

// answering is an S3 that gives everything one answer.
type answering int

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if a == 0 {
		return nil, errors.New("no network")
	}
	return &http.Response{StatusCode: int(a), Status: http.StatusText(int(a)), Header: http.Header{}, Body: io.NopCloser(&bytes.Buffer{}), Request: r}, nil
}

// A build's role may not list the bucket, so that S3 answers 403 for an object that isn't there. Anything else is not known.
func TestStoppedWithoutTheRightToList(t *testing.T) {
	for status, known := range map[answering]bool{403: true, 404: true, 400: false, 0: false} {
		s := source.NewS3(s3.New(s3.Options{Region: "us-east-1", HTTPClient: &http.Client{Transport: status}, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}), "sources")
		if stopped, err := s.Stopped(t.Context(), jobID); stopped || (err == nil) != known {
			t.Errorf("%d: %v, %v", status, stopped, err)
		}
	}
}

func TestFindArtifact(t *testing.T) {
	objects, s := cloudBucket(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "app.zip")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := s.PutArtifact(t.Context(), "shop", commit, "app.zip", file)
	if err != nil {
		t.Fatal(err)
	}
	find := func(app, name, sha string) (deploy.Artifact, error) {
		return s.FindArtifact(t.Context(), app, commit, name, sha)
	}
	if got, err := find("shop", "app.zip", want.SHA256); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, c := range []struct {
		app, name, sha string
		kind           deploy.Kind
	}{
		{"blog", "app.zip", want.SHA256, deploy.NotFound},
		{"shop", "other.zip", want.SHA256, deploy.NotFound},
		{"shop", "app.zip", digest([]byte("other")), deploy.NotFound},
		{"shop", "app.zip", "../" + want.SHA256, deploy.BuildFailed},
		{"shop", "app.zip", strings.ToUpper(want.SHA256), deploy.BuildFailed},
		{"../shop", "app.zip", want.SHA256, deploy.Invalid},
	} {
		if _, err := find(c.app, c.name, c.sha); deploy.KindOf(err) != c.kind {
			t.Errorf("%s %s %s: %v, want %s", c.app, c.name, c.sha, err, c.kind)
		}
	}
	// Whoever may write the key may not say what is under it.
	objects.put(t, want.Key, []byte("other"), nil)
	if _, err := find("shop", "app.zip", want.SHA256); deploy.KindOf(err) != deploy.BuildFailed {
		t.Errorf("another content: %v", err)
	}
}
