package pipeline_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// push is one push to a git server, as a door tells of it.
type push struct {
	branch, before, after string
	at                    time.Time
}

// tells are the doors that tell of a push. Each waits until Slipway says what it did with it, and wants what fits text in that.
var tells = map[string]func(a *app, p push, text string){
	"github": func(a *app, p push, text string) {
		a.t.Helper()
		if says, code := a.hook(a.payload(p), "push", randomText()); code != "202" || !fits(says, text) {
			a.t.Errorf("%s: %s %s, want %s", p.branch, code, says, text)
		}
	},
	"event": func(a *app, p push, text string) {
		a.t.Helper()
		put(a.t, "default", trigger.OwnSource, trigger.OwnType, map[string]any{
			"repository": a.Source.Repository, "branch": p.branch, "commit": p.after, "before": p.before, "pushed_at": p.at})
		waitFor(a.t, "commit to say "+text, func() (int, bool) {
			return 0, logged(a.t, "commit", func(line string) bool { return strings.Contains(line, a.name) && fits(line, text) })
		})
	},
}

// launched is what a door says of a push that deploys. Of another, it notes why there is no deployment of its own.
const launched = `"environment":"production","deployment":"deploy-[^"]+"}`

func fits(text, pattern string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// payload is GitHub's, made of the one that the webhook's own tests send.
func (a *app) payload(p push) []byte {
	a.t.Helper()
	text, err := os.ReadFile("../trigger/testdata/github_push.json")
	var all map[string]any
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	all["ref"], all["before"], all["after"] = "refs/heads/"+p.branch, p.before, p.after
	repository := all["repository"].(map[string]any)
	repository["full_name"], repository["pushed_at"] = a.Source.Repository, p.at.Unix()
	body, err := json.Marshal(all)
	if err != nil {
		a.t.Fatal(err)
	}
	return body
}

// logged tells whether a function's log has a line that is right.
func logged(t *testing.T, function string, right func(line string) bool) bool {
	t.Helper()
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(cloudwatchlogs.NewFromConfig(world.cloud.Config()),
		&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/slipway-" + function)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if right(*e.Message) {
				return true
			}
		}
	}
	return false
}

// TestPushedGit: what is pushed to a git server is live once one of the doors has told of it. Nobody uploads anything.
func TestPushedGit(t *testing.T) {
	t.Parallel()
	for door, tell := range tells {
		t.Run(door, func(t *testing.T) {
			a := newApp(t)
			repo, one := a.fetched("main", "topic/*")
			a.pushed("octo/shop-" + randomText())
			commit := func(version string) string {
				repo.Write("version", version)
				return repo.Commit(version)
			}
			none, at := strings.Repeat("0", 40), time.Now()
			first := push{"main", none, one, at}
			tell(a, first, launched)
			d := a.liveIs(one)
			a.serves("one")
			a.cameByItself(d, door)
			tell(a, first, "launched before")

			two := commit("two") // and a third, before the second is told of: what was pushed runs, not what is there by then
			repo.Push("main")
			three := commit("three")
			repo.Push("main")
			tell(a, push{"main", one, two, at.Add(time.Second)}, launched)
			if d := a.liveIs(two); d.Previous == nil || d.Previous.CommitSHA != one {
				t.Errorf("previous: %+v", d.Previous)
			}
			a.serves("two")

			repo.Git("reset", "--quiet", "--hard", one)
			forced := commit("forced")
			repo.Push("main")
			tell(a, push{"main", three, forced, at.Add(3 * time.Second)}, launched)
			a.cameByItself(a.liveIs(forced), door)
			a.serves("forced")
			tell(a, push{"main", two, three, at.Add(2 * time.Second)}, "a later push is deployed: "+forced)

			topic := commit("topic")
			repo.Push("topic/x")
			tell(a, push{"topic/x", none, topic, at.Add(4 * time.Second)}, " of "+a.name+" deploys pushes to")
			a.serves("forced")
			if all := a.deployments(); len(all) != 3 {
				t.Errorf("%d deployments, want those of one, two and forced", len(all))
			}
		})
	}
}

// TestPushOfAnotherBranch: a push is believed only if its commit is on its branch, also where any branch may be deployed and the commit was
// fetched before.
func TestPushOfAnotherBranch(t *testing.T) {
	a := newApp(t)
	repo, one := a.fetched()
	a.pushed("octo/shop-" + randomText())
	a.deploy(one).wants(deploy.Success)
	repo.Write("version", "topic")
	topic := repo.Commit("topic")
	repo.Push("topic/x")
	a.deploy(topic).wants(deploy.Success)
	a.deploy(one).wants(deploy.Success)

	tells["event"](a, push{"main", one, topic, time.Now()}, launched)
	d := a.deployments()[0]
	r := &run{a: a, id: d.ID, arn: strings.Replace(world.out.StateMachineARN, ":stateMachine:", ":execution:", 1) + ":" + d.ID}
	failed := r.wants(deploy.Failed)
	if failed.CommitSHA != topic || !strings.Contains(failed.Error, "branch: ") || !strings.Contains(failed.Error, "main") {
		t.Errorf("%s: %s", failed.CommitSHA, failed.Error)
	}
	a.serves("one")
}

// cameByItself looks at what a push has started: the whole way, with the commit from the server.
func (a *app) cameByItself(d *deploy.Deployment, door string) {
	a.t.Helper()
	r := &run{a: a, id: d.ID, arn: d.Execution}
	r.wants(deploy.Success)
	if got := r.states(); got != wayFetched {
		a.t.Errorf("states:\n%s, want\n%s", got, wayFetched)
	}
	if d.Branch != "main" || fmt.Sprint(d.Metadata["started_by"], d.Metadata["door"]) != "push"+door {
		a.t.Errorf("%s of %q by %v", d.CommitSHA, d.Branch, d.Metadata)
	}
}
