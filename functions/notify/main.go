// Command notify is the function that tells of deployments: on the bus, and in each app's channels.
package main

import (
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/hook"
	"github.com/slipway-cd/slipway/internal/notify"
	"github.com/slipway-cd/slipway/internal/secret"
)

func main() {
	e := boot.Load()
	n := notify.Notifier{
		Bus:   hook.NewEvents(eventbridge.NewFromConfig(e.AWS), e.Get("SLIPWAY_EVENT_BUS")),
		Store: e.Store(), Secrets: secret.New(ssm.NewFromConfig(e.AWS), secretsmanager.NewFromConfig(e.AWS)),
		Topics: notify.NewPublisher(sns.NewFromConfig(e.AWS)), HTTP: notify.Client(),
		GitHub: e.Get("SLIPWAY_GITHUB_URL"), Local: e.Local(), Log: e.Log, Metric: boot.Metric(os.Stdout, time.Now),
	}
	lambda.Start(n.Handle)
}
