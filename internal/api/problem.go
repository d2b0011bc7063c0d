package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/problem"
)

// Problem is an error's answer, RFC 9457's application/problem+json.
type Problem struct {
	Type      string `json:"type"`  // urn:slipway:problem:…, one for each status
	Title     string `json:"title"` // the same for each of a type
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Field     string `json:"field,omitempty"`      // of the request, that is at fault
	RequestID string `json:"request_id,omitempty"` // of a 500: what to look for in the log

	Errors  []Fault `json:"errors,omitempty"`  // each place of a flag document that can't be right
	Version *int64  `json:"version,omitempty"` // of a 412 and 428: what is there
}

// Fault is one place of a document that can't be right.
type Fault struct {
	Pointer string `json:"pointer"` // a JSON pointer into the request's body; "" is the whole
	Detail  string `json:"detail"`  // what would be right
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
	deploy.Unfetched:         http.StatusInternalServerError,
	deploy.TestFailed:        http.StatusInternalServerError,
	deploy.BuildFailed:       http.StatusInternalServerError,
	deploy.DeployFailed:      http.StatusInternalServerError,
	deploy.HealthCheckFailed: http.StatusInternalServerError,
	deploy.RollbackFailed:    http.StatusInternalServerError,
	deploy.Moved:             http.StatusInternalServerError,
	deploy.Internal:          http.StatusInternalServerError,
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
	var unmatched *board.Unmatched
	var invalid *flag.Invalid
	switch {
	case errors.As(err, &unmatched):
		status = http.StatusPreconditionFailed
		if unmatched.Silent {
			status = http.StatusPreconditionRequired
		}
	case errors.As(err, &invalid):
		status = http.StatusBadRequest
	case errors.Is(err, launch.ErrReused):
		status, field = http.StatusUnprocessableEntity, "Idempotency-Key"
	}
	p := Problem{Status: status}
	p.Type, p.Title = problem.Type(status)
	if status == http.StatusInternalServerError {
		p.Detail, p.RequestID = "the log has it under the request's id "+requestID, requestID
		return p
	}
	if unmatched != nil {
		p.Version = &unmatched.Version
	}
	if invalid != nil {
		for _, each := range invalid.Problems {
			p.Errors = append(p.Errors, Fault{each.Path, each.Message})
		}
	}
	p.Field = field
	p.Detail = strings.TrimPrefix(err.Error(), field+": ")
	return p
}
