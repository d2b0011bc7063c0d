package pipeline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// How much TestBurst does: bench/Makefile runs it with 500 events for 20 apps in a minute.
var burst = struct {
	events, apps *int
	within       *time.Duration
}{flag.Int("burst.events", 40, "pushes"), flag.Int("burst.apps", 4, "apps"), flag.Duration("burst.within", 4*time.Second, "time to send them in")}

// TestBurst sends many pushes at once, every fourth twice and neighbours out of order. In the end each app's newest commit is
// live, no commit was deployed twice in turn, and none is missing but those that a later push had overtaken when it came. Of pushes that
// were told in one second, while one between them is missing, the one that is read last counts as the newest: 5, 3, and once 4 is told, 5.
func TestBurst(t *testing.T) {
	newApp(t)
	apps, order := make([]*app, *burst.apps), []types.PutEventsRequestEntry(nil)
	pushed := make([][]string, *burst.apps)
	for i := range apps {
		apps[i] = makeApp(t).pushed("")
	}
	start := time.Now().UTC()
	for n := range *burst.events {
		i := n % len(apps)
		before := strings.Repeat("0", 40)
		if k := len(pushed[i]); k > 0 {
			before = pushed[i][k-1]
		}
		sha := apps[i].commit(fmt.Sprint(n), config("test=true"))
		pushed[i] = append(pushed[i], sha)
		detail, err := json.Marshal(map[string]any{"app": apps[i].name, "commit": sha, "branch": "main", "before": before,
			"pushed_at": start.Add(time.Duration(n) * time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, types.PutEventsRequestEntry{Source: aws.String(trigger.OwnSource), DetailType: aws.String(trigger.OwnType), Detail: aws.String(string(detail))})
		if n%4 == 0 {
			order = append(order, order[len(order)-1])
		}
	}
	for i := 0; i+2*len(apps) < len(order); i++ { // an event may come after the next of the same app
		j := i + rand.IntN(2*len(apps))
		order[i], order[j] = order[j], order[i]
	}
	sent := putAll(t, order)
	for i, a := range apps {
		a.settles(pushed[i][len(pushed[i])-1])
	}
	t.Logf("%d events (%d pushes) of %d apps were sent in %s; all newest were live %s after the last", len(order), *burst.events, len(apps),
		sent.Round(time.Millisecond), (time.Since(start) - sent).Round(time.Millisecond))
	outcomes := map[deploy.Status]int{}
	for i, a := range apps {
		a.checkBurst(pushed[i], fmt.Sprint((len(pushed[i])-1)*len(apps)+i), outcomes)
	}
	t.Logf("deployments by outcome: %v; overtaken before they began: %d", outcomes, *burst.events-total(outcomes))
}

// putAll sends the events evenly, ten at a time, and gives how long that took.
func putAll(t *testing.T, entries []types.PutEventsRequestEntry) time.Duration {
	t.Helper()
	client, start := eventbridge.NewFromConfig(world.cloud.Config()), time.Now()
	for i := 0; i < len(entries); i += 10 {
		out, err := client.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries[i:min(i+10, len(entries))]})
		if err != nil || out.FailedEntryCount > 0 {
			t.Fatal(out, err)
		}
		time.Sleep(time.Until(start.Add(*burst.within * time.Duration(i) / time.Duration(len(entries)))))
	}
	return time.Since(start)
}

// settles waits until the newest commit is live, as long as deployments of the app end.
func (a *app) settles(newest string) {
	a.t.Helper()
	for last, moved := "", time.Now(); time.Since(moved) < 2*time.Minute; time.Sleep(100 * time.Millisecond) {
		h := a.head("production")
		if h.Live != nil && h.Live.CommitSHA == newest && h.Holder == nil {
			return
		}
		if now := fmt.Sprint(h.Version); now != last {
			last, moved = now, time.Now()
		}
	}
	for _, d := range firstOf(a.deployments(), 3) {
		a.t.Logf("%s of %s: %s %s", d.ID, deploy.ShortCommit(d.CommitSHA), d.Status, d.Error)
	}
	tip, err := world.store.Tip(a.t.Context(), a.name, "production", "main")
	a.t.Fatalf("%s is not live of %s; the head is %+v, the tip %+v, %v", deploy.ShortCommit(newest), a.name, a.head("production"), tip, err)
}

func (a *app) checkBurst(pushed []string, version string, outcomes map[deploy.Status]int) {
	a.t.Helper()
	times, next := map[string]int{}, ""
	for _, d := range a.deployments() { // newest first
		if d.CommitSHA == next {
			a.t.Errorf("%s: %s was deployed twice in turn", d.ID, d.CommitSHA)
		}
		next = d.CommitSHA
		d := waitFor(a.t, d.ID+" to end", func() (*deploy.Deployment, bool) {
			d, err := world.store.Deployment(a.t.Context(), d.ID)
			return d, err == nil && d.Status.Ended()
		})
		times[d.CommitSHA]++
		outcomes[d.Status]++
		if d.Status != deploy.Success && (d.Status != deploy.Aborted || d.SupersededBy == "") {
			a.t.Errorf("%s of %s is %s: %s", d.ID, deploy.ShortCommit(d.CommitSHA), d.Status, d.Error)
		}
	}
	for n, sha := range pushed {
		newest := n == len(pushed)-1
		if times[sha] > 2 || newest && times[sha] == 0 {
			a.t.Errorf("push %d of %s was deployed %d times", n, a.name, times[sha])
		}
		if tip, err := world.store.Tip(a.t.Context(), a.name, "production", "main"); newest && (err != nil || tip.CommitSHA != sha) {
			a.t.Errorf("the tip of %s is %+v, %v", a.name, tip, err)
		}
		delete(times, sha)
	}
	if len(times) > 0 {
		a.t.Errorf("%s deployed what nobody pushed: %v", a.name, times)
	}
	if live, h := a.read("live"), a.head("production"); h.Waiting != nil || live != version {
		a.t.Errorf("%s: %q is live, want %s; %+v waits", a.name, live, version, h.Waiting)
	}
}

func total(outcomes map[deploy.Status]int) (n int) {
	for _, each := range outcomes {
		n += each
	}
	return n
}

func firstOf[T any](all []T, n int) []T { return all[:min(n, len(all))] }
