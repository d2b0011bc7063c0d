// Command webhook is the function behind GitHub's webhook.
package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/machine"
	"github.com/slipway-cd/slipway/internal/secret"
	"github.com/slipway-cd/slipway/internal/source"
	"github.com/slipway-cd/slipway/internal/trigger"
)

func main() {
	e := boot.Load()
	s, values := e.Store(), secret.New(ssm.NewFromConfig(e.AWS), secretsmanager.NewFromConfig(e.AWS))
	look := func(ctx context.Context) (string, error) { return values.Own(ctx, e.Get("SLIPWAY_WEBHOOK_SECRET")) }
	webhook := trigger.Webhook{
		Memory: s, Secrets: &trigger.Secrets{Look: look, Now: time.Now}, Now: time.Now, Log: e.Log,
		Trigger: &trigger.Trigger{Store: s, Now: time.Now, Launcher: &launch.Launcher{
			Store: s, Sources: source.NewS3(s3.NewFromConfig(e.AWS), e.Get("SLIPWAY_BUCKET")), Now: time.Now, Entropy: rand.Reader,
			Machine: machine.NewStarter(sfn.NewFromConfig(e.AWS), e.Get("SLIPWAY_STATE_MACHINE_ARN")),
		}},
	}
	lambda.Start(webhook.Lambda)
}
