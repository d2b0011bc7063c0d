// Command runner is what a CodeBuild build runs: `runner session`, then `runner test`, then `runner build`. The first gets the build's
// credentials for its own deployment (docs/adr/0017-a-session-for-each-build.md). Each of the others is the stage of that name as its
// Lambda function runs it, but for where the record lies (docs/adr/0010-one-build.md).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/buildsession"
	"github.com/slipway-cd/slipway/internal/logs"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/retry"
	"github.com/slipway-cd/slipway/internal/source"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) != 2 || !slices.Contains([]string{"session", "test", "build"}, os.Args[1]) {
		fmt.Fprintln(os.Stderr, "usage: runner session|test|build")
		os.Exit(2)
	}
	work := func() error { return run(ctx, os.Args[1], os.Getenv("SLIPWAY_DEPLOYMENT")) }
	if os.Args[1] == "session" {
		work = func() error { return getSession(ctx) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
}

// sessionFile holds the session between the phases of a build, in the folder of the build.
const sessionFile = "session.json"

// getSession gets the build's session. It is a phase of its own, so that its failure is not the tests'.
func getSession(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	session, err := buildsession.Ask(ctx, cfg, os.Getenv("SLIPWAY_API"))
	if err != nil {
		return fmt.Errorf("get a session for this build: %w", err)
	}
	text, err := json.Marshal(session)
	if err != nil {
		return err
	}
	return os.WriteFile(sessionFile, text, 0o600)
}

// readSession reads what getSession got.
func readSession() (*buildsession.Session, error) {
	text, err := os.ReadFile(sessionFile)
	if err != nil {
		return nil, err
	}
	var session buildsession.Session
	return &session, json.Unmarshal(text, &session)
}

// run runs one stage of a deployment. What comes of it is in the job's result, whatever the error says.
func run(ctx context.Context, name, id string) error {
	job, shop, err := open(ctx)
	if err != nil {
		return err
	}
	if err := job.Open(ctx, id, name); err != nil {
		return err
	}
	state, err := json.Marshal(pipeline.State{Deployment: id})
	if err != nil {
		return err
	}
	var stage pipeline.Stage = &pipeline.Test{Workshop: shop}
	if name == "build" {
		stage = &pipeline.Build{Workshop: shop, Releases: job}
	}
	_, err = stage.Run(ctx, pipeline.Call{State: state, Execution: os.Getenv("SLIPWAY_EXECUTION")})
	return err
}

// open wires a stage to what a build may use, with the session that the build gets for its own deployment.
func open(ctx context.Context) (*pipeline.Job, pipeline.Workshop, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, pipeline.Workshop{}, err
	}
	session, err := readSession()
	if err != nil {
		return nil, pipeline.Workshop{}, err
	}
	c := session.Credentials
	cfg.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	retry.Use(&cfg)

	sources := source.NewS3(s3.NewFromConfig(cfg), os.Getenv("SLIPWAY_BUCKET"))
	output := logs.New(cloudwatchlogs.NewFromConfig(cfg), os.Getenv("SLIPWAY_LOG_GROUP"))
	job := &pipeline.Job{Folder: sources}
	return job, pipeline.Workshop{
		Desk:    pipeline.Desk{Records: job, Now: time.Now, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil))},
		Sources: sources, Artifacts: sources, Secrets: session,
		Unpack: func(r io.Reader, dir string) error { return source.Unpack(r, dir, source.Limits{}) },
		Path:   os.Getenv("PATH"), Cache: os.Getenv("SLIPWAY_CACHE"),
		Output: func(ctx context.Context, stream string) io.WriteCloser { return output.Writer(ctx, stream, time.Now) },
	}, nil
}
