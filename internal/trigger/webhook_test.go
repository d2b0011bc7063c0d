package trigger_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/problem"
	"github.com/slipway-cd/slipway/internal/trigger"
)

const secret = "0123456789abcdef-old"

// memory keeps answers beside apitest's requests.
type memory struct {
	*apitest.Cloud
	answers map[string]deploy.Request
}

func (m memory) Request(ctx context.Context, key string) (*deploy.Request, error) {
	if r, ok := m.answers[key]; ok {
		return &r, nil
	}
	return m.Cloud.Request(ctx, key)
}

func (m memory) Remember(_ context.Context, r deploy.Request) error {
	m.answers[r.Key] = r
	return nil
}

// hook is a webhook over world, with what its secret is and how often it was looked up.
type hook struct {
	trigger.Webhook
	cloud   *apitest.Cloud
	machine *machine
	secrets string
	lookErr error
	looked  int
	log     *bytes.Buffer
}

func newHook(t testing.TB) *hook {
	c, tr, m := world(t)
	h := &hook{cloud: c, machine: m, secrets: secret, log: &bytes.Buffer{}}
	look := func(context.Context) (string, error) { h.looked++; return h.secrets, h.lookErr }
	h.Webhook = trigger.Webhook{Trigger: tr, Memory: memory{c, map[string]deploy.Request{}}, Now: c.Now,
		Secrets: &trigger.Secrets{Look: look, Now: c.Now}, Log: slog.New(slog.NewTextHandler(h.log, nil))}
	return h
}

func sign(key string, body []byte) string {
	sum := hmac.New(sha256.New, []byte(key))
	sum.Write(body)
	return "sha256=" + hex.EncodeToString(sum.Sum(nil))
}

// delivery is a push as GitHub sends it and API Gateway hands it over.
func delivery(body []byte, key string) events.APIGatewayProxyRequest {
	return events.APIGatewayProxyRequest{HTTPMethod: "POST", Path: "/webhooks/github", Body: string(body), Headers: map[string]string{
		"content-type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
		"X-Hub-Signature-256": sign(key, body),
	}}
}

func (h *hook) send(t testing.TB, r events.APIGatewayProxyRequest) (int, string) {
	t.Helper()
	out, err := h.Lambda(context.Background(), r)
	if err != nil {
		return 502, err.Error()
	}
	if !json.Valid([]byte(out.Body)) {
		t.Errorf("no JSON: %s", out.Body)
	}
	if out.StatusCode >= 400 {
		var p struct{ Type, Title, Detail string }
		_ = json.Unmarshal([]byte(out.Body), &p)
		if known := problem.Types()[out.StatusCode]; known == "" || p.Type != known || p.Title == "" || p.Detail == "" || out.Headers["Content-Type"] != "application/problem+json" {
			t.Errorf("%d is no problem of that status: %s, %v", out.StatusCode, out.Body, out.Headers)
		}
	}
	return out.StatusCode, out.Body
}

// commitsOf makes a push of n commits with bodies such as GitHub's.
func commitsOf(t *testing.T, n int) []byte {
	text := fixture(t, "github_push.json")
	from := strings.Index(text, `"commits": [`) + len(`"commits": [`)
	to := strings.Index(text, "}],\n  \"head_commit\"") + 1
	return []byte(text[:from] + strings.TrimSuffix(strings.Repeat(text[from:to]+",", n), ",") + text[to:])
}

// filesOf makes a push of one commit that adds n files.
func filesOf(t *testing.T, n int) []byte {
	var names strings.Builder
	for i := range n {
		fmt.Fprintf(&names, `"vendor/github.com/aws/aws-sdk-go-v2/service/svc%05d/api_op_Create.go",`, i)
	}
	return []byte(strings.Replace(fixture(t, "github_push.json"), `"added": []`, `"added": [`+strings.TrimSuffix(names.String(), ",")+"]", 1))
}

