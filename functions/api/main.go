// Command api is the function behind the control API.
package main

import (
	"crypto/rand"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/logs"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/pipeline"
	"github.com/slipway-cd/slipway/internal/source"
)

func main() {
	e := boot.Load()
	s, steps, bucket := e.Store(), sfn.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET")
	sources := source.NewS3(s3.NewFromConfig(e.AWS), bucket)
	cancel := pipeline.Cancel{Desk: e.Desk(s), Heads: s, Tokens: machine.NewTokens(steps), Builds: sources}
	control := api.Control{
		Store: s, Cancel: cancel.Run, Sources: sources,
		Output:  logs.New(cloudwatchlogs.NewFromConfig(e.AWS), e.Get("SLIPWAY_LOG_GROUP")),
		Machine: machine.NewStarter(steps, e.Get("SLIPWAY_STATE_MACHINE_ARN")),
		Flags:   e.Flags(),
		Bucket:  bucket, Now: time.Now, Entropy: rand.Reader, Log: e.Log,
	}
	lambda.Start(api.Lambda(control.Handler()))
}
