package trigger_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// zero is how git writes that there is no commit.
var zero = sha("0")

// step is one push to the branch main of plain: from a commit to another, zero where the branch was not there.
type step struct {
	before, commit string
	at             time.Time // by a clock that is right
}

// branch is main as it really was: n pushes that put earlier commits back, and delete and create the branch. No step is taken twice
// unless repeats says so. It begins with a commit to which it never returns, and doesn't end deleted.
func branch(r *rand.Rand, n int, repeats bool) []step {
	digits := []string{sha("1"), sha("2"), sha("3"), sha("4"), sha("5"), zero}
	at, now := sha("9"), nine
	var steps []step
	taken := map[string]bool{}
	for len(steps) < n || at == zero {
		next := digits[r.IntN(len(digits))]
		if next == at || len(steps) >= n && next == zero || taken[at+next] && !repeats {
			if len(steps) > 3*n || r.IntN(50) == 0 && at != zero {
				break
			}
			continue
		}
		taken[at+next] = true
		now = now.Add(time.Duration(1+r.IntN(90)) * time.Second)
		steps = append(steps, step{at, next, now})
		at = next
	}
	return steps
}

// clocks are the forms in which a sender may say a time.
var clocks = []func(time.Time) any{
	func(t time.Time) any { return t.Unix() },
	func(t time.Time) any { return t.UnixMilli() },
	func(t time.Time) any { return fmt.Sprint(t.Unix()) },
	func(t time.Time) any { return t.Format(time.RFC3339) },
	func(t time.Time) any { return t.Format(time.RFC3339Nano) },
	func(t time.Time) any { return t.Format("2006-01-02T15:04:05") },
	func(t time.Time) any { return t.In(time.FixedZone("", 2*3600)).Format("2006-01-02 15:04:05 -0700") },
	func(time.Time) any { return "yesterday" },
	func(time.Time) any { return nil },
	func(time.Time) any { return map[string]any{"at": 7} },
}

// ownEvent tells of a step by our own event, at a moment, by a clock with any skew and in any form.
func ownEvent(r *rand.Rand, s step, told time.Time) string {
	detail := map[string]any{"app": "plain", "branch": "main", "commit": s.commit, "before": s.before}
	if r.IntN(4) > 0 {
		detail["pushed_at"] = clocks[r.IntN(len(clocks))](s.at.Add(time.Duration(r.IntN(20)-10) * time.Hour))
	}
	if r.IntN(2) == 0 {
		detail["branch"] = "refs/heads/main"
	}
	text, _ := json.Marshal(map[string]any{"source": "slipway", "detail-type": "Commit Pushed", "time": told.Truncate(time.Second), "detail": detail})
	return string(text)
}

// TestNewestPushWins tells of each push to a branch, through one door or two, some without what they replaced, some twice, by
// clocks that are hours off or none, in any order: in the end the newest commit is what was deployed last.
func TestNewestPushWins(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 1))
		steps := branch(r, 2+r.IntN(9), false)
		var told []string
		times := map[string]int{}
		for _, s := range steps {
			times[s.commit]++
		}
		for _, s := range steps {
			own := ownEvent(r, s, nine.Add(time.Duration(r.IntN(7200))*time.Second))
			theirs := codeCommitEvent(s, nine.Add(time.Duration(r.IntN(7200))*time.Second))
			switch r.IntN(5) {
			case 0:
				told = append(told, own)
			case 1:
				told = append(told, own, own)
			case 2:
				told = append(told, own, theirs)
			case 3:
				told = append(told, theirs)
			case 4:
				told = append(told, theirs, theirs)
				if times[s.commit] == 1 && s.commit != zero { // one that was put back can't be told without what it replaced
					told = append(told, strings.Replace(own, `"before":"`+s.before+`",`, "", 1))
				}
			}
		}
		r.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		checkNewest(t, seed, steps, told)
	}
}

// TestRepeatedSteps takes the same steps again and again, as GitHub tells of them: in any order, each at least once.
func TestRepeatedSteps(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		steps := branch(r, 2+r.IntN(9), true)
		skew := time.Duration(r.IntN(20)-10) * time.Hour
		var told []string
		for _, s := range steps {
			for range 1 + r.IntN(2) {
				told = append(told, codeCommitEvent(s, s.at.Add(skew)))
			}
		}
		r.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		checkNewest(t, seed, steps, told)
	}
}

