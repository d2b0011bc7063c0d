package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
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
		h := world(t).Control(quiet()).Handler() // anew each time: what one body did must not be seen by the next
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
	h := world(f).Control(quiet()).Handler()
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/v1/deployments", "/v1/apps", "/v1/deployments/" + live + "/logs"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			answered(t, w)
		}
	})
}
