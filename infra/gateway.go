package infra

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigateway"
	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/internal/problem"
)

// refusal is one status of API Gateway's own, with all that it stands for.
type refusal struct {
	status int
	types  []awsapigateway.ResponseType
}

// refusals are API Gateway's own answers to what never comes to the function. Their order is in the template's names.
func refusals() []refusal {
	return []refusal{
		{http.StatusForbidden, []awsapigateway.ResponseType{awsapigateway.ResponseType_ACCESS_DENIED(), awsapigateway.ResponseType_EXPIRED_TOKEN(),
			awsapigateway.ResponseType_INVALID_SIGNATURE(), awsapigateway.ResponseType_MISSING_AUTHENTICATION_TOKEN()}},
		{http.StatusRequestEntityTooLarge, []awsapigateway.ResponseType{awsapigateway.ResponseType_REQUEST_TOO_LARGE()}},
		{http.StatusTooManyRequests, []awsapigateway.ResponseType{awsapigateway.ResponseType_THROTTLED()}},
	}
}

// wordRefusals has API Gateway answer as the function does, with a problem. What goes wrong behind it (502, 504) keeps its
// own words, since one template stands for several statuses there.
func wordRefusals(rest awsapigateway.RestApi) {
	for _, r := range refusals() {
		urn, title := problem.Type(r.status)
		headers := map[string]*string{"Content-Type": jsii.String("'application/problem+json'"), "X-Request-Id": jsii.String("context.requestId")}
		if r.status == http.StatusTooManyRequests {
			headers["Retry-After"] = jsii.String("'1'")
		}
		for _, each := range r.types {
			rest.AddGatewayResponse(each.ResponseType(), &awsapigateway.GatewayResponseOptions{
				Type: each, StatusCode: jsii.String(strconv.Itoa(r.status)), ResponseHeaders: &headers,
				Templates: &map[string]*string{"application/json": jsii.String(fmt.Sprintf(
					`{"type":%q,"title":%q,"status":%d,"detail":$context.error.messageString,"request_id":"$context.requestId"}`, urn, title, r.status))},
			})
		}
	}
}
