package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
)

var update = flag.Bool("update", false, "write the answers of testdata/*.txtar anew")

// The world of the tests: shop, whose production has a live release and two before it; its staging is dirty, its
// preview empty.
const (
	first  = "deploy-20261122-090000000-aaaaaaaa"
	second = "deploy-20261122-100000000-bbbbbbbb"
	failed = "deploy-20261122-110000000-cccccccc"
	live   = "deploy-20261122-120000000-dddddddd"
	dirty  = "deploy-20261122-130000000-eeeeeeee"
	taken  = "deploy-20261122-140000000-ffffffff"
)

func commit(n int) string { return strings.Repeat(fmt.Sprintf("%x", n), 40) }

func world(t testing.TB) *apitest.Cloud {
	t.Helper()
	c := apitest.New()
	script := deploy.Target{Type: deploy.TargetScript}
	shop := &deploy.App{Name: "shop", Source: deploy.Source{Type: "bundle"}, Environments: map[string]deploy.Settings{
		"production": {Target: script, URL: "https://shop.test", Branches: []string{"main", "release/*"},
			Variables: map[string]string{"TOKEN": "ssm:/shop/token"}},
		"staging": {Target: script, URL: "https://staging.shop.test"},
		"preview": {Target: script, URL: "https://preview.shop.test"},
	}}
	if err := c.PutApp(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		c.Upload("shop", commit(n))
	}
	for i, d := range []deploy.Deployment{
		{ID: first, Environment: "production", Status: deploy.Success},
		{ID: second, Environment: "production", Status: deploy.RolledBack, Fallback: first},
		{ID: failed, Environment: "production", Status: deploy.Failed, Error: "make test: exit status 2"},
		{ID: live, Environment: "production", Status: deploy.Success, Fallback: first},
		{ID: dirty, Environment: "staging", Status: deploy.Failed, Dirty: true, Repair: deploy.RepairCommands(dirty)},
		{ID: taken, Environment: "production", Status: deploy.RolledBack, ErrorKind: deploy.HealthCheckFailed},
	} {
		d.App, d.Action, d.CommitSHA, d.Branch, d.StartTime = "shop", deploy.Deploy, commit(i+1), "main", c.Now()
		if d.Status != deploy.Failed {
			d.Release = &deploy.Release{App: "shop", CommitSHA: d.CommitSHA}
		}
		c.Put(&d)
	}
	c.SetHead(deploy.Head{App: "shop", Environment: "production", Fence: 7,
		Live:     &deploy.Live{Deployment: live, CommitSHA: commit(4), Fallback: first},
		Previous: &deploy.Live{Deployment: first, CommitSHA: commit(1)},
		Waiting:  &deploy.Turn{Deployment: taken, Action: deploy.Deploy, Token: "secret-token", Since: c.Now()}})
	c.SetHead(deploy.Head{App: "shop", Environment: "staging", Fence: 1, Dirty: true,
		Holder: &deploy.Turn{Deployment: dirty, Action: deploy.Deploy, Token: "secret-token", Since: c.Now(), Expires: c.Now().Add(deploy.Lease)}})
	c.Print(live, "one", "two", "three")
	return c
}

// served gives the API, held to its document.
func served(t testing.TB, c *api.Control) http.Handler { return apitest.Checked(t, c.Handler()) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ask sends a request as "METHOD /target" with a body. Headers may follow the target as " name=value", in the order of
// content-type (JSON where it isn't said), if-match, if-none-match, x-slipway-reason, idempotency-key.
func ask(h http.Handler, line, body string) *httptest.ResponseRecorder {
	header := http.Header{"Content-Type": {"application/json"}}
	for _, name := range []string{"idempotency-key", "x-slipway-reason", "if-none-match", "if-match", "content-type"} {
		if before, value, ok := strings.Cut(line, " "+name+"="); ok {
			line = before
			header.Set(name, value)
		}
	}
	method, target, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func show(w *httptest.ResponseRecorder) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, w.Body.Bytes(), "", "  "); err != nil {
		return w.Body.Bytes()
	}
	return out.Bytes()
}

// TestConversations plays testdata/*.txtar: a request is a section named by its line, its answer one named by its status.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { converse(t, file) })
	}
}

