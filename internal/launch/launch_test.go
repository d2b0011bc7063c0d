package launch_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
)

var commit = strings.Repeat("a", 40)

// machine counts the starts of each execution, and fails those that it is told to.
type machine struct {
	starts map[string]int
	fail   error
}

func (m *machine) Start(_ context.Context, id string) (string, error) {
	if m.fail != nil {
		return "", m.fail
	}
	m.starts[id]++
	return "arn:" + id, nil
}

func world(t *testing.T) (*launch.Launcher, *apitest.Cloud, *machine) {
	t.Helper()
	c, m := apitest.New(), &machine{starts: map[string]int{}}
	settings := deploy.Settings{Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.test", Branches: []string{"main", "release/*"}}
	for _, name := range []string{"shop", "bare"} {
		if err := c.PutApp(t.Context(), &deploy.App{Name: name, Environments: map[string]deploy.Settings{"production": settings}}); err != nil {
			t.Fatal(err)
		}
	}
	c.Upload("shop", commit)
	return &launch.Launcher{Store: c, Sources: c, Machine: m, Now: c.Now, Entropy: rand.Reader}, c, m
}

func request(key string) launch.Request {
	return launch.Request{App: "shop", Environment: "production", CommitSHA: commit, Branch: "main",
		Once: launch.Once{Key: key, Fingerprint: "f", Keep: time.Hour}}
}

func count(t *testing.T, c *apitest.Cloud) int {
	t.Helper()
	all, _, err := c.List(t.Context(), deploy.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestSourceSHA256: a caller who says which bundle it uploaded gets that one or none, and the record has its digest.
func TestSourceSHA256(t *testing.T) {
	l, c, _ := world(t)
	mine, other := strings.Repeat("1", 64), strings.Repeat("2", 64)
	git := &deploy.App{Name: "git", Source: deploy.Source{Type: deploy.SourceGit, URL: "https://git.test/shop.git"},
		Environments: map[string]deploy.Settings{"production": {Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.test"}}}
	if err := c.PutApp(t.Context(), git); err != nil {
		t.Fatal(err)
	}
	for name, each := range map[string]struct {
		app, uploaded, asked string
		want                 string // on the record
		kind                 deploy.Kind
	}{
		"the same":                   {"shop", mine, mine, mine, ""},
		"another":                    {"shop", other, mine, "", deploy.Conflict},
		"none was named":             {"shop", mine, "", mine, ""},
		"the uploader named none":    {"shop", "", mine, mine, ""}, // Prepare compares the content
		"commits that are fetched":   {"git", "", mine, "", deploy.Invalid},
		"fetched, and none is named": {"git", "", "", "", ""},
	} {
		c.UploadAs(each.app, commit, each.uploaded)
		r := request(name)
		r.App, r.SourceSHA256 = each.app, each.asked
		d, err := l.Deploy(t.Context(), r)
		if deploy.KindOf(err) != each.kind || err != nil && deploy.FieldOf(err) != "source_sha256" {
			t.Errorf("%s: %s, field %q: %v", name, deploy.KindOf(err), deploy.FieldOf(err), err)
		}
		if err != nil {
			continue
		}
		if got := d.Source; (got == nil) != (each.app == "git") || got != nil && got.SHA256 != each.want {
			t.Errorf("%s: the source is %+v; want %s", name, got, each.want)
		}
	}

	made := &deploy.Bundle{Key: "fetched/shop/" + commit + ".tar.gz", SHA256: other}
	r := request("a pipeline's")
	r.Source = made
	if d, err := l.Deploy(t.Context(), r); err != nil || *d.Source != *made {
		t.Errorf("%v, %v", d, err)
	}
}

func TestRefused(t *testing.T) {
	l, c, m := world(t)
	for name, each := range map[string]struct {
		change func(*launch.Request)
		kind   deploy.Kind
		words  string
	}{
		"no app":         {func(r *launch.Request) { r.App = "shed" }, deploy.NotFound, `there is no app "shed"`},
		"no name":        {func(r *launch.Request) { r.App = "../x" }, deploy.NotFound, `there is no app "../x"`},
		"no environment": {func(r *launch.Request) { r.Environment = "stage" }, deploy.NotFound, `has no environment "stage"; it has production`},
		"branch":         {func(r *launch.Request) { r.Branch = "topic" }, deploy.Invalid, `"topic" may not be deployed to production; want main or release/*`},
		"no branch":      {func(r *launch.Request) { r.Branch = "" }, deploy.Invalid, `is missing; production takes only main or release/*`},
		"no bundle":      {func(r *launch.Request) { r.App = "bare" }, deploy.NotFound, `no bundle of commit ` + commit + ` was uploaded for app "bare"`},
	} {
		r := request("refused " + name)
		each.change(&r)
		if d, err := l.Deploy(t.Context(), r); d != nil || deploy.KindOf(err) != each.kind || !strings.Contains(err.Error(), each.words) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	c.Put(&deploy.Deployment{ID: "deploy-20261122-110000000-cccccccc", App: "shop", Environment: "production"})
	c.SetHead(deploy.Head{App: "shop", Environment: "production", Dirty: true, Holder: &deploy.Turn{Deployment: "deploy-20261122-110000000-cccccccc"}})
	if _, err := l.Deploy(t.Context(), request("dirty")); deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "slipway repair deploy-20261122-110000000-cccccccc") {
		t.Errorf("dirty: %v", err)
	}
	if len(m.starts) != 0 || count(t, c) != 1 {
		t.Errorf("started %v", m.starts)
	}
}

// TestFetched: a commit that Slipway fetches by itself needs no upload.
func TestFetched(t *testing.T) {
	l, c, _ := world(t)
	a, err := c.App(t.Context(), "bare")
	if err != nil {
		t.Fatal(err)
	}
	a.Source = deploy.Source{Type: "git", URL: "https://git.test/bare.git"}
	if err := c.PutApp(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	r := request("fetched")
	r.App = "bare"
	if d, err := l.Deploy(t.Context(), r); err != nil || d.Source != nil || d.Execution == "" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestLaterPushHasTheLaterID: clocks differ, and ids sort by time.
func TestLaterPushHasTheLaterID(t *testing.T) {
	l, c, _ := world(t)
	r := request("later")
	ahead := c.Now().Add(time.Minute)
	r.Once.Tip = &deploy.Tip{App: "shop", Environment: "production", Branch: "main", CommitSHA: commit, Started: ahead}
	if d, err := l.Deploy(t.Context(), r); err != nil || !d.StartTime.After(ahead) || d.ID <= deploy.NewID(ahead, make([]byte, 5)) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestOnce(t *testing.T) {
	l, c, m := world(t)
	first, err := l.Deploy(t.Context(), request("k"))
	if err != nil || first.Status != deploy.Pending || first.Execution != "arn:"+first.ID || first.Source == nil || first.Settings == nil {
		t.Fatal(first, err)
	}
	c.SetHead(deploy.Head{App: "shop", Environment: "production", Dirty: true, Holder: &deploy.Turn{Deployment: first.ID}})
	again, err := l.Deploy(t.Context(), request("k"))
	if err != nil || again.ID != first.ID || count(t, c) != 1 {
		t.Errorf("again %v, %v; %d records", again, err, count(t, c))
	}
	if m.starts[first.ID] != 2 {
		t.Errorf("a pending deployment's execution was started %d times; the first try may have died before it", m.starts[first.ID])
	}
	other := request("k")
	other.Once.Fingerprint = "g"
	if _, err := l.Deploy(t.Context(), other); !errors.Is(err, launch.ErrReused) || deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("the key for another request: %v", err)
	}
	c.SetHead(deploy.Head{App: "shop", Environment: "production"})
	c.Pass(time.Hour)
	if late, err := l.Deploy(t.Context(), request("k")); err != nil || late.ID == first.ID {
		t.Errorf("an expired key: %v, %v", late, err)
	}
	each, err := l.Deploy(t.Context(), request(""))
	if err != nil || count(t, c) != 3 {
		t.Errorf("no key: %v, %v", each, err)
	}
}

// TestNeverRan: the same request again is another try where the first could not be started.
func TestNeverRan(t *testing.T) {
	l, c, m := world(t)
	m.fail = errors.New("throttled")
	if d, err := l.Deploy(t.Context(), request("k")); d != nil || err == nil {
		t.Fatal(d, err)
	}
	all, _, _ := c.List(t.Context(), deploy.Query{Limit: 9})
	if len(all) != 1 || all[0].Status != deploy.Failed || !strings.Contains(all[0].Error, "throttled") {
		t.Fatalf("records %+v", all)
	}
	m.fail = nil
	second, err := l.Deploy(t.Context(), request("k"))
	if err != nil || second.ID == all[0].ID || m.starts[second.ID] != 1 {
		t.Fatal(second, err)
	}
	if third, err := l.Deploy(t.Context(), request("k")); err != nil || third.ID != second.ID {
		t.Errorf("and again %v, %v", third, err)
	}
}

// TestNeverRanByTheSecondDoor: whoever recorded it died before it was started, and the sweep was faster than the request's next try.
func TestNeverRanByTheSecondDoor(t *testing.T) {
	l, c, _ := world(t)
	first, err := l.Deploy(t.Context(), request("k"))
	if err != nil {
		t.Fatal(err)
	}
	end := func(change func(*deploy.Deployment)) {
		t.Helper()
		err := c.Update(t.Context(), first, func(d *deploy.Deployment) error {
			d.Status, d.Execution, d.Recovery = deploy.Failed, "arn:"+d.ID+"-recovery-1", &deploy.Recovery{Number: 1}
			change(d)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	end(func(d *deploy.Deployment) { d.Begin("prepare", c.Now()) })
	if again, err := l.Deploy(t.Context(), request("k")); err != nil || again.ID != first.ID {
		t.Errorf("one that ran: %v, %v", again, err)
	}
	end(func(d *deploy.Deployment) { d.Stages = []deploy.Stage{} })
	second, err := l.Deploy(t.Context(), request("k"))
	if err != nil || second.ID == first.ID {
		t.Fatal(second, err)
	}
	if third, err := l.Deploy(t.Context(), request("k")); err != nil || third.ID != second.ID {
		t.Errorf("and again %v, %v", third, err)
	}
}

// TestRaceIsAnsweredAlike: a request that came while the first was at work finds out when it writes.
func TestRaceIsAnsweredAlike(t *testing.T) {
	l, c, _ := world(t)
	first, err := l.Deploy(t.Context(), request("k"))
	if err != nil {
		t.Fatal(err)
	}
	late := *l
	late.Store = blind{c}
	if second, err := late.Deploy(t.Context(), request("k")); err != nil || second.ID != first.ID || count(t, c) != 1 {
		t.Errorf("%v, %v", second, err)
	}
}

// blind looks before anything is there.
type blind struct{ *apitest.Cloud }

func (blind) Request(context.Context, string) (*deploy.Request, error) { return nil, nil }
