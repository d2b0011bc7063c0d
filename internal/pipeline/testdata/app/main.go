// Command app is a Lambda function that answers with what the file version beside it says; "bad…" is a 500.
package main

import (
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

type answer struct {
	StatusCode int    `json:"statusCode"`
	Body       string `json:"body"`
}

func main() {
	text, err := os.ReadFile(os.Getenv("LAMBDA_TASK_ROOT") + "/version")
	if err != nil {
		panic(err)
	}
	version := strings.TrimSpace(string(text))
	lambda.Start(func() (answer, error) {
		if strings.HasPrefix(version, "bad") {
			return answer{500, version}, nil
		}
		return answer{200, version}, nil
	})
}
