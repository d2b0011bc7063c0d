package codepipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
)

// Launcher turns a request into a deployment, once.
type Launcher interface {
	App(ctx context.Context, name string) (*deploy.App, error)
	Repeated(ctx context.Context, o launch.Once) (*deploy.Deployment, error)
	Deploy(ctx context.Context, r launch.Request) (*deploy.Deployment, error)
}

// Records finds deployments.
type Records interface {
	Deployment(ctx context.Context, id string) (*deploy.Deployment, error)
}

// Bundles keeps commits' sources. One that is there stays.
type Bundles interface {
	PutBundle(ctx context.Context, app, commit string, f *os.File) (*deploy.Bundle, error)
}

// Pipelines is CodePipeline, and the store of its artifacts.
type Pipelines interface {
	Download(ctx context.Context, job *events.CodePipelineJob, a events.CodePipelineInputArtifact, w *os.File) error
	Goes(ctx context.Context, job string, d *deploy.Deployment) error
	Succeeded(ctx context.Context, job string, d *deploy.Deployment) error
	Failed(ctx context.Context, job string, d *deploy.Deployment, cause error) error
}

// Worker answers jobs. All fields are wanted.
type Worker struct {
	Launcher  Launcher
	Records   Records
	Bundles   Bundles
	Pipelines Pipelines
	Convert   func(r io.ReaderAt, size int64, w io.Writer) error // a zip to a bundle
}

// Handle takes a job on: launches its deployment when it comes first, and later, by the token that it was given then, tells how far
// that is. What the pipeline's owner can mend fails the job; the error is what Lambda shall try again.
func (w *Worker) Handle(ctx context.Context, event json.RawMessage) error {
	job, err := parse(event)
	if err != nil {
		return err
	}
	d, err := w.deployment(ctx, job)
	switch {
	case err != nil && deploy.KindOf(err) == deploy.Internal:
		return err
	case err != nil:
		return w.Pipelines.Failed(ctx, job.ID, nil, err)
	case !d.Status.Ended():
		return w.Pipelines.Goes(ctx, job.ID, d)
	case d.Status == deploy.Success:
		return w.Pipelines.Succeeded(ctx, job.ID, d)
	}
	return w.Pipelines.Failed(ctx, job.ID, d, errors.New(told(d)))
}

// told says how a deployment ended that didn't succeed.
func told(d *deploy.Deployment) string {
	text := fmt.Sprintf("deployment %s of %s to %s ended %s", d.ID, deploy.ShortCommit(d.CommitSHA), d.Environment, d.Status)
	if d.SupersededBy != "" {
		text += ", superseded by " + d.SupersededBy
	}
	if d.Error != "" {
		text += ": " + d.Error
	}
	if d.Repair != "" {
		text += "; repair: " + d.Repair
	}
	return text
}

func (w *Worker) deployment(ctx context.Context, job *events.CodePipelineJob) (*deploy.Deployment, error) {
	if id := job.Data.ContinuationToken; id != "" {
		if !deploy.ValidID(id) {
			return nil, deploy.FieldErrorf("continuationToken", "%q is no deployment's id", deploy.Cut(id, 80))
		}
		return w.Records.Deployment(ctx, id)
	}
	p, err := parameters(job.Data.ActionConfiguration.Configuration.UserParameters)
	if err != nil {
		return nil, err
	}
	o := once(job.ID, p)
	if d, err := w.Launcher.Repeated(ctx, o); d != nil || err != nil {
		return d, err
	}
	commit, bundle, err := w.commit(ctx, job, p)
	if err != nil {
		return nil, err
	}
	return w.Launcher.Deploy(ctx, launch.Request{App: p.App, Environment: p.Environment, CommitSHA: commit, Branch: p.Branch, Force: p.Force, Source: bundle,
		Metadata: map[string]any{"started_by": "codepipeline", "job": job.ID}, Once: o})
}

// commit finds out which commit the job is about, and stores the artifact as its bundle where the app's commits are uploaded. Its id
// is the one among the parameters, else the artifact's revision; else, since a pipeline need not begin with git, the first 40 digits
// of the bundle's SHA-256, which is the same for the same content. The bundle is nil where the app's commits are fetched.
func (w *Worker) commit(ctx context.Context, job *events.CodePipelineJob, p Parameters) (id string, bundle *deploy.Bundle, err error) {
	app, err := w.Launcher.App(ctx, p.App)
	if err != nil {
		return "", nil, err
	}
	artifacts := job.Data.InputArtifacts
	id = p.CommitSHA
	if id == "" && len(artifacts) == 1 {
		id = revision(artifacts[0])
	}
	if !app.Source.Uploaded() {
		if id == "" {
			return "", nil, deploy.FieldErrorf("commit_sha", `is missing, and app %q fetches its commits by it; want "#{SourceVariables.CommitId}" or the like`, p.App)
		}
		return id, nil, nil
	}
	if len(artifacts) != 1 {
		return "", nil, deploy.FieldErrorf("inputArtifacts", "%d of them; want one, the source", len(artifacts))
	}
	return w.store(ctx, job, p.App, id)
}

// store makes the artifact the commit's bundle.
func (w *Worker) store(ctx context.Context, job *events.CodePipelineJob, app, id string) (_ string, _ *deploy.Bundle, err error) {
	archive, err := temporary()
	if err != nil {
		return "", nil, err
	}
	defer archive.drop(&err)
	packed, err := temporary()
	if err != nil {
		return "", nil, err
	}
	defer packed.drop(&err)
	if err := w.Pipelines.Download(ctx, job, job.Data.InputArtifacts[0], archive.File); err != nil {
		return "", nil, err
	}
	size, err := archive.Seek(0, io.SeekEnd)
	if err != nil {
		return "", nil, deploy.Errorf(deploy.Internal, "codepipeline", "%w", err)
	}
	sum := sha256.New()
	if err := w.Convert(archive, size, io.MultiWriter(packed, sum)); err != nil {
		return "", nil, err
	}
	if id == "" {
		id = hex.EncodeToString(sum.Sum(nil))[:40]
	}
	bundle, err := w.Bundles.PutBundle(ctx, app, id, packed.File)
	return id, bundle, err
}

// file is a temporary one.
type file struct{ *os.File }

func temporary() (file, error) {
	f, err := os.CreateTemp("", "artifact-*")
	if err != nil {
		return file{}, deploy.Errorf(deploy.Internal, "codepipeline", "%w", err)
	}
	return file{f}, nil
}

func (f file) drop(err *error) { *err = errors.Join(*err, f.Close(), os.Remove(f.Name())) }
