// Command ofrep is the function behind the flags' URL: it evaluates flags for applications.
package main

import (
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/ofrep"
)

func main() {
	shutdown := ofrep.AwaitShutdown(os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	e := boot.Load()
	flags := e.Flags()
	f := ofrep.Function{Server: ofrep.New(ofrep.Config{
		Source: flags, Ledger: flags, Now: time.Now, Log: e.Log, Metric: boot.Metric(os.Stdout, time.Now),
	})}
	err := shutdown.Then(func() {
		f.Shutdown()
		os.Exit(0)
	})
	if err != nil { // an emulator
		e.Log.Debug("the last counts before a shutdown may be lost", "error", err)
	}
	lambda.Start(f)
}