// TestWebhook is docs/doors.md's table for GitHub's webhook.
func TestWebhook(t *testing.T) {
	text := fixture(t, "github_push.json")
	with := func(replace ...string) func(*events.APIGatewayProxyRequest) {
		return func(r *events.APIGatewayProxyRequest) {
			r.Body = strings.NewReplacer(replace...).Replace(text)
			r.Headers["X-Hub-Signature-256"] = sign(secret, []byte(r.Body))
		}
	}
	header := func(name, value string) func(*events.APIGatewayProxyRequest) {
		return func(r *events.APIGatewayProxyRequest) { r.Headers[name] = value }
	}
	body := func(b []byte) func(*events.APIGatewayProxyRequest) {
		return func(r *events.APIGatewayProxyRequest) {
			r.Body, r.Headers["X-Hub-Signature-256"] = string(b), sign(secret, b)
		}
	}
	const both = `{"deployments":[{"app":"admin","environment":"production","deployment":"deploy-`
	for name, each := range map[string]struct {
		change func(*events.APIGatewayProxyRequest)
		status int
		says   string
		made   int
	}{
		"a push": {with(), 202, both, 2},
		"in base64": {func(r *events.APIGatewayProxyRequest) {
			r.Body, r.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(text)), true
		}, 202, both, 2},
		"not base64":        {func(r *events.APIGatewayProxyRequest) { r.IsBase64Encoded = true }, 400, "base64", 0},
		"charset":           {header("content-type", "application/json; charset=utf-8"), 202, both, 2},
		"a forced push":     {with(`"forced": false`, `"forced": true`), 202, both, 2},
		"a new branch":      {with(sha("9"), sha("0"), `"created": false`, `"created": true`), 202, both, 2},
		"2,000 commits":     {body(commitsOf(t, 2000)), 202, both, 2},
		"20,000 files":      {body(filesOf(t, 20_000)), 202, both, 2},
		"what Lambda takes": {body(filesOf(t, 75_000)), 202, both, 2},
		"over 6 MiB":        {body(filesOf(t, 90_000)), 413, "6291456", 0},
		"bad signature":     {header("X-Hub-Signature-256", sign("another secret of somebody", []byte(text))), 401, "does not fit", 0},
		"another body":      {func(r *events.APIGatewayProxyRequest) { r.Body += " " }, 401, "does not fit", 0},
		"no signature":      {header("X-Hub-Signature-256", ""), 401, "set the webhook's secret", 0},
		"half a signature":  {header("X-Hub-Signature-256", "sha256=abcd"), 401, "64 hex digits", 0},
		"no hex":            {header("X-Hub-Signature-256", "sha256="+strings.Repeat("g", 64)), 401, "64 hex digits", 0},
		"sha1 alone": {func(r *events.APIGatewayProxyRequest) {
			sum := hmac.New(sha1.New, []byte(secret))
			sum.Write([]byte(r.Body))
			r.Headers["X-Hub-Signature"] = "sha1=" + hex.EncodeToString(sum.Sum(nil))
			delete(r.Headers, "X-Hub-Signature-256")
		}, 401, "SHA-1", 0},
		"sha1 in the new header": {header("X-Hub-Signature-256", "sha1="+strings.Repeat("a", 40)), 401, "sha256=", 0},
		"a form":                 {header("content-type", "application/x-www-form-urlencoded"), 415, "application/json", 0},
		"no event":               {header("X-GitHub-Event", ""), 400, "X-GitHub-Event", 0},
		"ping":                   {header("X-GitHub-Event", "ping"), 200, "the secret is right", 0},
		"another event":          {header("X-GitHub-Event", "issues"), 202, `the event \"issues\" deploys nothing`, 0},
		"no delivery":            {header("X-GitHub-Delivery", ""), 400, "X-GitHub-Delivery", 0},
		"unknown repository":     {with("Octo/shop", "Octo/shed"), 202, `no app has the repository \"Octo/shed\"`, 0},
		"app without source":     {with("Octo/shop", "plain"), 202, `no app has the repository \"plain\"`, 0},
		"a tag":                  {with("refs/heads/main", "refs/tags/v1"), 202, `\"v1\" is a tag`, 0},
		"a note":                 {with("refs/heads/main", "refs/notes/x"), 202, "is no branch", 0},
		"deleted":                {with(sha("a"), sha("0"), `"deleted": false`, `"deleted": true`), 202, "was deleted; what is live stays", 0},
		"zero commit":            {with(sha("a"), sha("0")), 202, "was deleted", 0},
		"nobody's branch":        {with("refs/heads/main", "refs/heads/dev"), 202, `no environment of admin, shop deploys pushes to \"dev\"`, 0},
		"not UTF-8":              {with("refs/heads/main", "refs/heads/\xff"), 202, "not UTF-8", 0},
		"a branch of controls":   {with("refs/heads/main", `refs/heads/\u0007`), 400, "control characters", 0},
		"no bundle":              {with(sha("a"), sha("d")), 409, "no bundle of commit", 0},
		"too large a bundle":     {with(sha("a"), sha("e")), 409, "too many bytes", 0},
		"no commit":              {with(sha("a"), "main"), 400, `commit: \"main\" is not a commit`, 0},
		"no ref":                 {with(`"ref"`, `"fer"`), 400, "ref: is missing", 0},
		"no name":                {with(`"full_name"`, `"name2"`), 400, "repository.full_name: is missing", 0},
		"no JSON":                {with("{", "<"), 400, "no push that GitHub sends", 0},
		"a time in words":        {with(`"pushed_at": 1795597200`, `"pushed_at": "2026-11-25T09:00:00Z"`), 202, both, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			r := delivery([]byte(text), secret)
			each.change(&r)
			if status, says := h.send(t, r); status != each.status || !strings.Contains(says, each.says) {
				t.Errorf("%d %s, want %d %s", status, says, each.status, each.says)
			}
			if n := count(t, h.cloud); n != each.made {
				t.Errorf("%d deployments, want %d", n, each.made)
			}
			if strings.Contains(h.log.String(), secret) {
				t.Errorf("the log has the secret: %s", h.log)
			}
		})
	}
}