// TestMissingPushes leaves out pushes and what they replaced, and tells of the others in their order, by clocks that are hours off:
// the last one that was told of is the newest.
func TestMissingPushes(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		steps := []step{{sha("9"), sha("1"), nine}}
		for _, digit := range []string{"2", "3", "4", "5"} {
			last := steps[len(steps)-1]
			steps = append(steps, step{last.commit, sha(digit), last.at.Add(time.Duration(r.IntN(90)) * time.Second)})
		}

		var told []string
		for i, s := range steps {
			if r.IntN(3) == 0 && i < len(steps)-1 {
				continue
			}
			event := ownEvent(r, s, s.at)
			if r.IntN(2) == 0 {
				event = strings.Replace(event, `"before":"`+s.before+`",`, "", 1)
			}
			told = append(told, event)
		}
		checkNewest(t, seed, steps, told)
	}
}

func codeCommitEvent(s step, at time.Time) string {
	detail := map[string]any{"event": "referenceUpdated", "repositoryName": "octo-plain", "referenceType": "branch", "referenceName": "main",
		"commitId": s.commit, "oldCommitId": s.before}
	switch zero {
	case s.before:
		detail["event"] = "referenceCreated"
	case s.commit:
		detail["event"] = "referenceDeleted"
	}
	text, _ := json.Marshal(map[string]any{"source": "aws.codecommit", "detail-type": "CodeCommit Repository State Change", "time": at.Truncate(time.Second), "detail": detail})
	return string(text)
}

// checkNewest tells of pushes, and checks what the last deployment is of.
func checkNewest(t *testing.T, seed uint64, steps []step, told []string) {
	t.Helper()
	c, tr, _ := world(t)
	c.Pass(24 * time.Hour)
	repository := deploy.Source{Repository: "octo-plain"}
	if err := c.PutApp(t.Context(), &deploy.App{Name: "plain", Source: repository, Environments: map[string]deploy.Settings{"production": {DeployOnPush: []string{"main"}}}, Version: 1}); err != nil {
		t.Fatal(err)
	}
	for _, digit := range []string{"1", "2", "3", "4", "5", "9"} {
		c.Upload("plain", sha(digit))
	}

	send := commits(t, tr)
	for i, event := range told {
		if _, err := send(event); err != nil {
			t.Fatalf("seed %d: event %d: %v\n%s", seed, i, err, event)
		}
		c.Pass(time.Millisecond)
	}

	want := steps[len(steps)-1].commit
	tip, err := c.Tip(t.Context(), "plain", "production", "main")
	if err != nil || tip == nil || tip.CommitSHA != want || lastOf(t, c) != want {
		t.Fatalf("seed %d: deployed last is %.1s, want %.1s (%v)\npushes:%s\ntold:%s\nknown:%s", seed, lastOf(t, c), want, err, path(steps),
			strings.Join(append([]string{""}, told...), "\n"), known(tip))
	}
}

func known(tip *deploy.Tip) string {
	text := ""
	for _, each := range tip.Known {
		text += fmt.Sprintf(" %.1s-%.1s@%s%v", each.Before, each.CommitSHA, each.Told.Format("15:04:05"), slices.Sorted(maps.Keys(each.Doors)))
	}
	return text
}

func path(steps []step) string {
	text := ""
	for _, s := range steps {
		text += fmt.Sprintf(" %.1s-%.1s", s.before, s.commit)
	}
	return text
}

// lastOf is the commit of the deployment with the last id.
func lastOf(t *testing.T, c *apitest.Cloud) string {
	t.Helper()
	all, _, err := c.List(t.Context(), deploy.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return ""
	}
	return all[0].CommitSHA
}

// TestLatePushes: one that comes when the branch has moved on deploys nothing, and names what is deployed.
func TestLatePushes(t *testing.T) {
	_, tr, _ := world(t)
	send := commits(t, tr)
	push(t, send, "c", "b", 1)
	if l := push(t, send, "b", "a", 9*3600); !strings.Contains(l.Note, "a later push is deployed: "+sha("c")) {
		t.Errorf("replaced by a push that came before it: %+v", l)
	}
	if l := push(t, send, "a", "9", 9*3600); !strings.Contains(l.Note, sha("c")) {
		t.Errorf("two pushes before: %+v", l)
	}
}

