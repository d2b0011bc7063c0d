// Package problem names what the doors answer errors with over HTTP: one type for each status, as RFC 9457 has it.
package problem

import "net/http"

// types has each status that an error is answered with. 403 and 429 are API Gateway's, which the stack has word them so; 401 is the
// webhook's.
var types = map[int][2]string{
	http.StatusBadRequest:            {"invalid", "The request can't be right"},
	http.StatusUnauthorized:          {"unauthorized", "The signature is not right"},
	http.StatusForbidden:             {"forbidden", "The caller may not do that"},
	http.StatusNotFound:              {"not-found", "There is no such thing"},
	http.StatusMethodNotAllowed:      {"method-not-allowed", "The route has other methods"},
	http.StatusConflict:              {"conflict", "The state of things forbids it"},
	http.StatusPreconditionFailed:    {"precondition-failed", "Another version is there by now"},
	http.StatusPreconditionRequired:  {"precondition-required", "The request must say which version it changes"},
	http.StatusRequestEntityTooLarge: {"too-large", "The request is over a bound"},
	http.StatusUnprocessableEntity:   {"key-reused", "The Idempotency-Key is another request's"},
	http.StatusUnsupportedMediaType:  {"unsupported-media-type", "The body is not JSON"},
	http.StatusTooManyRequests:       {"too-many-requests", "More requests came than are let in"},
	http.StatusInternalServerError:   {"internal", "Something went wrong on our side"},
}

// Type gives a status's type and title; a status that is none of those is a 500's.
func Type(status int) (urn, title string) {
	t, ok := types[status]
	if !ok {
		t = types[http.StatusInternalServerError]
	}
	return "urn:slipway:problem:" + t[0], t[1]
}

// Types gives the type of each status that an error is answered with.
func Types() map[int]string {
	all := map[int]string{}
	for status := range types {
		all[status], _ = Type(status)
	}
	return all
}