// TestReplay: a delivery that comes again gets its answer again, whatever has changed; the push under another id deploys
// nothing anew.
func TestReplay(t *testing.T) {
	h := newHook(t)
	r := delivery([]byte(fixture(t, "github_push.json")), secret)
	_, first := h.send(t, r)
	if err := h.cloud.PutApp(t.Context(), &deploy.App{Name: "admin"}); err != nil {
		t.Fatal(err)
	}
	if status, again := h.send(t, r); status != 202 || again != first {
		t.Errorf("again %d %s, first %s", status, again, first)
	}
	r.Headers["X-GitHub-Delivery"] = "another"
	if status, says := h.send(t, r); status != 202 || strings.Count(says, "launched before") != 1 || count(t, h.cloud) != 2 {
		t.Errorf("under another id: %d %s; %d deployments", status, says, count(t, h.cloud))
	}
	h.cloud.Pass(trigger.Remembered + time.Second)
	if _, late := h.send(t, r); late == first {
		t.Error("answers are remembered for ever")
	}
}

// TestRedelivered: what failed is no answer to remember, and says nothing of what is ours.
func TestRedelivered(t *testing.T) {
	h := newHook(t)
	h.machine.fail = errors.New("throttled, says the account 123456789012")
	r := delivery([]byte(fixture(t, "github_push.json")), secret)
	if status, says := h.send(t, r); status != 502 || strings.Contains(says, "throttled") || !strings.Contains(h.log.String(), "throttled") {
		t.Errorf("%d %s, log %s", status, says, h.log)
	}
	h.machine.fail = nil
	if status, says := h.send(t, r); status != 202 || strings.Count(says, "deploy-") != 2 {
		t.Errorf("%d %s", status, says)
	}
}

// TestRotation: both secrets are valid while there are two, a new one works at once, and rubbish asks for none.
func TestRotation(t *testing.T) {
	const next = "0123456789abcdef-new"
	h := newHook(t)
	try := func(key string) int {
		status, _ := h.send(t, delivery([]byte(fixture(t, "github_push.json")), key))
		return status
	}
	for range 5 {
		if try(next) != 401 || try(secret) != 202 {
			t.Fatal("one secret")
		}
	}
	if h.looked != 1 {
		t.Errorf("looked up %d times within the same second", h.looked)
	}
	h.secrets = secret + "\n" + next + "\n"
	h.cloud.Pass(11 * time.Second)
	if try(next) != 202 || try(secret) != 202 || h.looked != 2 {
		t.Errorf("two secrets; looked up %d times", h.looked)
	}
	h.secrets = next
	h.cloud.Pass(6 * time.Minute)
	if try(secret) != 401 || try(next) != 202 {
		t.Error("the old one lives on")
	}
	h.lookErr = errors.New("AccessDenied")
	h.cloud.Pass(6 * time.Minute)
	if try(next) != 202 {
		t.Error("a secret that can't be looked up anew is forgotten")
	}
	h.lookErr = deploy.Errorf(deploy.NotFound, "", "it was deleted")
	h.cloud.Pass(6 * time.Minute)
	if try(next) != 401 {
		t.Error("a secret that was deleted lives on")
	}
	for _, bad := range []string{"", "short", "a " + next, strings.Repeat(next+"\n", 3)} {
		if h = newHook(t); true {
			h.secrets = bad
		}
		if status := try(next); status != 502 || strings.Contains(h.log.String(), next) {
			t.Errorf("the secret %q: %d; %s", bad, status, h.log)
		}
	}
}