// TestCreatedAgain deletes a branch and creates it again at its commit, while another branch of the environment went live. In any
// order of its three events, each sent twice, the commit is deployed again, and no event deploys it a second time.
func TestCreatedAgain(t *testing.T) {
	created, deleted, again := step{zero, sha("1"), nine}, step{sha("1"), zero, nine.Add(2 * time.Minute)}, step{zero, sha("1"), nine.Add(3 * time.Minute)}
	for name, each := range map[string]struct {
		first, rest []step // before and after main is deployed
		want        string // the commits in the order in which they were deployed
	}{
		"in order":                     {[]step{created}, []step{deleted, again}, "121"},
		"deletion last":                {[]step{created}, []step{again, deleted}, "121"},
		"deletion lost":                {[]step{created}, []step{again}, "121"},
		"deletion before main":         {[]step{created, deleted}, []step{again}, "121"},
		"first creation late":          {[]step{again}, []step{created, deleted}, "12"},
		"first creation last":          {[]step{again}, []step{deleted, created}, "12"},
		"both late":                    {[]step{deleted, again}, []step{created}, "12"},
		"moved there, in one second":   {[]step{{sha("9"), sha("1"), nine}}, []step{{sha("1"), zero, nine}, {zero, sha("1"), nine}}, "121"},
		"moved there late, one second": {[]step{{zero, sha("1"), nine}}, []step{{sha("9"), sha("1"), nine}, {sha("1"), zero, nine}}, "12"},
	} {
		t.Run(name, func(t *testing.T) {
			c, tr, _ := world(t)
			settings := deploy.Settings{DeployOnPush: []string{"main", "topic/*"}}
			if err := c.PutApp(t.Context(), &deploy.App{Name: "plain", Source: deploy.Source{Repository: "octo-plain"}, Environments: map[string]deploy.Settings{"production": settings}, Version: 1}); err != nil {
				t.Fatal(err)
			}
			for _, digit := range []string{"1", "2"} {
				c.Upload("plain", sha(digit))
			}
			send := commits(t, tr)
			tell := func(branch string, steps ...step) {
				for _, s := range steps {
					event := strings.Replace(codeCommitEvent(s, s.at), `"main"`, `"`+branch+`"`, 1)
					if _, err := send(event); err != nil {
						t.Fatal(err)
					}
					c.Pass(time.Minute)
				}
			}
			tell("topic/x", each.first...)
			tell("main", step{zero, sha("2"), nine.Add(time.Minute)})
			tell("topic/x", each.rest...)
			tell("topic/x", append(each.first, each.rest...)...)
			tell("topic/x", each.rest...)

			all, _, err := c.List(t.Context(), deploy.Query{Limit: 100})
			got := ""
			for _, d := range slices.Backward(all) {
				got += d.CommitSHA[:1]
			}
			if err != nil || got != each.want {
				t.Errorf("deployed %s, want %s; %v", got, each.want, err)
			}
		})
	}
}

// TestJoined: pushes that were taken for the newest, since nobody said what came between, give way once that is told.
func TestJoined(t *testing.T) {
	c, tr, _ := world(t)
	send := commits(t, tr)
	push(t, send, "c", "b", 1)
	if l := push(t, send, "a", "9", 2); l.Note != "" {
		t.Fatalf("nothing says that it is older: %+v", l)
	}
	l := push(t, send, "b", "a", 3)
	d, err := c.Deployment(t.Context(), l.Deployment)
	if err != nil || d.CommitSHA != sha("c") || !strings.Contains(l.Note, "a later push is deployed: "+sha("c")) || lastOf(t, c) != sha("c") {
		t.Errorf("%+v, %v; %s is deployed", l, err, lastOf(t, c))
	}
}

// TestManyPushes: what is remembered of a branch is bounded, and order holds all the same.
func TestManyPushes(t *testing.T) {
	c, tr, _ := world(t)
	send := commits(t, tr)
	name := func(i int) string { return fmt.Sprintf("%040x", i) }
	for i := 1; i <= 100; i++ {
		c.Upload("plain", name(i))
		text := ownEvent(rand.New(rand.NewPCG(uint64(i), 4)), step{name(i - 1), name(i), nine}, nine)
		for range 2 {
			if _, err := send(text); err != nil {
				t.Fatal(err)
			}
		}
		if i > 1 { // the one before comes once more
			again := ownEvent(rand.New(rand.NewPCG(uint64(i-1), 4)), step{name(i - 2), name(i - 1), nine}, nine)
			if _, err := send(again); err != nil {
				t.Fatal(err)
			}
		}
		tip, err := c.Tip(t.Context(), "plain", "production", "main")
		if err != nil || tip.CommitSHA != name(i) || len(tip.Known) > 20 {
			t.Fatalf("push %d: %d known, at %s, %v", i, len(tip.Known), tip.CommitSHA, err)
		}
	}
	if n := count(t, c); n != 100 {
		t.Errorf("%d deployments of 100 pushes", n)
	}
}

