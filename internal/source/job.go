package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// maxJob is how many bytes a job or a result may hold; a deployment's record has far less.
const maxJob = 1 << 20

// A deployment that goes to CodeBuild leaves three objects under jobs/ and its id, each written by one side alone.
const (
	job       = "deployment.json" // Prepare: the record as the build shall find it
	result    = "result.json"     // the build: the record as it left it
	cancelled = "cancelled"       // whoever cancels
)

func jobKey(id, part string) string { return "jobs/" + id + "/" + part }

// PutJob leaves a deployment's record for its build.
func (s *S3) PutJob(ctx context.Context, d *deploy.Deployment) error { return s.putJob(ctx, job, d) }

// Job reads what PutJob left. The error is NotFound, or Invalid if it is no record of that deployment.
func (s *S3) Job(ctx context.Context, id string) (*deploy.Deployment, error) {
	return s.getJob(ctx, id, job)
}

// PutResult leaves a build's result: the record with what the build did. Only the build's own session may write there.
func (s *S3) PutResult(ctx context.Context, d *deploy.Deployment) error {
	return s.putJob(ctx, result, d)
}

// Result reads what PutResult left last; the commit that was built may have forged it. The error is NotFound, or Invalid if it is no
// record of that deployment.
func (s *S3) Result(ctx context.Context, id string) (*deploy.Deployment, error) {
	return s.getJob(ctx, id, result)
}

// Stop marks a deployment cancelled for its build to see.
func (s *S3) Stop(ctx context.Context, id string) error {
	return s.put(ctx, jobKey(id, cancelled), []byte("{}"))
}

// Stopped tells whether Stop was called. A build's role may not list the bucket, so S3 answers 403 where there is nothing.
func (s *S3) Stopped(ctx context.Context, id string) (bool, error) {
	_, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: aws.String(jobKey(id, cancelled))})
	if missing(err) || forbidden(err) {
		return false, nil
	}
	if err != nil {
		return false, deploy.Errorf(deploy.Internal, "job "+id, "look for a cancel: %w", err)
	}
	return true, nil
}

func forbidden(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "Forbidden" || api.ErrorCode() == "AccessDenied")
}

func (s *S3) putJob(ctx context.Context, part string, d *deploy.Deployment) error {
	text, err := json.Marshal(d)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "job "+d.ID, "%w", err)
	}
	if len(text) > maxJob {
		return deploy.Errorf(deploy.TooLarge, "job "+d.ID, "%s holds %d bytes; want at most %d", part, len(text), maxJob)
	}
	return s.put(ctx, jobKey(d.ID, part), text)
}

func (s *S3) put(ctx context.Context, key string, text []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(text), ContentType: aws.String("application/json")})
	if err != nil {
		return deploy.Errorf(deploy.Internal, "job", "store %s: %w", key, err)
	}
	return nil
}

func (s *S3) getJob(ctx context.Context, id, part string) (*deploy.Deployment, error) {
	key := jobKey(id, part)
	got, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key}, quietChecksum)
	if missing(err) {
		return nil, deploy.Errorf(deploy.NotFound, "job "+id, "there is no %s: %w", key, err)
	}
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "job "+id, "fetch %s: %w", key, err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, maxJob+1))
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "job "+id, "read %s: %w", key, err)
	}
	return parseJob(text, id, key)
}

// parseJob is careful: a result comes from where a commit's own code ran.
func parseJob(text []byte, id, key string) (*deploy.Deployment, error) {
	var d deploy.Deployment
	if len(text) > maxJob {
		return nil, deploy.Errorf(deploy.Invalid, "job "+id, "%s holds over %d bytes", key, maxJob)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, deploy.Errorf(deploy.Invalid, "job "+id, "%s is no deployment's record: %w", key, err)
	}
	if d.ID != id {
		return nil, deploy.Errorf(deploy.Invalid, "job "+id, "%s is the record of %q", key, deploy.Cut(d.ID, 80))
	}
	return &d, nil
}
