package trigger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/trigger"
)

func sha(digit string) string { return strings.Repeat(digit, 40) }

// nine is when the fixtures' pushes were made.
var nine = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// machine starts nothing, and fails while it is told to.
type machine struct{ fail error }

func (m *machine) Start(_ context.Context, id string) (string, error) { return "arn:" + id, m.fail }

// world is a cloud with two apps of octo/shop and one of CodeCommit's shop-source.
func world(t testing.TB) (*apitest.Cloud, *trigger.Trigger, *machine) {
	t.Helper()
	c, m := apitest.New(), &machine{}
	c.Pass(nine.Sub(c.Now()) + time.Minute)
	settings := func(patterns ...string) deploy.Settings {
		return deploy.Settings{Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.test", DeployOnPush: patterns}
	}
	for name, a := range map[string]deploy.App{
		"shop":   {Source: deploy.Source{Repository: "octo/shop"}, Environments: map[string]deploy.Settings{"production": settings("main"), "preview": settings("topic/*"), "manual": settings()}},
		"admin":  {Source: deploy.Source{Repository: "octo/shop"}, Environments: map[string]deploy.Settings{"production": settings("main")}},
		"source": {Source: deploy.Source{Repository: "shop-source"}, Environments: map[string]deploy.Settings{"production": settings("main")}},
		"plain":  {Environments: map[string]deploy.Settings{"production": settings("main")}},
	} {
		a.Name = name
		if err := c.PutApp(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
		for _, digit := range []string{"a", "b", "c"} {
			c.Upload(name, sha(digit))
		}
	}
	l := &launch.Launcher{Store: c, Sources: heavy{c}, Machine: m, Now: c.Now, Entropy: rand.Reader}
	return c, &trigger.Trigger{Store: c, Launcher: l, Now: c.Now}, m
}

// heavy is a cloud where the bundle of commit e is over its bound.
type heavy struct{ *apitest.Cloud }

func (h heavy) Stat(ctx context.Context, app, commit string) (*deploy.Bundle, error) {
	if commit == sha("e") {
		return nil, deploy.Errorf(deploy.TooLarge, "source", "the bundle holds too many bytes")
	}
	return h.Cloud.Stat(ctx, app, commit)
}

func commits(t *testing.T, tr *trigger.Trigger) func(event string) (*trigger.Answer, error) {
	h := trigger.Commit{Trigger: tr, Log: slog.New(slog.DiscardHandler)}
	return func(event string) (*trigger.Answer, error) { return h.Handle(t.Context(), json.RawMessage(event)) }
}

func fixture(t testing.TB, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(text, []byte(replace[i])) {
			t.Fatalf("%s has no %s", name, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

func count(t *testing.T, c *apitest.Cloud) int {
	t.Helper()
	all, _, err := c.List(t.Context(), deploy.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestEvents is docs/doors.md's table for what comes through EventBridge.
func TestEvents(t *testing.T) {
	cc, own := fixture(t, "codecommit.json"), fixture(t, "pushed.json")
	with := func(text string, replace ...string) string { return strings.NewReplacer(replace...).Replace(text) }
	for name, each := range map[string]struct {
		event  string
		places string // that it is deployed to
		why    string // it is ignored, or an error
		kind   deploy.Kind
	}{
		"codecommit":                 {cc, "source/production", "", ""},
		"codecommit, a new branch":   {with(cc, "referenceUpdated", "referenceCreated", `"oldCommitId": "9999999999999999999999999999999999999999",`, ""), "source/production", "", ""},
		"codecommit, a tag":          {with(cc, `"branch"`, `"tag"`), "", `"main" of shop-source is a tag`, ""},
		"codecommit, deleted":        {with(cc, "referenceUpdated", "referenceDeleted"), "", `"main" was deleted; what is live stays`, ""},
		"codecommit, a merge commit": {with(cc, "referenceUpdated", "unreferencedMergeCommitCreated"), "", "is no push", ""},
		"codecommit, unknown":        {with(cc, `"shop-source"`, `"shed"`), "", `no app has the repository "shed"`, ""},
		"codecommit, no commit":      {with(cc, sha("a"), "abc"), "", `commit: "abc" is not a commit`, deploy.Invalid},
		"codecommit, no name":        {with(cc, `"repositoryName": "shop-source"`, `"x": 1`), "", "detail.repositoryName: is missing", deploy.Invalid},
		"ours":                       {own, "admin/production shop/production", "", ""},
		"ours, other letters":        {with(own, "octo/shop", "OCTO/Shop"), "admin/production shop/production", "", ""},
		"ours, by app":               {with(own, `"repository": "octo/shop"`, `"app": "plain"`), "plain/production", "", ""},
		"ours, another branch":       {with(own, `"main"`, `"topic/x"`), "shop/preview", "", ""},
		"ours, nobody's branch":      {with(own, `"main"`, `"dev"`), "", `no environment of admin, shop deploys pushes to "dev"`, ""},
		"ours, unknown repository":   {with(own, "octo/shop", "octo/shed"), "", `repository: no app has "octo/shed"`, deploy.NotFound},
		"ours, unknown app":          {with(own, `"repository": "octo/shop"`, `"app": "shed"`), "", `there is no app "shed"`, deploy.NotFound},
		"ours, not its repository":   {with(own, `{"repository"`, `{"app": "plain", "repository"`), "", `"octo/shop" is not plain's`, deploy.Invalid},
		"ours, neither":              {with(own, `"repository": "octo/shop", `, ""), "", "repository: is missing", deploy.Invalid},
		"ours, no branch":            {with(own, `"branch": "main", `, ""), "", "branch: is missing", deploy.Invalid},
		"ours, zero commit":          {with(own, sha("a"), sha("0")), "", "was deleted", ""},
		"ours, no bundle":            {with(own, sha("a"), sha("d")), "", "no bundle of commit " + sha("d"), deploy.NotFound},
		"ours, not UTF-8":            {with(own, `"main"`, "\"\xff\""), "", "not UTF-8", ""},
		"ours, a list":               {with(own, `"branch": "main"`, `"branch": ["main"]`), "", "branch: is a list; want text", deploy.Invalid},
		"ours, more fields":          {with(own, `{"repository"`, `{"sender": {"id": 1}, "repository"`), "admin/production shop/production", "", ""},
		"ours, a field twice":        {with(own, `"branch": "main"`, `"branch": "dev", "branch": "main"`), "", "branch: is there twice", deploy.Invalid},
		"ours, another spelling":     {with(own, `"branch"`, `"Branch"`), "", "Branch: unknown; want branch", deploy.Invalid},
		"ours, both spellings":       {with(own, `"branch": "main"`, `"branch": "main", "BRANCH": "dev"`), "", "BRANCH: unknown; want branch", deploy.Invalid},
		"no time":                    {with(own, `"time"`, `"tim"`), "", "time: is missing", deploy.Invalid},
		"another event":              {with(own, "Commit Pushed", "Scheduled Event"), "", `"Scheduled Event" of "slipway" is none that tells of a commit`, deploy.Invalid},
		"no event":                   {"[]", "", "event: can't be read", deploy.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, tr, _ := world(t)
			answer, err := commits(t, tr)(each.event)
			if each.kind != "" {
				if deploy.KindOf(err) != each.kind || !strings.Contains(err.Error(), each.why) {
					t.Errorf("error %v, want %s %s", err, each.kind, each.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var places []string
			for _, l := range answer.Deployments {
				places = append(places, l.App+"/"+l.Environment)
			}
			if strings.Join(places, " ") != each.places || !strings.Contains(answer.Ignored, each.why) || (each.why == "") != (answer.Ignored == "") {
				t.Errorf("answer %+v", answer)
			}
		})
	}
}

// push sends a push of our own event, with times in seconds after nine; before is left out where it is "".
func push(t *testing.T, send func(string) (*trigger.Answer, error), commit, before string, second float64) trigger.Launched {
	t.Helper()
	detail := map[string]any{"app": "plain", "branch": "main", "commit": sha(commit), "pushed_at": nine.Add(time.Duration(second * float64(time.Second)))}
	if before != "" {
		detail["before"] = sha(before)
	}
	text, err := json.Marshal(map[string]any{"source": "slipway", "detail-type": "Commit Pushed", "time": nine, "detail": detail})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := send(string(text))
	if err != nil || len(answer.Deployments) != 1 {
		t.Fatalf("push of %s: %+v, %v", commit, answer, err)
	}
	return answer.Deployments[0]
}

// TestOnce: a push counts once, in whatever order its events come; one that puts an old commit back is another push.
func TestOnce(t *testing.T) {
	type sent struct {
		commit, before string
		second         float64
		want           string // the number of its deployment, from 1
	}
	for name, each := range map[string][]sent{
		"repeated":                       {{"a", "9", 1, "1"}, {"a", "9", 1, "1"}, {"a", "", 5, "1"}},
		"in turn":                        {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"c", "b", 3, "3"}},
		"repeated late":                  {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"a", "9", 1, "1"}},
		"back":                           {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"a", "b", 3, "3"}, {"a", "b", 3, "3"}},
		"back, what came before again":   {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"a", "b", 3, "3"}, {"b", "a", 2, "2"}, {"a", "9", 1, "3"}},
		"back and forth":                 {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"a", "b", 3, "3"}, {"b", "a", 4, "4"}, {"a", "b", 5, "5"}},
		"back, in one second":            {{"a", "9", 1, "1"}, {"b", "a", 1, "2"}, {"a", "b", 1, "3"}},
		"back over one that nobody told": {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"a", "c", 4, "3"}},
		"another door, without before":   {{"a", "9", 1, "1"}, {"b", "a", 2, "2"}, {"a", "", 9, "1"}},
		"overtaken":                      {{"b", "a", 2, "1"}, {"a", "9", 1, "1"}},
		"overtaken in one second":        {{"b", "a", 1, "1"}, {"a", "9", 1, "1"}},
		"a door with whole seconds":      {{"a", "9", 1.9, "1"}, {"b", "a", 1, "2"}, {"c", "b", 1.95, "3"}},
		"overtaken at such a door":       {{"b", "a", 1, "1"}, {"a", "9", 1.3, "1"}},
		"at such a door, without before": {{"a", "9", 1.9, "1"}, {"b", "", 1, "2"}},
		"overtaken within a second":      {{"b", "a", 1.9, "1"}, {"a", "", 1.3, "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, tr, _ := world(t)
			send, number := commits(t, tr), map[string]string{}
			last := ""
			for i, s := range each {
				c.Pass(-time.Millisecond) // a clock that goes back makes no id older
				l := push(t, send, s.commit, s.before, s.second)
				if number[l.Deployment] == "" {
					number[l.Deployment] = string(rune('1' + len(number)))
					if l.Deployment <= last {
						t.Errorf("push %d has the id %s, older than %s", i, l.Deployment, last)
					}
					last = l.Deployment
				}
				if number[l.Deployment] != s.want {
					t.Errorf("push %d is deployment %s (%s), want %s", i, number[l.Deployment], l.Note, s.want)
				}
			}
			if n := count(t, c); n != len(number) {
				t.Errorf("%d records for %d deployments", n, len(number))
			}
		})
	}
}

// TestFromTheFuture: a sender whose clock is wrong does not make all later pushes late.
func TestFromTheFuture(t *testing.T) {
	c, tr, _ := world(t)
	send := commits(t, tr)
	push(t, send, "a", "", 25*3600)
	if l := push(t, send, "b", "", 60); l.Note != "" || count(t, c) != 2 {
		t.Errorf("the next push: %+v", l)
	}
}

// TestNewestTriedAgain: a push that shows which one is newest launches that one. If its execution can't be started, the same event
// again launches it, though the newest push's own event never comes again.
func TestNewestTriedAgain(t *testing.T) {
	c, tr, m := world(t)
	send := commits(t, tr)
	push(t, send, "c", "b", 1)
	push(t, send, "a", "9", 2)

	m.fail = errors.New("throttled")
	joins := fixture(t, "pushed.json", `"repository": "octo/shop"`, `"app": "plain"`, `"commit": "`+sha("a"), `"before": "`+sha("a")+`", "commit": "`+sha("b"))
	if _, err := send(joins); err == nil || !strings.Contains(err.Error(), "throttled") {
		t.Fatal(err)
	}
	m.fail = nil
	for range 2 {
		answer, err := send(joins)
		if err != nil || len(answer.Deployments) != 1 {
			t.Fatalf("%+v, %v", answer, err)
		}
		d, err := c.Deployment(t.Context(), answer.Deployments[0].Deployment)
		if err != nil || d.CommitSHA != sha("c") || d.Status != deploy.Pending || count(t, c) != 4 {
			t.Errorf("%+v, %v; %d records", d, err, count(t, c))
		}
	}
}

// racing runs another event between what an event's try reads and its launch.
type racing struct {
	trigger.Launcher
	other func()
}

func (r *racing) Deploy(ctx context.Context, request launch.Request) (*deploy.Deployment, error) {
	if other := r.other; other != nil {
		r.other = nil
		other()
	}
	return r.Launcher.Deploy(ctx, request)
}

// TestLaunchedMeanwhile: if two events launch the newest push at the same time, the one that comes second stores its own push too.
func TestLaunchedMeanwhile(t *testing.T) {
	c, tr, m := world(t)
	send := commits(t, tr)
	event := func(commit, before string) string {
		return fixture(t, "pushed.json", `"repository": "octo/shop"`, `"app": "plain"`, `"commit": "`+sha("a"), `"before": "`+sha(before)+`", "commit": "`+sha(commit))
	}
	push(t, send, "c", "b", 1)
	push(t, send, "a", "9", 2)
	m.fail = errors.New("throttled")
	if _, err := send(event("b", "a")); err == nil {
		t.Fatal("launched")
	}

	m.fail = nil
	race := &racing{Launcher: tr.Launcher}
	race.other = func() {
		if _, err := send(event("b", "a")); err != nil {
			t.Error(err)
		}
	}
	tr.Launcher = race
	if _, err := send(event("9", "8")); err != nil || race.other != nil {
		t.Fatal(err)
	}
	tip, err := c.Tip(t.Context(), "plain", "production", "main")
	if err != nil || len(tip.Known) != 4 || count(t, c) != 4 {
		t.Errorf("known %+v, %v; %d records", tip, err, count(t, c))
	}
}

// TestTriedAgain: what failed on the way is launched when the event comes again, beside what was launched.
func TestTriedAgain(t *testing.T) {
	c, tr, m := world(t)
	send := commits(t, tr)
	m.fail = errors.New("throttled")
	if _, err := send(fixture(t, "pushed.json")); err == nil || !strings.Contains(err.Error(), "shop/production") || !strings.Contains(err.Error(), "admin/production") {
		t.Fatal(err)
	}
	m.fail = nil
	c.SetHead(deploy.Head{App: "shop", Environment: "production", Dirty: true, Holder: &deploy.Turn{Deployment: "deploy-20261122-110000000-cccccccc"}})
	c.Put(&deploy.Deployment{ID: "deploy-20261122-110000000-cccccccc", App: "shop", Environment: "production"})
	if _, err := send(fixture(t, "pushed.json")); err == nil || !strings.Contains(err.Error(), "shop/production: production is dirty") || strings.Contains(err.Error(), "admin") {
		t.Fatal(err)
	}
	c.SetHead(deploy.Head{App: "shop", Environment: "production"})
	answer, err := send(fixture(t, "pushed.json"))
	if err != nil || len(answer.Deployments) != 2 || answer.Deployments[0].Note != "launched before" || answer.Deployments[1].Note != "" {
		t.Fatalf("%+v, %v", answer, err)
	}
	for _, l := range answer.Deployments {
		if d, err := c.Deployment(t.Context(), l.Deployment); err != nil || d.Status != deploy.Pending || d.Metadata["started_by"] != "push" {
			t.Errorf("%+v, %v", d, err)
		}
	}
}
