package trigger_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// TestStrangersRingNoAlarm: whatever a stranger sends is answered 401, and is no error of the function, whose
// alarm counts those. That holds where nobody has set a webhook up, and for what is too large.
func TestStrangersRingNoAlarm(t *testing.T) {
	push := []byte(fixture(t, "github_push.json"))
	guess := "a-secret-that-a-stranger-guesses"
	requests := map[string]events.APIGatewayProxyRequest{
		"a wrong signature": delivery(push, guess),
		"too large":         delivery(filesOf(t, 90_000), guess),
		"no signature":      delivery(push, guess),
		"nothing":           {HTTPMethod: "POST", Path: "/webhooks/github"},
	}
	delete(requests["no signature"].Headers, "X-Hub-Signature-256")

	for state, lookErr := range map[string]error{
		"a secret":  nil,
		"no secret": deploy.Errorf(deploy.NotFound, "", "there is no secret"),
	} {
		for name, r := range requests {
			h := newHook(t)
			h.lookErr = lookErr
			if out, err := h.Lambda(t.Context(), r); err != nil || out.StatusCode != 401 {
				t.Errorf("%s, %s: %d, %v; want 401 and no error", state, name, out.StatusCode, err)
			}
			if log := h.log.String(); strings.Contains(log, "level=ERROR") || strings.Count(log, "\n") != 1 {
				t.Errorf("%s, %s: the log has %s", state, name, log)
			}
		}
	}
}

// recorded is a push of main as GitHub signed it, which anybody who saw it can send again.
func recorded(before, after string, at time.Time) []byte {
	const push = `{"ref":"refs/heads/main","before":%q,"after":%q,"repository":{"full_name":"Octo/shop","pushed_at":%d}}`
	return fmt.Appendf(nil, push, before, after, at.Unix())
}

// hexOf is the n-th commit of a test.
func hexOf(n int) string { return fmt.Sprintf("%040x", n+16) }

// TestReplayedPush: a recorded push under another delivery id deploys nothing, whatever was pushed since, and
// however long ago it was.
func TestReplayedPush(t *testing.T) {
	type pushed struct{ before, after int }
	many := []pushed{{0, 1}}
	for n := 1; n < 30; n++ { // more than the branch's history holds
		many = append(many, pushed{n, n + 1})
	}
	const month = trigger.Remembered + time.Hour
	for name, row := range map[string]struct {
		pushes []pushed
		replay int           // which of them
		after  time.Duration // the last
	}{
		"the newest, at once":                 {[]pushed{{0, 1}}, 0, 0},
		"the newest, after a month":           {[]pushed{{0, 1}}, 0, month},
		"an older one":                        {[]pushed{{0, 1}, {1, 2}, {2, 3}}, 1, time.Hour},
		"an older one, after a month":         {[]pushed{{0, 1}, {1, 2}, {2, 3}}, 1, month},
		"one that was forgotten":              {many, 0, time.Hour},
		"one that was forgotten, much later":  {many, 0, month},
		"one that was taken back":             {[]pushed{{0, 1}, {1, 2}, {2, 1}}, 1, time.Hour},
		"one that was taken back, much later": {[]pushed{{0, 1}, {1, 2}, {2, 1}}, 1, month},
		"one that was taken back long before": {append([]pushed{
			{0, 1},
			{1, 2},
			{2, 1},
		}, many[1:]...), 1, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			var bodies [][]byte
			for _, p := range row.pushes {
				h.cloud.Upload("shop", hexOf(p.after))
				h.cloud.Upload("admin", hexOf(p.after))
				bodies = append(bodies, recorded(hexOf(p.before), hexOf(p.after), h.cloud.Now()))
				r := delivery(bodies[len(bodies)-1], secret)
				r.Headers["X-GitHub-Delivery"] = fmt.Sprint(name, len(bodies))
				if status, says := h.send(t, r); status != 202 {
					t.Fatalf("%d %s", status, says)
				}
				h.cloud.Pass(10 * time.Minute)
			}
			h.cloud.Pass(row.after)
			before := count(t, h.cloud)

			for i := range 3 {
				r := delivery(bodies[row.replay], secret)
				r.Headers["X-GitHub-Delivery"] = fmt.Sprint("another ", i)
				status, says := h.send(t, r)
				if n := count(t, h.cloud); status != 202 || n != before {
					t.Fatalf("%d %s; %d deployments, before %d", status, says, n, before)
				}
			}
		})
	}
}

// TestReplayUnderAnotherEvent: GitHub's signature covers the body alone. A body of another event says no
// commit that could be deployed, and a push under another event's name deploys nothing.
func TestReplayUnderAnotherEvent(t *testing.T) {
	h := newHook(t)
	for name, body := range map[string]string{
		"create": `{"ref":"main","ref_type":"branch","repository":{"full_name":"Octo/shop"}}`,
		"workflow_dispatch": `{"ref":"refs/heads/main","inputs":{"after":"` + sha("a") +
			`"},"repository":{"full_name":"Octo/shop"}}`,
		"pull_request": `{"action":"synchronize","before":"` + sha("9") + `","after":"` + sha("a") +
			`","repository":{"full_name":"Octo/shop"}}`,
	} {
		status, says := h.send(t, delivery([]byte(body), secret))
		var answer trigger.Answer
		_ = json.Unmarshal([]byte(says), &answer)
		if status == 502 || len(answer.Deployments) > 0 || count(t, h.cloud) != 0 {
			t.Errorf("%s: %d %s", name, status, says)
		}
	}
	r := delivery([]byte(fixture(t, "github_push.json")), secret)
	r.Headers["X-GitHub-Event"] = "release"
	if status, says := h.send(t, r); status != 202 || count(t, h.cloud) != 0 {
		t.Errorf("%d %s", status, says)
	}
}
