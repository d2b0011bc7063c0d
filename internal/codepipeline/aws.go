package codepipeline

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/transport/http"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxArtifact is how many bytes a pipeline's artifact may hold.
const MaxArtifact = 256 << 20

// CodePipeline's own bounds (API reference: FailureDetails, ExecutionDetails), in bytes to be on the safe side of characters.
const (
	maxMessage = 5000
	maxSummary = 2048
)

// AWS is CodePipeline itself.
type AWS struct {
	client *codepipeline.Client
	config aws.Config
}

// New makes an AWS. Artifacts are read by clients of config with each job's own credentials. Its role needs
// codepipeline:PutJobSuccessResult and PutJobFailureResult, which know no resource but "*".
func New(client *codepipeline.Client, config aws.Config) *AWS {
	return &AWS{client: client, config: config}
}

// Download writes an artifact to w with the credentials that the job brings, which open nothing else. The error is Invalid where the
// job names none or they don't open it, TooLarge over MaxArtifact bytes.
func (p *AWS) Download(ctx context.Context, job *events.CodePipelineJob, a events.CodePipelineInputArtifact, w *os.File) error {
	at, c := a.Location.S3Location, job.Data.ArtifactCredentials
	if a.Location.LocationType != "S3" || at.BucketName == "" || at.ObjectKey == "" || c.AccessKeyID == "" {
		return deploy.FieldErrorf("inputArtifacts", "%q lies nowhere that can be read; want a place in S3 and the job's credentials", deploy.Cut(a.Name, 100))
	}
	config := p.config.Copy()
	config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Source: "the job"}, nil
	})
	got, err := s3.NewFromConfig(config).GetObject(ctx, &s3.GetObjectInput{Bucket: &at.BucketName, Key: &at.ObjectKey},
		func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true })
	var answer *http.ResponseError // of whose fault it is S3's errors themselves say nothing
	if errors.As(err, &answer) && answer.HTTPStatusCode()/100 == 4 {
		return deploy.FieldErrorf("inputArtifacts", "%q can't be read: %w", deploy.Cut(a.Name, 100), err)
	}
	if err != nil {
		return deploy.Errorf(deploy.Internal, "codepipeline", "read artifact %q: %w", deploy.Cut(a.Name, 100), err)
	}
	defer got.Body.Close()
	n, err := io.Copy(w, io.LimitReader(got.Body, MaxArtifact+1))
	if err != nil {
		return deploy.Errorf(deploy.Internal, "codepipeline", "read artifact %q: %w", deploy.Cut(a.Name, 100), err)
	}
	if n > MaxArtifact {
		return deploy.Errorf(deploy.TooLarge, "codepipeline", "artifact %q holds over %d bytes", deploy.Cut(a.Name, 100), int64(MaxArtifact))
	}
	return nil
}

// Goes tells the pipeline that the deployment is at work, and by which token to ask again.
func (p *AWS) Goes(ctx context.Context, job string, d *deploy.Deployment) error {
	_, err := p.client.PutJobSuccessResult(ctx, &codepipeline.PutJobSuccessResultInput{JobId: &job, ContinuationToken: &d.ID, ExecutionDetails: details(d, 50)})
	return answered(err)
}

// Succeeded ends the job well. Later actions find the deployment in its variables.
func (p *AWS) Succeeded(ctx context.Context, job string, d *deploy.Deployment) error {
	_, err := p.client.PutJobSuccessResult(ctx, &codepipeline.PutJobSuccessResultInput{JobId: &job, ExecutionDetails: details(d, 100),
		OutputVariables: map[string]string{"DeploymentId": d.ID, "CommitId": d.CommitSHA, "Environment": d.Environment, "Status": string(d.Status)}})
	return answered(err)
}

// Failed ends the job badly: as a mistake in the action's settings where there is no deployment, else as the deployment's failure.
func (p *AWS) Failed(ctx context.Context, job string, d *deploy.Deployment, cause error) error {
	f := &types.FailureDetails{Type: types.FailureTypeConfigurationError, Message: aws.String(deploy.Cut(cause.Error(), maxMessage))}
	if d != nil {
		f.Type, f.ExternalExecutionId = types.FailureTypeJobFailed, &d.ID
	}
	_, err := p.client.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{JobId: &job, FailureDetails: f})
	return answered(err)
}

func details(d *deploy.Deployment, percent int32) *types.ExecutionDetails {
	summary := string(d.Status)
	if n := len(d.Logs); n > 0 {
		summary += ": " + d.Logs[n-1]
	}
	return &types.ExecutionDetails{ExternalExecutionId: &d.ID, Summary: aws.String(deploy.Cut(summary, maxSummary)), PercentComplete: &percent}
}

// answered takes a job that has its end already for one whose answer was lost: there is nothing left to tell.
func answered(err error) error {
	var over *types.InvalidJobStateException
	if err == nil || errors.As(err, &over) {
		return nil
	}
	return deploy.Errorf(deploy.Internal, "codepipeline", "answer the job: %w", err)
}
