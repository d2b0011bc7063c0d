// Command idle stands for every function of the machine that a no-op deployment is measured against: it does nothing, but
// answers what makes the machine take a deployment's way, and, where it is given a task token, answers that too.
// It logs a line as ours do: the emulator waits 50 ms for one of a function that says nothing.
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// answer is a state as Slipway's functions pass it on, of a deployment at its last check.
const answer = `{"deployment":"deploy-20260101-000000000-aaaaaaaa","app":"noop","environment":"production","action":"deploy","fence":1,"step":0,"back":false,` +
	`"verdict":"done","wait_seconds":0,"status":"success","error":{"Error":"","Cause":""}}`

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	steps := sfn.NewFromConfig(aws.Config{
		Region: os.Getenv("AWS_REGION"), BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
	})
	lambda.Start(func(ctx context.Context, call struct {
		Token string `json:"token"`
	}) (json.RawMessage, error) {
		log.Info("stage ended")
		if call.Token == "" {
			return json.RawMessage(answer), nil
		}
		_, err := steps.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &call.Token, Output: aws.String(answer)})
		return json.RawMessage(answer), err
	})
}
