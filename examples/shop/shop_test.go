package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func get(t *testing.T, path string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	newHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	var body map[string]any
	if w.Header().Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, body
}

func TestHealth(t *testing.T) {
	if status, body := get(t, "/health"); status != 200 || body["version"] != version {
		t.Errorf("%d %v", status, body)
	}
}

func TestWelcome(t *testing.T) {
	if status, body := get(t, "/"); status != 200 || body["version"] != version {
		t.Errorf("%d %v", status, body)
	}
	if status, _ := get(t, "/nowhere"); status != 404 {
		t.Errorf("/nowhere: %d, want 404", status)
	}
}

func TestTotal(t *testing.T) {
	for path, want := range map[string]any{
		"/total?item=tea&count=1":    450.0,
		"/total?item=coffee&count=3": 2100.0,
		"/total?item=tea&count=0":    nil,
		"/total?item=tea&count=1001": nil,
		"/total?item=tea&count=many": nil,
		"/total?item=gold&count=1":   nil,
	} {
		status, body := get(t, path)
		if body["cents"] != want || (status == 200) != (want != nil) {
			t.Errorf("%s: %d %v, want %v cents", path, status, body, want)
		}
	}
}
