package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// newPushed makes an app whose pushes to main deploy by themselves.
func newPushed(t *testing.T, repository string) *app {
	t.Helper()
	return newApp(t).pushed(repository)
}

func (a *app) pushed(repository string) *app {
	a.Source.Repository = repository
	s := a.Environments["production"]
	s.DeployOnPush = []string{"main"}
	a.Environments["production"] = s
	a.apply()
	return a
}

// putEvent is a program in Python with AWS's own library: it puts one event on a bus.
const putEvent = `
import json, sys, botocore.session
session = botocore.session.get_session()
bus, source, kind, detail = sys.argv[1:]
if source.startswith("aws."):
    # Nobody but AWS may put these. What the rule lets through is asked of the rule, and the function is called as it would be.
    event = json.dumps({"version": "0", "id": "1", "detail-type": kind, "source": source, "account": "000000000000",
        "time": "2026-11-25T09:00:00Z", "region": "us-east-1", "resources": [], "detail": json.loads(detail)})
    events = session.create_client("events")
    rules = [r for r in events.list_rules()["Rules"] if source in r.get("EventPattern", "")]
    matches = [events.test_event_pattern(EventPattern=r["EventPattern"], Event=event)["Result"] for r in rules]
    out = session.create_client("lambda").invoke(FunctionName="slipway-commit", InvocationType="Event", Payload=event)
    sys.exit(0 if True in matches and out["StatusCode"] == 202 else "no rule for it: %s" % rules)
out = session.create_client("events").put_events(Entries=[{"EventBusName": bus, "Source": source, "DetailType": kind, "Detail": detail}])
sys.exit(out["FailedEntryCount"])
`

