package buildsession_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/slipway-cd/slipway/internal/buildsession"
)

// serve answers one request after the other with these statuses, each with the body.
func serve(t *testing.T, body string, statuses ...int) (url string, count *int) {
	t.Helper()
	count = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/prod/v1/build-session" || !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/execute-api/aws4_request") {
			t.Errorf("%s %s, signed %q", r.Method, r.URL, r.Header.Get("Authorization"))
		}
		status := statuses[min(*count, len(statuses)-1)]
		*count++
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/prod/", count
}

var key = aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "c")}

func TestAsk(t *testing.T) {
	url, count := serve(t, `{"credentials": {"access_key_id": "AKIA"}, "variables": {"A": "1"}}`, 502, 200)
	s, err := buildsession.Ask(t.Context(), key, url)
	if err != nil || s.Credentials.AccessKeyID != "AKIA" || s.Variables["A"] != "1" || *count != 2 {
		t.Errorf("%+v, %v after %d requests, want a session after 2", s, err, *count)
	}
}

// TestAskRefused: what will not change is asked once, and its reason is reported.
func TestAskRefused(t *testing.T) {
	for status, c := range map[int]struct{ body, says string }{
		403: {`{"title": "x", "detail": "the caller is none"}`, "403 Forbidden: the caller is none"},
		409: {`<html>`, "409 Conflict"},
		302: {``, "302 Found"},
		200: {`[`, "the answer is no session"},
	} {
		url, count := serve(t, c.body, status)
		if s, err := buildsession.Ask(t.Context(), key, url); s != nil || err == nil || !strings.Contains(err.Error(), c.says) || *count != 1 {
			t.Errorf("%d: %+v, %v after %d requests", status, s, err, *count)
		}
	}
}
