package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Problem is an error's answer, RFC 9457's application/problem+json.
type Problem struct {
	Type      string `json:"type"`  // urn:slipway:problem:…, one for each status
	Title     string `json:"title"` // the same for each of a type
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Field     string `json:"field,omitempty"`      // of the request, that is at fault
	RequestID string `json:"request_id,omitempty"` // of a 500: what to look for in the log
}

// statuses is the one table from a Kind to HTTP. Kinds of a deployment's own failures are on its record, not in an
// answer; should one come here all the same, it is our mistake.
var statuses = map[deploy.Kind]int{
	deploy.Invalid:           http.StatusBadRequest,
	deploy.NotFound:          http.StatusNotFound,
	deploy.Conflict:          http.StatusConflict,
	deploy.TooLarge:          http.StatusRequestEntityTooLarge,
	deploy.Cancelled:         http.StatusConflict,
	deploy.Superseded:        http.StatusConflict,
	deploy.Fenced:            http.StatusConflict,
	deploy.TestFailed:        http.StatusInternalServerError,
	deploy.BuildFailed:       http.StatusInternalServerError,
	deploy.DeployFailed:      http.StatusInternalServerError,
	deploy.HealthCheckFailed: http.StatusInternalServerError,
	deploy.RollbackFailed:    http.StatusInternalServerError,
	deploy.Internal:          http.StatusInternalServerError,
}

// problemTypes names each status that the API answers an error with.
var problemTypes = map[int][2]string{
	http.StatusBadRequest:            {"invalid", "The request can't be right"},
	http.StatusNotFound:              {"not-found", "There is no such thing"},
	http.StatusMethodNotAllowed:      {"method-not-allowed", "The route has other methods"},
	http.StatusConflict:              {"conflict", "The state of things forbids it"},
	http.StatusRequestEntityTooLarge: {"too-large", "The request is over a bound"},
	http.StatusUnsupportedMediaType:  {"unsupported-media-type", "The body is not JSON"},
	http.StatusInternalServerError:   {"internal", "Something went wrong on our side"},
}

// refusal is an error of the protocol, which has no Kind because nothing inside knows of it.
type refusal struct {
	status int
	detail string
}

func (r refusal) Error() string { return r.detail }

// StatusOf gives the HTTP status for a Kind.
func StatusOf(kind deploy.Kind) int {
	if status, ok := statuses[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// problemOf renders err. A 500 says only where to look.
func problemOf(err error, requestID string) Problem {
	status, field := StatusOf(deploy.KindOf(err)), deploy.FieldOf(err)
	var r refusal
	if errors.As(err, &r) {
		status = r.status
	}
	p := Problem{Type: "urn:slipway:problem:" + problemTypes[status][0], Title: problemTypes[status][1], Status: status}
	if status == http.StatusInternalServerError {
		p.Detail, p.RequestID = "the log has it under the request's id "+requestID, requestID
		return p
	}
	p.Field = field
	p.Detail = strings.TrimPrefix(err.Error(), field+": ")
	return p
}
