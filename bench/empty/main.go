// Command empty is a Lambda function that does nothing but say so in a line: what every function of Slipway is measured
// against. The local cloud waits 50 ms for a line of a function that says nothing.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) error {
		println("nothing to do")
		return nil
	})
}
