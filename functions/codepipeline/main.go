// Command codepipeline is the function that a pipeline's Lambda action invokes.
package main

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	client "github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/codepipeline"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/source"
)

func main() {
	e := boot.Load()
	s, sources := e.Store(), source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET"))
	w := &codepipeline.Worker{
		Launcher: &launch.Launcher{Store: s, Sources: sources, Now: time.Now, Entropy: rand.Reader,
			Machine: machine.NewStarter(sfn.NewFromConfig(e.AWS), e.Get("SLIPWAY_STATE_MACHINE_ARN"))},
		Records: s, Bundles: sources.Fetched(),
		Pipelines: codepipeline.New(client.NewFromConfig(e.AWS, func(o *client.Options) { o.BaseEndpoint = e.Endpoint("CODEPIPELINE") }), e.AWS),
		Convert:   func(r io.ReaderAt, size int64, w io.Writer) error { return source.FromZip(r, size, source.Limits{}, w) },
	}
	lambda.Start(w.Handle)
}
