package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/notify"
	"github.com/slipway-cd/slipway/internal/notify/notifytest"
)

const (
	older  = "deploy-20261125-090000000-aaaaaaaa"
	newer  = "deploy-20261125-090001000-bbbbbbbb"
	commit = "0123456789abcdef0123456789abcdef01234567"
	token  = "github-token-that-nobody-may-see"
)

// table is the store: the app, and the deployments as they are by now.
type table struct {
	app         *deploy.App
	mu          sync.Mutex
	deployments map[string]*deploy.Deployment
	live        string // the deployment that serves in production
}

func (s *table) App(_ context.Context, name string) (*deploy.App, error) {
	if name != s.app.Name {
		return nil, deploy.Errorf(deploy.NotFound, "", "there is no app %q", name)
	}
	return s.app, nil
}

func (s *table) Deployment(_ context.Context, id string) (*deploy.Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.deployments[id]
	if d == nil {
		return nil, deploy.Errorf(deploy.NotFound, "", "there is no deployment %q", id)
	}
	copied := *d
	return &copied, nil
}

func (s *table) Head(_ context.Context, app, environment string) (*deploy.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &deploy.Head{App: app, Environment: environment}
	if s.live != "" && environment == "production" {
		h.Live = &deploy.Live{Deployment: s.live}
	}
	return h, nil
}

// is sets a deployment's status; a success goes live, unless a newer one is.
func (s *table) is(id string, status deploy.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployments[id] = &deploy.Deployment{ID: id, App: "shop", Environment: "production", CommitSHA: commit, Status: status,
		Execution: "arn:aws:states:eu-west-1:123456789012:execution:slipway:" + id, Settings: &deploy.Settings{URL: "https://shop.example.com"}}
	if status == deploy.Success {
		s.live = max(s.live, id)
	}
}

type secrets map[string]string

func (s secrets) Value(_ context.Context, _, reference string) (string, error) {
	if value, ok := s[reference]; ok {
		return value, nil
	}
	return "", deploy.Errorf(deploy.NotFound, "", "there is no secret")
}

// topics fails with its error, or notes what was published.
type topics struct {
	err error
	to  []string
}

func (p *topics) Publish(_ context.Context, topic string, c *deploy.Change) error {
	p.to = append(p.to, topic+" "+string(c.Status))
	return p.err
}

// hub is GitHub and Slack.
type hub struct {
	*httptest.Server
	notifytest.Deployments
	mu       sync.Mutex
	statuses []map[string]string // the newest first
	headers  map[string]string   // of these answers
	answers  []int               // for the next requests, before any is served
	asked    int
	posted   []string
	onPost   func() // before a status is set, of a commit or a deployment
}

