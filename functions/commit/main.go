// Command commit is the function behind the events that tell of commits.
package main

import (
	"crypto/rand"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/source"
	"github.com/slipway-cd/slipway/internal/trigger"
)

func main() {
	e := boot.Load()
	s := e.Store()
	commit := trigger.Commit{Log: e.Log, Trigger: &trigger.Trigger{Store: s, Now: time.Now, Launcher: &launch.Launcher{
		Store: s, Sources: source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET")), Now: time.Now, Entropy: rand.Reader,
		Machine: machine.NewStarter(sfn.NewFromConfig(e.AWS), e.Get("SLIPWAY_STATE_MACHINE_ARN")),
	}}}
	lambda.Start(commit.Handle)
}
