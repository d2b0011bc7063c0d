package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/api"
)

// answered holds an answer to what every answer must be: no 500, JSON, and a problem where it is an error.
func answered(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= http.StatusInternalServerError {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if !json.Valid(w.Body.Bytes()) {
		t.Fatalf("not JSON: %s", w.Body)
	}
	if w.Code < http.StatusBadRequest {
		return
	}
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if p.Status != w.Code || p.Title == "" || p.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %+v", w.Code, p)
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `"`, `{"app":"shop","environment":"preview","commit_sha":"` + commit(1) + `","metadata":{"a":[1e9,{"b":null}]}}`,
		`{"to":"` + first + `"}`, `{"name":"shop","version":1,"environments":{"production":{"target":{"type":"script"},"url":"https://a.test","branches":["["]}}}`,
		`{"app":"shop","app":1}`, "{\"\xff\":\"\\ud800\"}", `{"environments":{"a":null}}`, `{"metadata":{"n":-1e-400}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		h := served(t, world(t).Control(quiet())) // anew each time: what one body did must not be seen by the next
		for _, line := range []string{"POST /v1/deployments", "PUT /v1/apps/fuzz", "POST /v1/deployments/" + live + "/rollback",
			"POST /v1/deployments/" + live + "/cancel", "POST /v1/apps/shop/environments/production/rollback"} {
			answered(t, ask(h, line, body))
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=1", "limit=99999999999999999999", "cursor=MS5kZXBsb3k", "cursor=MS4", "status=success&app=shop",
		"app=shop&environment=production", "cursor=%00", ";", "a=b&&", "cursor=" + strings.Repeat("A", api.MaxCursor+1), "cursor=-1", "cursor=3"} {
		f.Add(seed)
	}
	control := world(f).Control(quiet())
	f.Fuzz(func(t *testing.T, query string) {
		h := served(t, control)
		for _, path := range []string{"/v1/deployments", "/v1/apps", "/v1/deployments/" + live + "/logs"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			answered(t, w)
		}
	})
}

// listed is If-None-Match's grammar (RFC 9110, section 13.1.2) as a pattern, for the fuzzing of what reads it.
var listed = regexp.MustCompile(`^[ \t,]*(?:(?:W/)?"[^"]*"[ \t]*(?:,[ \t,]*|$))*$`)

// FuzzIfNoneMatch: an answer is left out exactly where the header is a list with its tag, or *.
func FuzzIfNoneMatch(f *testing.F) {
	h := world(f).Control(quiet()).Handler()
	line := "GET /v1/deployments/" + live
	tag := ask(h, line, "").Header().Get("ETag")
	for _, seed := range []string{tag, "W/" + tag, `"a", ` + tag, tag + ` , "b"`, "*", " * ", "", `"`, tag + tag, tag + " x", "w/" + tag,
		strings.Trim(tag, `"`), `"a,` + strings.Trim(tag, `"`) + `"`, ",," + tag + ",", `*, ` + tag, tag + `, "`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/v1/deployments/"+live, nil)
		r.Header["If-None-Match"] = []string{header}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		want := http.StatusOK
		if strings.Trim(header, " \t") == "*" || listed.MatchString(header) && slices.Contains(regexp.MustCompile(`"[^"]*"`).FindAllString(header, -1), tag) {
			want = http.StatusNotModified
		}
		if w.Code != want || w.Header().Get("ETag") != tag || (w.Body.Len() == 0) != (want == http.StatusNotModified) {
			t.Errorf("%q: %d, want %d; %v", header, w.Code, want, w.Header())
		}
	})
}