func (g *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if len(g.answers) > 0 {
		code := g.answers[0]
		g.answers = g.answers[1:]
		w.Header().Set("Location", g.URL+"/elsewhere")
		for name, value := range g.headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		fmt.Fprint(w, "an answer of the hub's")
		return
	}
	switch {
	case r.URL.Path == "/hook":
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		g.posted = append(g.posted, body.String())
	case r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodGet && r.URL.Path == "/repos/octo/shop/commits/"+commit+"/statuses":
		_ = json.NewEncoder(w).Encode(append([]map[string]string{}, g.statuses...))
	case r.Method == http.MethodPost && r.URL.Path == "/repos/octo/shop/statuses/"+commit:
		if g.onPost != nil {
			g.onPost()
		}
		var s map[string]string
		_ = json.NewDecoder(r.Body).Decode(&s)
		g.statuses = append([]map[string]string{s}, g.statuses...)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "{}")
	default:
		if r.Method == http.MethodPost && g.onPost != nil && strings.HasSuffix(r.URL.Path, "/statuses") {
			g.onPost()
		}
		if !g.Serve(w, r) {
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// scene is a notifier with all around it.
type scene struct {
	*notify.Notifier
	hub     *hub
	table   *table
	topics  *topics
	log     *bytes.Buffer
	refused int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{hub: &hub{Deployments: notifytest.Deployments{Repository: "octo/shop"}}, topics: &topics{}, log: &bytes.Buffer{}, table: &table{deployments: map[string]*deploy.Deployment{}}}
	s.hub.Server = httptest.NewServer(s.hub)
	t.Cleanup(s.hub.Close)
	s.table.app = &deploy.App{Name: "shop", Notifications: &deploy.Notifications{SNS: &deploy.SNSChannel{Topic: "the topic"},
		GitHub: &deploy.GitHubChannel{Repository: "octo/shop", Token: "ssm:token"}, Slack: &deploy.SlackChannel{Webhook: "ssm:hook"}}}
	s.Notifier = &notify.Notifier{Store: s.table, Secrets: secrets{"ssm:token": token + "\n", "ssm:hook": s.hub.URL + "/hook"}, Topics: s.topics, HTTP: notify.Client(),
		GitHub: s.hub.URL, Local: true, Log: slog.New(slog.NewTextHandler(s.log, nil)), Metric: func(string, int) { s.refused++ }}
	return s
}

func (s *scene) tell(channel, id string, status deploy.Status) error {
	before := s.log.Len()
	answer, err := s.Handle(context.Background(), notify.Call{Channel: channel, Event: notify.Event{Detail: deploy.Change{Version: 1, Deployment: id, App: "shop",
		Environment: "production", Action: deploy.Deploy, CommitSHA: commit, Status: status, Time: time.Unix(1_800_000_000, 0).UTC()}}})
	if logged := s.log.String()[before:]; (answer.Refused != "") != strings.Contains(logged, "refused for good") {
		return fmt.Errorf("answers %q and logs %s", answer.Refused, logged)
	}
	return err
}

// shows is what GitHub shows of the commit: what was set last.
func (s *scene) shows() string {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if len(s.hub.statuses) == 0 {
		return "nothing"
	}
	return s.hub.statuses[0]["state"] + ": " + s.hub.statuses[0]["description"]
}

func TestGitHubStates(t *testing.T) {
	for status, want := range map[deploy.Status]string{
		deploy.Pending: "pending: pending", deploy.Running: "pending: running", deploy.Success: "success: went live in production",
		deploy.Failed: "failure: failed", deploy.RolledBack: "failure: rolled back", deploy.Aborted: "error: cancelled",
	} {
		s := newScene(t)
		s.table.is(older, status)
		if err := s.tell(notify.GitHub, older, status); err != nil || s.shows() != want+" - "+older {
			t.Errorf("%s: %v, %s", status, err, s.shows())
		}
		if s.hub.statuses[0]["context"] != "slipway/shop/production" {
			t.Errorf("%v", s.hub.statuses[0])
		}
	}
}

// TestGitHubKeepsTheNewest: neither a late event nor one told twice hides what is newer, of the deployment or of a later one.
func TestGitHubKeepsTheNewest(t *testing.T) {
	s := newScene(t)
	s.table.is(older, deploy.Success)
	for _, status := range []deploy.Status{deploy.Success, deploy.Running, deploy.Pending, deploy.Success} {
		if err := s.tell(notify.GitHub, older, status); err != nil || s.shows() != "success: went live in production - "+older || len(s.hub.statuses) != 1 {
			t.Errorf("%s after success: %v, %v", status, err, s.hub.statuses)
		}
	}
	s.table.is(newer, deploy.Running)
	for _, id := range []string{newer, older, newer} {
		if err := s.tell(notify.GitHub, id, deploy.Success); err != nil || s.shows() != "pending: running - "+newer || len(s.hub.statuses) != 2 {
			t.Errorf("%s: %v, %v", id, err, s.hub.statuses)
		}
	}
}

// TestGitHubForged: whoever may write to the repository may set a status in our name that speaks of a deployment which isn't there,
// or of another app's. What the record says is told all the same, and nothing of the other app.
func TestGitHubForged(t *testing.T) {
	for name, other := range map[string]*deploy.Deployment{
		"no deployment": nil,
		"another app's": {ID: newer, App: "bank", Environment: "production", CommitSHA: commit, Status: deploy.Failed, Dirty: true},
		"of elsewhere":  {ID: newer, App: "shop", Environment: "staging", CommitSHA: commit, Status: deploy.Failed},
	} {
		s := newScene(t)
		s.table.is(older, deploy.Success)
		if other != nil {
			s.table.deployments[newer] = other
		}
		s.hub.statuses = []map[string]string{{"state": "success", "context": "slipway/shop/production", "description": "mine - " + newer}}
		if err := s.tell(notify.GitHub, older, deploy.Success); err != nil || s.shows() != "success: went live in production - "+older || s.refused != 0 {
			t.Errorf("%s: %v, %v", name, err, s.hub.statuses)
		}
	}
}

// TestGitHubMeanwhile: what becomes of the deployment while its status is being set is set too.
func TestGitHubMeanwhile(t *testing.T) {
	s := newScene(t)
	s.table.is(older, deploy.Running)
	s.hub.onPost = func() { s.table.is(older, deploy.Success) }
	if err := s.tell(notify.GitHub, older, deploy.Running); err != nil || s.shows() != "success: went live in production - "+older {
		t.Errorf("%v, %v", err, s.hub.statuses)
	}
	s = newScene(t)
	s.table.is(older, deploy.Failed)
	s.table.is(newer, deploy.Success)
	said := false
	s.hub.onPost = func() { // another process sets the newer's between this one's look and its own
		if !said {
			said = true
			s.hub.statuses = append(s.hub.statuses, map[string]string{"state": "success", "context": "slipway/shop/production", "description": "went live in production - " + newer})
		}
	}
	if err := s.tell(notify.GitHub, older, deploy.Failed); err != nil || s.shows() != "success: went live in production - "+newer {
		t.Errorf("%v, %v", err, s.hub.statuses)
	}
	s = newScene(t)
	states := []deploy.Status{deploy.Running, deploy.Success}
	s.table.is(older, deploy.Running)
	s.hub.onPost = func() { states[0], states[1] = states[1], states[0]; s.table.is(older, states[0]) }
	if err := s.tell(notify.GitHub, older, deploy.Running); err == nil || s.hub.asked > 12 {
		t.Errorf("one that never comes to rest: %v after %d requests", err, s.hub.asked)
	}
}

// TestWhatIsTriedAgain: what may pass is an error, for Lambda to try again; what will not is counted, and said once.
func TestWhatIsTriedAgain(t *testing.T) {
	for _, channel := range []string{notify.GitHub, notify.Deployments, notify.Slack} {
		for code, again := range map[int]bool{500: true, 502: true, 503: true, 429: true, 409: false, 400: false, 401: false, 403: false, 404: false, 422: false, 301: false, 307: false} {
			s := newScene(t)
			s.table.is(older, deploy.Success)
			s.hub.answers = []int{code}
			err := s.tell(channel, older, deploy.Success)
			if (err != nil) != again || (s.refused == 1) == again || !strings.Contains(s.log.String(), fmt.Sprint(code)) || s.hub.asked != 1 {
				t.Errorf("%s answers %d: %v, refused %d, %d requests, %s", channel, code, err, s.refused, s.hub.asked, s.log)
			}
			if text := fmt.Sprint(err) + s.log.String(); strings.Contains(text, token) || strings.Contains(text, "/hook") {
				t.Errorf("%s answers %d, and a secret is told: %s", channel, code, text)
			}
			if err := s.tell(channel, older, deploy.Success); err != nil {
				t.Errorf("%s, again: %v", channel, err)
			}
		}
	}
}

// TestRateLimits: GitHub's limits may come as 403 too.
func TestRateLimits(t *testing.T) {
	for name, value := range map[string]string{"Retry-After": "60", "X-RateLimit-Remaining": "0"} {
		for _, channel := range []string{notify.GitHub, notify.Deployments} {
			s := newScene(t)
			s.table.is(older, deploy.Success)
			s.hub.answers, s.hub.headers = []int{403}, map[string]string{name: value}
			if err := s.tell(channel, older, deploy.Success); err == nil || s.refused != 0 {
				t.Errorf("%s, %s: %v, refused %d", channel, name, err, s.refused)
			}
		}
	}
}

// TestNoNetwork: the error says nothing of where to, which for Slack is a secret.
func TestNoNetwork(t *testing.T) {
	s := newScene(t)
	s.table.is(older, deploy.Success)
	s.hub.Close()
	for _, channel := range []string{notify.GitHub, notify.Deployments, notify.Slack} {
		if err := s.tell(channel, older, deploy.Success); err == nil || strings.Contains(err.Error()+s.log.String(), "/hook") || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v, %s", channel, err, s.log)
		}
	}
	s.topics.err = errors.New("no SNS")
	if err := s.tell(notify.SNS, older, deploy.Success); err == nil || s.topics.to[0] != "the topic success" {
		t.Errorf("%v, %v", err, s.topics.to)
	}
}

// TestPatience: a side that never answers takes no longer than the client's time.
func TestPatience(t *testing.T) {
	if c := notify.Client(); c.Timeout <= 0 || c.Timeout > 10*time.Second {
		t.Errorf("the client waits for %s", c.Timeout)
	}
	s := newScene(t)
	s.table.is(older, deploy.Success)
	s.HTTP.Timeout = 20 * time.Millisecond
	free := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	defer slow.Close()
	defer close(free)
	s.GitHub = slow.URL
	if err := s.tell(notify.GitHub, older, deploy.Success); err == nil || s.refused != 0 {
		t.Errorf("%v", err)
	}
}

// TestSecretsGoNowhereElse: a secret that is missing, or is no webhook of Slack's, is refused before anything is sent.
func TestSecretsGoNowhereElse(t *testing.T) {
	for name, change := range map[string]func(*scene) string{
		"no token":   func(s *scene) string { s.Secrets = secrets{}; return notify.GitHub },
		"plain http": func(s *scene) string { s.GitHub = "http://example.com"; return notify.GitHub },
		"no hook":    func(s *scene) string { s.Secrets = secrets{}; return notify.Slack },
		"not on AWS": func(s *scene) string { s.Local = false; return notify.Slack },
		"another host": func(s *scene) string {
			s.Secrets = secrets{"ssm:hook": "https://example.com/hook"}
			return notify.Slack
		},
		"no URL": func(s *scene) string { s.Secrets = secrets{"ssm:hook": "hush: hush"}; return notify.Slack },
		"credentials in it": func(s *scene) string {
			s.Secrets = secrets{"ssm:hook": "https://hush@hooks.slack.com/x"}
			return notify.Slack
		},
	} {
		s := newScene(t)
		s.table.is(older, deploy.Success)
		channel := change(s)
		if err := s.tell(channel, older, deploy.Success); err != nil || s.refused != 1 || s.hub.asked != 0 || strings.Contains(s.log.String(), "hush") {
			t.Errorf("%s: %v, refused %d, asked %d, %s", name, err, s.refused, s.hub.asked, s.log)
		}
	}
}

func TestWhoHasNoChannel(t *testing.T) {
	s := newScene(t)
	s.table.app.Notifications = &deploy.Notifications{}
	for range 2 {
		for _, channel := range notify.Channels {
			if err := s.tell(channel, older, deploy.Success); err != nil || s.hub.asked != 0 || len(s.topics.to) != 0 || s.refused != 0 {
				t.Errorf("%s: %v", channel, err)
			}
		}
		s.table.app.Notifications = nil
	}
	s.table.app.Name = "another"
	if err := s.tell(notify.SNS, older, deploy.Success); err != nil || s.refused != 1 {
		t.Errorf("no app: %v, refused %d", err, s.refused)
	}
}

func TestSlackMessage(t *testing.T) {
	s := newScene(t)
	_, err := s.Handle(t.Context(), notify.Call{Channel: notify.Slack, Event: notify.Event{Detail: deploy.Change{Version: 1, Deployment: older, App: "shop", Environment: "production",
		Action: deploy.Deploy, CommitSHA: commit, Branch: "<!channel>", Status: deploy.Failed, Dirty: true, Error: "a & b", Time: time.Unix(1_800_000_000, 0).UTC()}}})
	want := "shop in production: deploy failed of 01234567 (&lt;!channel&gt;). The environment stays locked and needs a repair. a &amp; b\n" + older + ", 2027-01-15 08:00:00 UTC"
	var got struct{ Text string }
	if err != nil || len(s.hub.posted) != 1 || json.Unmarshal([]byte(s.hub.posted[0]), &got) != nil || got.Text != want {
		t.Errorf("%v: %v, want %s", err, s.hub.posted, want)
	}
}
