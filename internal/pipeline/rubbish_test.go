package pipeline_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/trigger"
)

// TestWebhookRubbish is what docs/doors.md says of what deploys nothing, over the wire: curl, the gateway, the function.
func TestWebhookRubbish(t *testing.T) {
	a := newPushed(t, "octo/shop-"+randomText())
	sha, zero := a.commit("one", config()), strings.Repeat("0", 40)
	right := a.payload(push{"main", zero, sha, time.Now()})
	with := func(old, new string) []byte {
		if !bytes.Contains(right, []byte(old)) {
			t.Fatalf("the payload has no %s", old)
		}
		return bytes.ReplaceAll(right, []byte(old), []byte(new))
	}
	for name, row := range map[string]struct {
		body         []byte
		status, says string
	}{
		"a tag":               {with("refs/heads/main", "refs/tags/v1"), "202", `\"v1\" is a tag`},
		"a deleted branch":    {with(`"after":"`+sha, `"after":"`+zero), "202", `\"main\" was deleted; what is live stays`},
		"nobody's branch":     {with("refs/heads/main", "refs/heads/dev"), "202", `deploys pushes to \"dev\"`},
		"unknown repository":  {with(a.Source.Repository, a.Source.Repository+"x"), "202", "no app has the repository"},
		"a name not in UTF-8": {with("refs/heads/main", "refs/heads/\ufffd\ufffd"), "202", "not UTF-8"}, // as GitHub writes it in JSON
		"no commit":           {with(`"after":"`+sha, `"after":"main`), "400", `\"main\" is not a commit`},
		"no JSON":             {right[1:], "400", "no push that GitHub sends"},
		"over 6 MiB":          {a.commits(right, 15000), "413", "6291456"},
	} {
		for range 2 { // the second time as a replay
			if says, status := a.hook(row.body, "push", a.name+"/"+strings.ReplaceAll(name, " ", "-")); status != row.status || !strings.Contains(says, row.says) {
				t.Errorf("%s: %s %s, want %s %s", name, status, says, row.status, row.says)
			}
		}
	}
	if says, status := a.hookSigned(right, "push", a.name, strings.Repeat("0", 64)); status != "401" || len(a.deployments()) != 0 {
		t.Errorf("a bad signature: %s %s; %d deployments", status, says, len(a.deployments()))
	}
	many := a.commits(right, 2000)
	if says, status := a.hook(many, "push", a.name); status != "202" || !fits(says, launched) {
		t.Errorf("2,000 commits in %d bytes: %s %s", len(many), status, says)
	}
	a.liveIs(sha)
}

// commits makes a push one of so many commits.
func (a *app) commits(payload []byte, n int) []byte {
	a.t.Helper()
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil {
		a.t.Fatal(err)
	}
	one := all["commits"].([]any)[0]
	many := make([]any, n)
	for i := range many {
		many[i] = one
	}
	all["commits"] = many
	text, err := json.Marshal(all)
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// TestEventRubbish is the same for events that come over a bus: each is told in the log with why it deploys nothing.
func TestEventRubbish(t *testing.T) {
	a := newPushed(t, "source-"+randomText())
	sha := a.commit("one", config())
	codeCommit := func(event, reference, name string) map[string]any {
		return map[string]any{"event": event, "repositoryName": a.Source.Repository, "referenceType": reference, "referenceName": name,
			"referenceFullName": "refs/heads/" + name, "commitId": sha, "oldCommitId": strings.Repeat("9", 40)}
	}
	for name, row := range map[string]struct {
		source, kind string
		detail       map[string]any
		kept         bool // by the rule from the function, which knows all the same
		says         []string
	}{
		"a tag":            {trigger.CodeCommitSource, trigger.CodeCommitType, codeCommit("referenceCreated", "tag", "v1"), true, []string{a.Source.Repository, `v1\" of `, "is a tag"}},
		"a deleted branch": {trigger.CodeCommitSource, trigger.CodeCommitType, codeCommit("referenceDeleted", "branch", a.name+"-gone"), false, []string{a.name + "-gone", "was deleted; what is live stays"}},
		"nobody's branch":  {trigger.CodeCommitSource, trigger.CodeCommitType, codeCommit("referenceUpdated", "branch", "dev"), false, []string{" of " + a.name + " deploys pushes to", `dev\"`}},
		"no commit":        {trigger.OwnSource, trigger.OwnType, map[string]any{"app": a.name, "branch": "main", "commit": a.name}, false, []string{"commit: ", a.name + `\" is not a commit`}},
		"no such app":      {trigger.OwnSource, trigger.OwnType, map[string]any{"app": a.name + "-none", "branch": "main", "commit": sha}, false, []string{"there is no app", a.name + "-none"}},
		"not UTF-8":        {trigger.OwnSource, trigger.OwnType, map[string]any{"app": a.name, "branch": "\ufffd", "commit": sha}, false, []string{"the branch's name is not UTF-8"}},
	} {
		out, err := offer(t, "default", row.source, row.kind, row.detail)
		if kept := strings.Contains(out, "no rule for it"); kept != row.kept || kept != (err != nil) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
		waitFor(t, name+" to be told of", func() (int, bool) {
			return 0, logged(t, "commit", func(line string) bool {
				return !slices.ContainsFunc(row.says, func(part string) bool { return !strings.Contains(line, part) })
			})
		})
	}
	if n := len(a.deployments()); n != 0 {
		t.Errorf("%d deployments, want none", n)
	}
}
