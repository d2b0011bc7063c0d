package machine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/machine"
)

const first = "deploy-20261122-090000000-aaaaaaaa"

func TestStart(t *testing.T) {
	const arn = "arn:aws:states:us-east-1:123456789012:stateMachine:slipway"
	for name, each := range map[string]struct {
		status    int
		body      string
		execution string
		kind      deploy.Kind
	}{
		"started": {200, `{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:slipway:` + first + `","startDate":1}`,
			"arn:aws:states:us-east-1:123456789012:execution:slipway:" + first, ""},
		"exists": {400, `{"__type":"ExecutionAlreadyExists","message":"it runs"}`,
			"arn:aws:states:us-east-1:123456789012:execution:slipway:" + first, ""},
		"gone": {400, `{"__type":"StateMachineDoesNotExist","message":"gone"}`, "", deploy.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			stepFunctions := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				want := fmt.Sprintf(`{"input":"{\"deployment\":\"%s\"}","name":"%s","stateMachineArn":"%s"}`, first, first, arn)
				if string(body) != want {
					t.Errorf("asked %s, want %s", body, want)
				}
				w.Header().Set("Content-Type", "application/x-amz-json-1.0")
				w.WriteHeader(each.status)
				fmt.Fprint(w, each.body)
			}))
			defer stepFunctions.Close()
			client := sfn.New(sfn.Options{Region: "us-east-1", BaseEndpoint: aws.String(stepFunctions.URL),
				Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")})
			got, err := machine.NewStarter(client, arn).Start(t.Context(), first)
			if got != each.execution || deploy.KindOf(err) != each.kind {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
