package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func credentialsInEnv(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

// TestRetries has the API fail for a while: what only reads is asked again, and what has a key or was never let in; what
// does something else isn't.
func TestRetries(t *testing.T) {
	credentialsInEnv(t)
	for name, each := range map[string]struct {
		args     []string
		failures int32 // of the API, before it recovers
		status   int
		asked    int32
		code     int
		says     string
	}{
		"reads recover":   {[]string{"app", "list"}, 2, 503, 3, exitDone, ""},
		"throttled":       {[]string{"app", "list"}, 1, 429, 2, exitDone, ""},
		"reads give up":   {[]string{"app", "list"}, 99, 502, tries, exitFailed, "the API answered 502 Bad Gateway: busy"},
		"a throttled API": {[]string{"app", "list"}, 2, 500, 3, exitDone, ""},
		"a failing API":   {[]string{"app", "list"}, 99, 500, tries, exitFailed, "the API answered 500"},
		"a failed write":  {[]string{"cancel", "deploy-20261123-090000000-aaaaaaaa"}, 99, 500, 1, exitFailed, "the API answered 500"},
		"forbidden":       {[]string{"app", "list"}, 99, 403, 1, exitFailed, "slipway: GET /v1/apps: the API answered 403 Forbidden: busy"},
		"forbidden to write": {[]string{"cancel", "deploy-20261123-090000000-aaaaaaaa"}, 99, 403, 1, exitFailed,
			"slipway: POST /v1/deployments/deploy-20261123-090000000-aaaaaaaa/cancel: the API answered 403 Forbidden: busy"},
		"throttled write": {[]string{"cancel", "deploy-20261123-090000000-aaaaaaaa"}, 2, 429, 3, exitDone, ""},
		"with a key":      {[]string{"rollback", "deploy-20261123-090000000-aaaaaaaa"}, 2, 504, 3, exitDone, ""},
		"writes ask once": {[]string{"cancel", "deploy-20261123-090000000-aaaaaaaa"}, 1, 503, 1, exitFailed, "the API answered 503"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			keys := map[string]bool{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				keys[r.Header.Get("Idempotency-Key")] = true // one request after the other
				if asked.Add(1) <= each.failures {
					w.WriteHeader(each.status)
					_, _ = w.Write([]byte(`{"message":"busy"}`))
					return
				}
				_, _ = w.Write([]byte(`{"apps":[]}`))
			}))
			defer server.Close()
			p, _, stderr := outside(&site{Server: server}, nil)
			if code := p.run(t.Context(), each.args); code != each.code || asked.Load() != each.asked || !strings.Contains(stderr.String(), each.says) {
				t.Errorf("exit %d after %d requests: %s", code, asked.Load(), stderr)
			}
			if keyed := each.args[0] == "rollback"; len(keys) != 1 || keys[""] == keyed {
				t.Errorf("the keys are %v", keys)
			}
		})
	}
}

// TestRetryAfter: who is asked to wait a second waits that long, and says no more of it.
func TestRetryAfter(t *testing.T) {
	credentialsInEnv(t)
	var first time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if first.IsZero() {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if waited := time.Since(first); waited < time.Second {
			t.Errorf("it waited %s", waited)
		}
		_, _ = w.Write([]byte(`{"apps":[]}`))
	}))
	defer server.Close()
	p, _, stderr := outside(&site{Server: server}, nil)
	if code := p.run(t.Context(), []string{"app", "list"}); code != exitDone || stderr.Len() > 0 && !strings.Contains(stderr.String(), "no app yet") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestRedirect: a signature is for one host, and a session's token, which is a header like any other, for nobody else.
func TestRedirect(t *testing.T) {
	credentialsInEnv(t)
	t.Setenv("AWS_SESSION_TOKEN", "session")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("it was followed, with the session token %q", r.Header.Get("X-Amz-Security-Token"))
		_, _ = w.Write([]byte(`{"apps":[]}`))
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	p, _, stderr := outside(&site{Server: server}, nil)
	if code := p.run(t.Context(), []string{"app", "list"}); code != exitFailed || !strings.Contains(stderr.String(), "the API answered 307") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestInterrupt presses Ctrl-C while slipway waits.
func TestInterrupt(t *testing.T) {
	credentialsInEnv(t)
	s := newSite(t)
	a := &deploy.App{Name: "shop", Environments: map[string]deploy.Settings{"production": {Target: deploy.Target{Type: deploy.TargetScript}}}}
	if err := s.PutApp(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	live := &deploy.Deployment{ID: "deploy-20261123-080000000-aaaaaaaa", App: "shop", Environment: "production", Action: deploy.Deploy, Status: deploy.Success}
	s.Put(live)
	dirty := deploy.Head{App: "shop", Environment: "production", Dirty: true, Holder: &deploy.Turn{Deployment: live.ID}}
	for _, args := range [][]string{{"rollback", live.ID, "--wait"}, {"logs", "-f", live.ID}} {
		s.SetHead(dirty)
		running := *live
		if args[0] == "logs" {
			running.Status = deploy.Running
		}
		s.Put(&running)
		s.Plan("stuck")
		ctx, interrupt := context.WithCancel(t.Context())
		var looks atomic.Int32
		s.hook = func(r *http.Request) {
			if r.Method == http.MethodGet && looks.Add(1) == 10 {
				interrupt()
			}
		}
		p, _, stderr := outside(s, nil)
		code := p.run(ctx, args)
		interrupt()
		if code != exitInterrupted || !strings.Contains(stderr.String(), "the deployment goes on") {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
		if args[0] == "rollback" && !strings.Contains(stderr.String(), "cancel it: slipway cancel deploy-20261123-09") {
			t.Errorf("how to cancel it isn't said: %s", stderr)
		}
	}
}