// deliver sends a push to main of shop-source as GitHub does, and returns the answer.
func deliver(t *testing.T, h *hook, s step, id string) string {
	t.Helper()
	text := fixture(t, "github_push.json")
	body := strings.NewReplacer(`"after": "`+sha("a"), `"after": "`+s.commit, sha("9"), s.before, "1795597200", fmt.Sprint(s.at.Unix()), "Octo/shop", "shop-source").Replace(text)
	r := delivery([]byte(body), secret)
	r.Headers["X-GitHub-Delivery"] = id
	status, says := h.send(t, r)
	if status != 202 {
		t.Fatal(status, says)
	}
	return says
}

// TestLostThenBack: a push goes back to an earlier commit, and the delivery of a push between is lost. What remains connects
// the wrong way round; GitHub's clock shows it.
func TestLostThenBack(t *testing.T) {
	for name, each := range map[string]struct {
		steps []step
		want  string
	}{
		"the first push known":         {[]step{{sha("a"), sha("b"), nine}, {sha("c"), sha("a"), nine.Add(time.Hour)}}, "a"},
		"told in the other order":      {[]step{{sha("c"), sha("a"), nine.Add(time.Hour)}, {sha("a"), sha("b"), nine}}, "a"},
		"the lost push comes late":     {[]step{{sha("a"), sha("b"), nine}, {sha("c"), sha("a"), nine.Add(time.Hour)}, {sha("b"), sha("c"), nine.Add(time.Minute)}}, "a"},
		"and on from there":            {[]step{{sha("a"), sha("b"), nine}, {sha("c"), sha("a"), nine.Add(time.Hour)}, {sha("a"), sha("c"), nine.Add(2 * time.Hour)}}, "c"},
		"two such":                     {[]step{{sha("8"), sha("a"), nine}, {sha("a"), sha("b"), nine.Add(time.Hour)}, {sha("a"), sha("c"), nine.Add(2 * time.Hour)}, {sha("7"), sha("a"), nine.Add(3 * time.Hour)}}, "a"},
		"a repository's last push":     {[]step{{sha("a"), sha("b"), nine.Add(50 * time.Second)}, {sha("b"), sha("c"), nine}}, "c"},
		"the same, in the other order": {[]step{{sha("b"), sha("c"), nine}, {sha("a"), sha("b"), nine.Add(50 * time.Second)}}, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			h.cloud.Pass(24 * time.Hour)
			for i, s := range each.steps {
				deliver(t, h, s, fmt.Sprint(i))
			}
			if got := lastOf(t, h.cloud); got != sha(each.want) {
				t.Errorf("%.1s was deployed last, want %s", got, each.want)
			}
		})
	}
}

// TestLostDeliveries loses any of GitHub's deliveries but the last push's, and sends the others in any order, minutes apart by GitHub's
// clock: the last push is the newest.
func TestLostDeliveries(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		h := newHook(t)
		h.cloud.Pass(72 * time.Hour)
		for _, digit := range []string{"1", "2", "3", "4"} {
			h.cloud.Upload("source", sha(digit))
		}
		var sent []step
		at := sha("1")
		n := 2 + r.IntN(9)
		for i := range n {
			next := sha(fmt.Sprint(1 + r.IntN(4)))
			for next == at {
				next = sha(fmt.Sprint(1 + r.IntN(4)))
			}
			if i == n-1 || r.IntN(3) > 0 {
				sent = append(sent, step{at, next, nine.Add(time.Duration(2*i) * time.Minute)})
			}
			at = next
		}
		pushed := path(sent)
		r.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		for i, s := range sent {
			deliver(t, h, s, fmt.Sprint(i))
		}
		if got := lastOf(t, h.cloud); got != at {
			t.Errorf("seed %d: %.1s was deployed last, want %.1s\npushed:%s\ntold:%s", seed, got, at, pushed, path(sent))
		}
	}
}

// TestRedeliveredByHand: GitHub's own clock tells that a delivery, sent again days later, is not the newest, where a push between is
// missing.
func TestRedeliveredByHand(t *testing.T) {
	h := newHook(t)
	send := func(commit, before string, at time.Time, id string) string {
		return deliver(t, h, step{sha(before), sha(commit), at}, id)
	}
	send("c", "8", nine, "one")
	h.cloud.Pass(72 * time.Hour)
	if says := send("b", "7", nine.Add(-time.Hour), "two"); !strings.Contains(says, "a later push is deployed") {
		t.Errorf("an old delivery: %s", says)
	}
	if says := send("a", "6", nine.Add(time.Hour), "three"); strings.Contains(says, "note") {
		t.Errorf("a newer one: %s", says)
	}
}