// TestLogsEachDelivery: one line, by which an answer of GitHub's list is found.
// TestNoSecret: nobody who knocks where no webhook was set up, or with a secret that can't be one, calls Secrets Manager each time.
// What may pass by itself, ends no delivery but the one.
func TestNoSecret(t *testing.T) {
	body := []byte(fixture(t, "github_push.json"))
	for name, row := range map[string]struct {
		err    error
		secret string
		looked int
		status int
	}{
		"none":        {deploy.Errorf(deploy.NotFound, "", "there is no secret"), "", 1, 401},
		"short":       {nil, "short", 1, 502},
		"unreachable": {deploy.Errorf(deploy.Internal, "", "a timeout"), "", 3, 502},
	} {
		h := newHook(t)
		h.lookErr, h.secrets = row.err, row.secret
		for range 3 {
			if status, _ := h.send(t, delivery(body, secret)); status != row.status {
				t.Errorf("%s: status %d, want %d", name, status, row.status)
			}
		}
		if h.looked != row.looked {
			t.Errorf("%s: looked up %d times in a moment, want %d", name, h.looked, row.looked)
		}
		h.lookErr, h.secrets = nil, secret
		h.cloud.Pass(10 * time.Second)
		if status, text := h.send(t, delivery(body, secret)); status != 202 {
			t.Errorf("%s: once there is one: %d %s", name, status, text)
		}
	}
}

func TestLogsEachDelivery(t *testing.T) {
	h := newHook(t)
	h.send(t, delivery([]byte(fixture(t, "github_push.json")), secret))
	if line := h.log.String(); !strings.Contains(line, "status=202") || !strings.Contains(line, "delivery=72d3162e") || strings.Count(line, "\n") != 1 {
		t.Error(line)
	}
}

func FuzzWebhook(f *testing.F) {
	f.Add([]byte(fixture(f, "github_push.json")), "push")
	f.Add([]byte(`{"ref":"refs/heads/main","after":"`+sha("0")+`"}`), "push")
	f.Add([]byte("\xff{"), "ping")
	f.Fuzz(func(t *testing.T, body []byte, event string) {
		h := newHook(t)
		r := delivery(body, secret)
		r.Headers["X-GitHub-Event"] = event
		status, says := h.send(t, r)
		if status == 502 || status < 200 {
			t.Errorf("%d %s; %s", status, says, h.log)
		}
		if again, same := h.send(t, r); again != status || same != says {
			t.Errorf("again %d %s, first %d %s", again, same, status, says)
		}
		r.Headers["X-Hub-Signature-256"] = sign("wrong", body)
		if status, _ := h.send(t, r); status != 401 {
			t.Errorf("let in with a bad signature: %d", status)
		}
	})
}

// FuzzSignature: nobody is let in whose header isn't the body's own signature, however it is written.
func FuzzSignature(f *testing.F) {
	body := []byte(`{"ref":"refs/tags/v1"}`)
	good := sign(secret, body)
	for _, header := range []string{"", good, strings.ToUpper(good), "sha256=" + strings.ToUpper(good[7:]), good + " ", good + "," + good, good[:70], "sha256=" + good, good[7:],
		"sha256=", "sha256=é", "sha1=" + strings.Repeat("a", 40), strings.Repeat("sha256=", 1000)} {
		f.Add(header, body)
	}
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		h := newHook(t)
		r := delivery(body, secret)
		r.Headers["X-Hub-Signature-256"] = header
		own := sign(secret, body)
		rest, named := strings.CutPrefix(header, "sha256=")
		fits := named && strings.EqualFold(rest, own[len("sha256="):])
		if status, says := h.send(t, r); fits == (status == 401) {
			t.Errorf("%q: %d %s", header, status, says)
		}
		if strings.Contains(h.log.String(), own) {
			t.Errorf("the log has the signature: %s", h.log)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for _, name := range []string{"codecommit.json", "pushed.json"} {
		f.Add([]byte(fixture(f, name)))
	}
	f.Add([]byte(`{"source":"slipway","detail-type":"Commit Pushed","time":"2026-11-25T09:00:00Z","detail":null}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		_, tr, _ := world(t)
		h := trigger.Commit{Trigger: tr, Log: slog.New(slog.DiscardHandler)}
		answer, err := h.Handle(t.Context(), event)
		switch {
		case err == nil && (answer == nil || (answer.Ignored == "") == (len(answer.Deployments) == 0)):
			t.Errorf("no outcome: %+v", answer)
		case err != nil && deploy.KindOf(err) == deploy.Internal:
			t.Error(err)
		}
		if again, err2 := h.Handle(t.Context(), event); (err2 == nil) != (err == nil) || err == nil && fmt.Sprint(len(again.Deployments)) != fmt.Sprint(len(answer.Deployments)) {
			t.Errorf("again %+v, %v; first %+v, %v", again, err2, answer, err)
		}
	})
}