func converse(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := served(t, world(t).Control(quiet()))
	was, heard := archive.Files, []txtar.File(nil)
	for i, section := range was {
		if strings.HasPrefix(section.Name, "answer ") {
			continue
		}
		w := ask(h, section.Name, strings.TrimSuffix(string(section.Data), "\n"))
		answer := txtar.File{Name: fmt.Sprintf("answer %d", w.Code), Data: show(w)}
		heard = append(heard, section, answer)
		if i+1 < len(was) && !*update && (was[i+1].Name != answer.Name || string(was[i+1].Data) != string(answer.Data)) {
			t.Errorf("%s\n%s\nanswer:\n%s\n%s\nwant:\n%s\n%s", section.Name, section.Data, answer.Name, answer.Data, was[i+1].Name, was[i+1].Data)
		}
	}
	if len(heard) != len(was) && !*update {
		t.Errorf("%d sections, want %d: a request without its answer?", len(was), len(heard))
	}
	if *update {
		archive.Files = heard
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatusOfEveryKind(t *testing.T) {
	want := map[deploy.Kind]int{deploy.Invalid: 400, deploy.NotFound: 404, deploy.TooLarge: 413, deploy.Conflict: 409,
		deploy.Cancelled: 409, deploy.Superseded: 409, deploy.Fenced: 409, deploy.Unfetched: 500, deploy.TestFailed: 500, deploy.BuildFailed: 500,
		deploy.DeployFailed: 500, deploy.HealthCheckFailed: 500, deploy.RollbackFailed: 500, deploy.Moved: 500, deploy.Internal: 500}
	for _, kind := range deploy.Kinds {
		if got := api.StatusOf(kind); got != want[kind] {
			t.Errorf("%s: %d, want %d", kind, got, want[kind])
		}
	}
}

func TestNotStarted(t *testing.T) {
	c := world(t)
	c.StartErr = errors.New("ThrottlingException: secret account detail")
	var log bytes.Buffer
	h := served(t, c.Control(slog.New(slog.NewTextHandler(&log, nil))))
	w := ask(h, "POST /v1/deployments", `{"app":"shop","environment":"preview","commit_sha":"`+commit(1)+`"}`)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("problem %+v, header %v, %v", p, w.Header(), err)
	}
	if n := strings.Count(log.String(), "secret account detail"); n != 1 || !strings.Contains(log.String(), p.RequestID) {
		t.Errorf("logged %d times: %s", n, &log)
	}
	page, _, err := c.List(t.Context(), deploy.Query{App: "shop", Environment: "preview", Limit: 10})
	if err != nil || len(page) != 1 || page[0].Status != deploy.Failed || page[0].EndTime == nil || !strings.Contains(page[0].Error, "Throttling") {
		t.Errorf("records %+v, %v", page, err)
	}
}

// lateMachine answers with an error after the execution has taken up the record.
type lateMachine struct{ *apitest.Cloud }

func (m lateMachine) Start(ctx context.Context, id string) (string, error) {
	if _, err := m.Cloud.Start(ctx, id); err != nil {
		return "", err
	}
	m.Step(id)
	return "", errors.New("connection reset")
}

func TestStartedAfterAll(t *testing.T) {
	c := world(t)
	control := c.Control(quiet())
	control.Machine = lateMachine{c}
	w := ask(served(t, control), "POST /v1/deployments", `{"app":"shop","environment":"preview","commit_sha":"`+commit(1)+`"}`)
	var d deploy.Deployment
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusAccepted || d.Status != deploy.Running {
		t.Errorf("answer %d %s, %v", w.Code, w.Body, err)
	}
}

func TestNoTokenLeaks(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	for _, target := range []string{"/v1/apps/shop/environments/production", "/v1/apps/shop/environments/staging",
		"/v1/apps/shop", "/v1/deployments/" + dirty, "/v1/deployments"} {
		if w := ask(h, "GET "+target, ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "secret-token") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestBodyBound(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	whole := `{"app":"shop","environment":"preview","commit_sha":"` + commit(1) + `"`
	fill := func(n int) string { return whole + strings.Repeat(" ", n-len(whole)-1) + "}" }
	for n, want := range map[int]int{api.MaxBody: http.StatusAccepted, api.MaxBody + 1: http.StatusRequestEntityTooLarge} {
		if w := ask(h, "POST /v1/deployments", fill(n)); w.Code != want {
			t.Errorf("%d bytes: %d, want %d: %s", n, w.Code, want, w.Body)
		}
	}
}

func TestPanicIsAnswered(t *testing.T) {
	c := world(t).Control(quiet())
	c.Output = nil
	if w := ask(served(t, c), "GET /v1/deployments/"+live+"/logs", ""); w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestMethodNotAllowedSaysWhich(t *testing.T) {
	w := ask(served(t, world(t).Control(quiet())), "DELETE /v1/deployments", "")
	if got := w.Header().Get("Allow"); w.Code != 405 || got != "GET, HEAD, POST" {
		t.Errorf("%d, Allow %q", w.Code, got)
	}
}

// TestNotModified asks twice: the second answer has no body until something changes.
func TestNotModified(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	for _, target := range []string{"/v1/openapi.json", "/v1/deployments", "/v1/deployments/" + live, "/v1/deployments/" + live + "/logs", "/v1/apps",
		"/v1/apps/shop", "/v1/apps/shop/environments/production", "/v1/apps/shop/environments/production/evaluation-keys"} {
		tag := ask(h, "GET "+target, "").Header().Get("ETag")
		w := ask(h, "GET "+target+" if-none-match=\"other\", "+tag, "")
		if w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("X-Request-Id") == "" || w.Header().Get("Content-Type") != "" {
			t.Errorf("%s: %d %q %v", target, w.Code, w.Body, w.Header())
		}
	}
	line := "GET /v1/deployments/" + live + " if-none-match="
	tag := ask(h, line, "").Header().Get("ETag")
	d, err := c.Deployment(t.Context(), live)
	if err == nil {
		err = c.Update(t.Context(), d, func(d *deploy.Deployment) error { d.Log(c.Now(), "more"); return nil })
	}
	if w := ask(h, line+tag, ""); err != nil || w.Code != http.StatusOK || w.Header().Get("ETag") == tag {
		t.Errorf("changed: %d %v, %v", w.Code, w.Header(), err)
	}
	if w := ask(h, "GET /v1/deployments/nothing if-none-match=*", ""); w.Code != http.StatusNotFound || w.Header().Get("ETag") != "" {
		t.Errorf("nothing there: %d %v", w.Code, w.Header())
	}
}