// TestTipOfOlderVersion: what a Slipway before this one knew of a branch is taken on.
func TestTipOfOlderVersion(t *testing.T) {
	c, tr, _ := world(t)
	if err := c.MoveTip(t.Context(), deploy.Tip{App: "plain", Environment: "production", Branch: "main", CommitSHA: sha("b"), Before: sha("a"),
		Pushed: nine.Add(time.Hour), Deployment: "deploy-20261125-080000000-aaaaaaaa"}); err != nil {
		t.Fatal(err)
	}
	send := commits(t, tr)
	if l := push(t, send, "a", "9", 1); !strings.Contains(l.Note, "a later push is deployed") {
		t.Errorf("one before it: %+v", l)
	}
	if l := push(t, send, "c", "b", 2); l.Note != "" || lastOf(t, c) != sha("c") {
		t.Errorf("one after it: %+v", l)
	}
}

// TestFormsOfTime: a push that is told again, its time in another form, is the same; with another time it is another one.
func TestFormsOfTime(t *testing.T) {
	second := time.Date(2026, 11, 25, 8, 59, 30, 0, time.UTC)
	for _, form := range []any{second.Unix(), fmt.Sprint(second.Unix()), float64(second.Unix()), second.UnixMilli(), fmt.Sprint(second.UnixMilli()), second.UnixMicro(),
		second.UnixNano(), "2026-11-25T08:59:30Z", "2026-11-25T08:59:30.000Z", "2026-11-25T10:59:30+02:00", "2026-11-25T10:59:30+0200", "2026-11-25T08:59:30",
		"2026-11-25 08:59:30", "2026-11-25 10:59:30 +0200", "2026-11-25 10:59:30+02:00", "Wed, 25 Nov 2026 08:59:30 GMT", "Wed, 25 Nov 2026 10:59:30 +0200"} {
		c, tr, _ := world(t)
		send := commits(t, tr)
		tell := func(commit, before string, pushed any, told time.Time) {
			text, _ := json.Marshal(map[string]any{"source": "slipway", "detail-type": "Commit Pushed", "time": told, "detail": map[string]any{
				"app": "plain", "branch": "main", "commit": sha(commit), "before": sha(before), "pushed_at": pushed}})
			if _, err := send(string(text)); err != nil {
				t.Fatal(err)
			}
		}
		tell("b", "a", second.Format(time.RFC3339), nine)
		tell("a", "b", second.Add(10*time.Second).Format(time.RFC3339), nine.Add(10*time.Second))
		tell("b", "a", form, nine.Add(20*time.Second))
		if got := lastOf(t, c); got != sha("a") {
			t.Errorf("%v: told again, and %.1s is deployed", form, got)
		}
		tell("b", "a", second.Add(30*time.Second).UnixMilli(), nine.Add(30*time.Second))
		if got := lastOf(t, c); got != sha("b") {
			t.Errorf("%v: then taken again, and %.1s is deployed", form, got)
		}
	}
}

// TestMoreThanRemembered makes twice as many pushes as are remembered, neighbours out of order, each up to three times, each fourth
// one putting back an earlier commit, by clocks that are all wrong.
func TestMoreThanRemembered(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("%040x", i) }
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 9))
		c, tr, _ := world(t)
		c.Pass(24 * time.Hour)
		newest := name(0)
		var told []string
		for i := range 40 {
			commit := name(100 + i)
			c.Upload("plain", commit)
			if i%4 == 3 {
				commit = name(100 + i - 3)
			}
			event := ownEvent(r, step{newest, commit, nine.Add(time.Duration(i) * time.Second)}, nine.Add(time.Duration(r.IntN(7200))*time.Second))
			for range 1 + r.IntN(3) {
				told = append(told, event)
			}
			newest = commit
		}
		for i := range len(told) - 4 {
			j := i + r.IntN(4)
			told[i], told[j] = told[j], told[i]
		}

		send := commits(t, tr)
		for _, event := range told {
			if _, err := send(event); err != nil {
				t.Fatal(err)
			}
		}
		if got := lastOf(t, c); got != newest {
			t.Errorf("seed %d: %s is deployed, want %s", seed, got, newest)
		}
	}
}
