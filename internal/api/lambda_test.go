package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/api"
)

// resourceOf finds the resource of the REST API that a path as it was sent belongs to; %2F stays in its segment.
func resourceOf(method, path string) string {
	mux := http.NewServeMux()
	for _, route := range new(api.Control).Routes() {
		mux.HandleFunc(route, func(http.ResponseWriter, *http.Request) {})
	}
	_, pattern := mux.Handler(httptest.NewRequest(method, strings.ReplaceAll(path, "50%", "50%25"), nil))
	_, resource, _ := strings.Cut(pattern, " ")
	return resource
}

// gatewayEvent is a REST API's proxy event: the path without its stage, every parameter twice.
func gatewayEvent(method, path, body string, encoded bool, query map[string][]string) []byte {
	e := events.APIGatewayProxyRequest{Resource: resourceOf(method, path), Path: path, HTTPMethod: method, Body: body, IsBase64Encoded: encoded,
		Headers: map[string]string{"Content-Type": "application/json"}, MultiValueHeaders: map[string][]string{"Content-Type": {"application/json"}},
		QueryStringParameters: map[string]string{}, MultiValueQueryStringParameters: query}
	for name, values := range query {
		e.QueryStringParameters[name] = values[len(values)-1]
	}
	e.RequestContext.AccountID, e.RequestContext.RequestID = "123456789012", "request-7"
	e.RequestContext.Stage, e.RequestContext.Path = "live", "/live"+path
	e.RequestContext.Identity.UserArn = "arn:aws:iam::123456789012:user/eve"
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return text
}

func TestLambda(t *testing.T) {
	var log bytes.Buffer
	h := api.Lambda(served(t, world(t).Control(slog.New(slog.NewTextHandler(&log, nil)))))
	create := `{"app":"shop","environment":"preview","commit_sha":"` + commit(1) + `"}`
	for _, each := range []struct {
		event []byte
		want  int
		part  string
	}{
		{gatewayEvent("POST", "/v1/deployments", create, false, nil), 202, `"status":"pending"`},
		{gatewayEvent("POST", "/v1/deployments", base64.StdEncoding.EncodeToString([]byte(create)), true, nil), 202, `"status":"pending"`},
		{gatewayEvent("POST", "/v1/deployments", "%%%", true, nil), 400, "the body can't be read"},
		{gatewayEvent("GET", "/v1/deployments", "", false, map[string][]string{"limit": {"1"}}), 200, `"next_cursor"`},
		{gatewayEvent("GET", "/v1/deployments", "", false, map[string][]string{"limit": {"1", "2"}}), 400, "is there twice"},
		{gatewayEvent("GET", "/v1/nothing", "", false, nil), 404, "there is no route /v1/nothing"},
		{gatewayEvent("GET", "/v1/apps/50%", "", false, nil), 404, `there is no app \"50%\"`},
		{gatewayEvent("GET", "/v1/apps/a%20b", "", false, nil), 404, `there is no app \"a b\"`},
		{gatewayEvent("GET", "/v1/apps/a%2Fb", "", false, nil), 404, "there is no"},
		{gatewayEvent("GET", "/v1/deployments/"+live+"%2Flogs", "", false, nil), 404, "there is no route"},
		{gatewayEvent("GET", "/v1/apps/shop%2Fenvironments%2Fproduction", "", false, nil), 404, "there is no route"},
		{gatewayEvent("GET", "/v1/apps/shop/deployments/"+live+"%2Flogs", "", false, nil), 404, "there is no route"},
		{gatewayEvent("GET", "/v1/apps/shop/environments/%70roduction", "", false, nil), 404, "there is no route"},
		{gatewayEvent("GET", "/v1/apps/%73hop/environments/production/flags/%2E%2E", "", false, nil), 404, "there is no route"},
		{gatewayEvent("GET", "/v1/deployments/"+live, "", false, nil), 200, live},
	} {
		out, err := h.Invoke(t.Context(), each.event)
		var answer events.APIGatewayProxyResponse
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatal(err, string(out))
		}
		if answer.StatusCode != each.want || !strings.Contains(answer.Body, each.part) {
			t.Errorf("%s: %d %s", each.event, answer.StatusCode, answer.Body)
		}
		if id := answer.MultiValueHeaders["X-Request-Id"]; len(id) != 1 || id[0] != "request-7" {
			t.Errorf("request id %v", id)
		}
	}
	if n := strings.Count(log.String(), "caller=arn:aws:iam::123456789012:user/eve"); n != 15 {
		t.Errorf("the caller is in %d of 15 lines:\n%s", n, &log)
	}
	if line, _, _ := strings.Cut(log.String(), "\n"); !strings.Contains(line, `route="POST /v1/deployments" status=202`) {
		t.Errorf("log line %s", line)
	}
}