func put(t *testing.T, bus, source, kind string, detail map[string]any) {
	t.Helper()
	if out, err := offer(t, bus, source, kind, detail); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// offer is put of an event that may be refused.
func offer(t *testing.T, bus, source, kind string, detail map[string]any) (string, error) {
	t.Helper()
	text, err := json.Marshal(detail)
	if err != nil {
		t.Fatal(err)
	}
	return try(t, nil, filepath.Join("..", "..", ".slipway", "venv", "bin", "python3"), "-c", putEvent, bus, source, kind, string(text))
}

// shell runs a command in the local cloud's environment, and gives what it prints.
func shell(t *testing.T, in []byte, args ...string) string {
	t.Helper()
	out, err := try(t, in, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return out
}

func try(t *testing.T, in []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), append(world.cloud.Environ(world.out), "AWS_DEFAULT_REGION=us-east-1")...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// liveIs waits until a commit is live, and gives its deployment.
func (a *app) liveIs(commit string) *deploy.Deployment {
	a.t.Helper()
	h := waitFor(a.t, "commit "+commit[:8]+" of "+a.name+" to be live", func() (*deploy.Head, bool) {
		h := a.head("production")
		return h, h.Live != nil && h.Live.CommitSHA == commit && h.Holder == nil
	})
	d, err := world.store.Deployment(a.t.Context(), h.Live.Deployment)
	if err != nil {
		a.t.Fatal(err)
	}
	return d
}

// deployments lists those of the app, the newest first.
func (a *app) deployments() []deploy.Deployment {
	a.t.Helper()
	var all []deploy.Deployment
	for cursor := ""; ; {
		page, next, err := world.store.List(a.t.Context(), deploy.Query{App: a.name, Limit: deploy.MaxPage, Cursor: cursor})
		if err != nil {
			a.t.Fatal(err)
		}
		all = append(all, page...)
		if cursor = next; next == "" {
			return all
		}
	}
}

// TestEventDoors puts events as a program of somebody's does: CodeCommit's, and ours on either bus, each twice.
func TestEventDoors(t *testing.T) {
	newApp(t)
	source := "source-" + randomText()
	for name, each := range map[string]struct {
		bus, source, kind string
		detail            func(app, commit string) map[string]any
	}{
		"ours": {"default", trigger.OwnSource, trigger.OwnType, func(app, commit string) map[string]any {
			return map[string]any{"app": app, "commit": commit, "branch": "main"}
		}},
		"ours on bus": {world.out.EventBus, trigger.OwnSource, trigger.OwnType, func(app, commit string) map[string]any {
			return map[string]any{"app": app, "commit": commit, "branch": "main"}
		}},
		"codecommit": {"default", trigger.CodeCommitSource, trigger.CodeCommitType, func(_, commit string) map[string]any {
			return map[string]any{"event": "referenceUpdated", "repositoryName": source, "referenceType": "branch", "referenceName": "main",
				"referenceFullName": "refs/heads/main", "commitId": commit, "oldCommitId": strings.Repeat("9", 40)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			repository := ""
			if name == "codecommit" {
				repository = source
			}
			a := newPushed(t, repository)
			sha := a.commit("one", config())
			for range 2 {
				put(t, each.bus, each.source, each.kind, each.detail(a.name, sha))
			}
			if d := a.liveIs(sha); d.Branch != "main" || d.Metadata["started_by"] != "push" || a.read("live") != "one" {
				t.Errorf("%+v, live %q", d, a.read("live"))
			}
			if all := a.deployments(); len(all) != 1 {
				t.Errorf("%d deployments of one event that came twice", len(all))
			}
		})
	}
}

const hookSecret = "a-secret-of-GitHub's-and-ours"

var hookOnce sync.Once

// hook sends GitHub's webhook by curl with a signature made by openssl, as its documentation has it, and gives the answer and its status.
func (a *app) hook(body []byte, event, delivery string) (says, status string) {
	a.t.Helper()
	hookOnce.Do(func() { keep(a.t, "github-webhook", hookSecret) })
	signature, _, _ := strings.Cut(shell(a.t, body, "openssl", "dgst", "-sha256", "-hmac", hookSecret, "-r"), " ")
	return a.hookSigned(body, event, delivery, signature)
}

func (a *app) hookSigned(body []byte, event, delivery, signature string) (says, status string) {
	a.t.Helper()
	out := shell(a.t, body, "curl", "--silent", "--max-time", "20", "--write-out", `\n%{http_code} %{time_total}`, world.out.API+"/webhooks/github",
		"--header", "Content-Type: application/json", "--header", "X-GitHub-Event: "+event, "--header", "X-GitHub-Delivery: "+delivery,
		"--header", "X-Hub-Signature-256: sha256="+signature, "--data-binary", "@-")
	last := strings.LastIndex(out, "\n")
	status, seconds, _ := strings.Cut(out[last+1:], " ")
	a.t.Logf("%s answered with %s in %s s", event, status, seconds)
	return strings.TrimSpace(out[:last]), status
}

// TestWebhookDoor: a push of GitHub's is deployed once, and what isn't signed not at all.
func TestWebhookDoor(t *testing.T) {
	a := newPushed(t, "octo/shop-"+randomText())
	sha := a.commit("hooked", config())
	body := fmt.Appendf(nil, `{"ref":"refs/heads/main","before":"%s","after":"%s","repository":{"full_name":"%s","pushed_at":%d},"note":"é, \u00e9"}`,
		strings.Repeat("0", 40), sha, a.Source.Repository, time.Now().Unix())
	if says, status := a.hook(body, "ping", a.name); status != "200" || !strings.Contains(says, "the secret is right") {
		t.Errorf("ping: %s %s", status, says)
	}
	first, status := a.hook(body, "push", a.name)
	var answer trigger.Answer
	if err := json.Unmarshal([]byte(first), &answer); err != nil || status != "202" || len(answer.Deployments) != 1 {
		t.Fatalf("%s %s, %v", status, first, err)
	}
	if again, status := a.hook(body, "push", a.name); again != first || status != "202" {
		t.Errorf("again: %s %s", status, again)
	}
	if says, status := a.hookSigned(body, "push", a.name, strings.Repeat("0", 64)); status != "401" || !strings.Contains(says, "does not fit") {
		t.Errorf("a bad signature: %s %s", status, says)
	}
	if d := a.liveIs(sha); d.ID != answer.Deployments[0].Deployment || a.read("live") != "hooked" || len(a.deployments()) != 1 {
		t.Errorf("live is %s of %d, told %+v", d.ID, len(a.deployments()), answer)
	}
}

// TestDeadLetters: an event that can't be processed waits, and is sent again once its cause is mended.
func TestDeadLetters(t *testing.T) {
	localtest.Needs(t, localtest.FailedTarget)
	a := newPushed(t, "")
	slipway, err := filepath.Abs("../../bin/slipway")
	if err != nil {
		t.Fatal(err)
	}
	early := strings.Repeat("e", 40) // whose bundle is uploaded too late
	put(t, "default", trigger.OwnSource, trigger.OwnType, map[string]any{"app": a.name, "commit": early, "branch": "main"})
	put(t, "default", trigger.OwnSource, trigger.OwnType, map[string]any{"app": a.name, "commit": "no commit", "branch": "main"})
	type letter struct{ ID, Why, Result string }
	mine := func(text string) (bad, good letter, n int) {
		var found []struct {
			letter
			Event struct{ Detail struct{ App, Commit string } }
		}
		if err := json.Unmarshal([]byte(text), &found); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, l := range found {
			switch {
			case l.Event.Detail.App != a.name:
				continue
			case l.Event.Detail.Commit == early:
				good = l.letter
			default:
				bad = l.letter
			}
			n++
		}
		return bad, good, n
	}
	waitFor(t, "both events to be given up", func() (int, bool) {
		bad, good, n := mine(shell(t, nil, slipway, "events", "list", "-o", "json"))
		return n, n == 2 && strings.Contains(bad.Why, `"no commit" is not a commit`) && strings.Contains(good.Why, "no bundle of commit "+early)
	})
	if _, good, n := mine(shell(t, nil, slipway, "events", "redrive", "--dry-run", "-o", "json")); n != 2 || good.Result != "would be sent" || len(a.deployments()) != 0 {
		t.Errorf("dry: %d, %+v", n, good)
	}
	bundle := a.commit("late", config())
	a.rename(bundle, early)
	out, err := try(t, nil, slipway, "events", "redrive", "-o", "json")
	if err == nil || !strings.Contains(out, "failed again, and stay") {
		t.Errorf("one of them can't ever be right: %v\n%s", err, out)
	}
	list, _, _ := strings.Cut(out, "\nslipway: ")
	bad, good, n := mine(list)
	if n != 2 || !strings.HasPrefix(good.Result, "deploy-") || !strings.HasPrefix(bad.Result, "failed again: ") {
		t.Errorf("%d: %+v, %+v", n, good, bad)
	}
	if d := a.liveIs(early); d.ID != good.Result || len(a.deployments()) != 1 {
		t.Errorf("live is %s, told %s", d.ID, good.Result)
	}
	shell(t, nil, slipway, "events", "redrive", "--drop", bad.ID)
	if _, _, n := mine(shell(t, nil, slipway, "events", "list", "-o", "json")); n != 0 {
		t.Errorf("%d events are left", n)
	}
}
