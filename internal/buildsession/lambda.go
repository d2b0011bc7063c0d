package buildsession

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/problem"
)

// Lambda answers API Gateway. The request has no body: all that counts is who signed it. An internal error is the function's own, so
// that its alarm rings; API Gateway answers 502 then.
func (s *Server) Lambda(ctx context.Context, r events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	caller := r.RequestContext.Identity.UserArn
	session, err := s.Open(ctx, caller)
	if err == nil {
		return answer(http.StatusOK, "application/json", session)
	}

	status := statusOf(err)
	if status == http.StatusInternalServerError {
		s.Log.Error("no session for a build", "caller", caller, "error", err)
		return events.APIGatewayProxyResponse{}, errFailed
	}
	s.Log.Warn("no session for a build", "caller", caller, "status", status, "error", err)
	urn, title := problem.Type(status)
	body := map[string]any{"type": urn, "title": title, "status": status, "request_id": r.RequestContext.RequestID, "detail": err.Error()}
	return answer(status, "application/problem+json", body)
}

var errFailed = errors.New("no session for a build; the log line before has the cause")

func statusOf(err error) int {
	if errors.Is(err, ErrNotABuild) {
		return http.StatusForbidden
	}
	switch deploy.KindOf(err) {
	case deploy.NotFound:
		return http.StatusNotFound
	case deploy.Conflict:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func answer(status int, contentType string, body any) (events.APIGatewayProxyResponse, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	header := map[string]string{"Content-Type": contentType, "Cache-Control": "no-store"}
	return events.APIGatewayProxyResponse{StatusCode: status, Headers: header, Body: string(text) + "\n"}, nil
}

// Path is the route of build sessions below the API's base URL.
const Path = "/v1/build-session"
