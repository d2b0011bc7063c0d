// Package shop wires what functions that run scripts have in common. It is apart from boot so that those that run none
// don't carry it.
package shop

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/hook"
	"github.com/slipway-cd/slipway/internal/logs"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/secret"
	"github.com/slipway-cd/slipway/internal/source"
	"github.com/slipway-cd/slipway/internal/store"
	"github.com/slipway-cd/slipway/internal/traffic"
)

// Workshop wires the place where scripts run.
func Workshop(e *boot.Env, s *store.Store) pipeline.Workshop {
	sources := source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET"))
	log := logs.New(cloudwatchlogs.NewFromConfig(e.AWS), e.Get("SLIPWAY_LOG_GROUP"))
	temp := ""
	if !e.Local() { // there all programs of the machine share the folder
		temp = os.TempDir()
	}
	return pipeline.Workshop{
		Desk: e.Desk(s), Sources: sources, Artifacts: sources, Secrets: secret.New(ssm.NewFromConfig(e.AWS), secretsmanager.NewFromConfig(e.AWS)),
		Unpack: func(r io.Reader, dir string) error { return source.Unpack(r, dir, source.Limits{}) },
		Path:   os.Getenv("PATH"), Alone: true, Quit: func() { os.Exit(1) }, Temp: temp,
		Output: func(ctx context.Context, stream string) io.WriteCloser { return log.Writer(ctx, stream, time.Now) },
	}
}

// Hooks wires who is told.
func Hooks(e *boot.Env) pipeline.Hooks {
	return pipeline.Hooks{
		Functions: hook.NewFunctions(lambda.NewFromConfig(e.AWS, func(o *lambda.Options) { o.HTTPClient = boot.Patient() })),
		Events:    hook.NewEvents(eventbridge.NewFromConfig(e.AWS), e.Get("SLIPWAY_EVENT_BUS")),
	}
}

// Targets wires what deployments change.
func Targets(e *boot.Env) pipeline.Targets {
	return traffic.NewLambda(lambda.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET"))
}
