// Command runner is what a CodeBuild build runs: `runner test`, then `runner build`. Each is the stage of that name as its Lambda
// function runs it, but for where the record lies (docs/adr/0010-one-build.md).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/logs"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/retry"
	"github.com/slipway-cd/slipway/internal/secret"
	"github.com/slipway-cd/slipway/internal/source"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) != 2 || os.Args[1] != "test" && os.Args[1] != "build" {
		fmt.Fprintln(os.Stderr, "usage: runner test|build")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1], os.Getenv("SLIPWAY_DEPLOYMENT")); err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
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
	_, err = stage.Run(ctx, pipeline.Call{State: state})
	return err
}

// open wires a stage to what a build may use: no table, no machine.
func open(ctx context.Context) (*pipeline.Job, pipeline.Workshop, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, pipeline.Workshop{}, err
	}
	retry.Use(&cfg)
	sources := source.NewS3(s3.NewFromConfig(cfg), os.Getenv("SLIPWAY_BUCKET"))
	output := logs.New(cloudwatchlogs.NewFromConfig(cfg), os.Getenv("SLIPWAY_LOG_GROUP"))
	job := &pipeline.Job{Folder: sources, Seal: os.Getenv("SLIPWAY_SEAL")}
	return job, pipeline.Workshop{
		Desk:    pipeline.Desk{Records: job, Now: time.Now, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil))},
		Sources: sources, Artifacts: sources, Secrets: secret.New(ssm.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg)),
		Unpack: func(r io.Reader, dir string) error { return source.Unpack(r, dir, source.Limits{}) },
		Path:   os.Getenv("PATH"), Cache: os.Getenv("SLIPWAY_CACHE"),
		Output: func(ctx context.Context, stream string) io.WriteCloser { return output.Writer(ctx, stream, time.Now) },
	}, nil
}
