package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/store"
)

func request(key string, expires time.Time) deploy.Request {
	return deploy.Request{Key: key, Fingerprint: "meaning", Expires: expires.Unix()}
}

func TestCreateOnce(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	first := newDeployment("once", 1)
	hour := first.StartTime.Add(time.Hour)
	if taken, err := s.CreateOnce(ctx, first, request("once/a", hour), "", nil); taken != nil || err != nil {
		t.Fatal(taken, err)
	}
	second := newDeployment("once", 2)
	taken, err := s.CreateOnce(ctx, second, request("once/a", hour), "", nil)
	if err != nil || taken == nil || taken.Deployment != first.ID || taken.Fingerprint != "meaning" {
		t.Errorf("the same key again: %+v, %v", taken, err)
	}
	if _, err := s.Deployment(ctx, second.ID); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("a record without its key: %v", err)
	}
	if taken, err := s.CreateOnce(ctx, second, request("once/a", hour), first.ID, nil); taken != nil || err != nil {
		t.Errorf("in place of the first: %+v, %v", taken, err)
	}
	late := newDeployment("once", 3+3600)
	if taken, err := s.CreateOnce(ctx, late, request("once/a", hour.Add(time.Hour)), "", nil); taken != nil || err != nil {
		t.Errorf("after the key expired: %+v, %v", taken, err)
	}
	if r, err := s.Request(ctx, "once/a"); err != nil || r == nil || r.Deployment != late.ID {
		t.Errorf("the key has %+v, %v", r, err)
	}
	if _, err := s.CreateOnce(ctx, newDeployment("once", 1), request("once/b", hour), "", nil); deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("an id that is taken: %v", err)
	}
	if r, err := s.Request(ctx, "once/b"); err != nil || r != nil {
		t.Errorf("a key without its record: %+v, %v", r, err)
	}
}

// TestCreateOnceAtOnce lets many create for one key: one record is made, and everybody else is told which.
func TestCreateOnceAtOnce(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, told := map[string]bool{}, map[string]bool{}
	for n := range 12 {
		wg.Go(func() {
			d := newDeployment("race", n)
			taken, err := s.CreateOnce(ctx, d, request("race", d.StartTime.Add(time.Hour)), "", nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case taken == nil:
				made[d.ID] = true
			default:
				told[taken.Deployment] = true
			}
		})
	}
	wg.Wait()
	if len(made) != 1 || len(told) != 1 || fmt.Sprint(made) != fmt.Sprint(told) {
		t.Errorf("made %v, told %v", made, told)
	}
}

func TestCreateOnceLosesItsAnswer(t *testing.T) {
	for _, applied := range []bool{false, true} {
		d := newDeployment(map[bool]string{true: "hadonce", false: "noonce"}[applied], 1)
		r := request(d.App, d.StartTime.Add(time.Hour))
		taken, err := store.New(&faulty{db, 1, applied}, table).CreateOnce(t.Context(), d, r, "", nil)
		if taken != nil || (err == nil) != applied {
			t.Errorf("applied %v: %+v, %v", applied, taken, err)
		}
		if got, err := store.New(db, table).Request(t.Context(), d.App); err != nil || (got != nil) != applied {
			t.Errorf("applied %v: the key has %+v, %v", applied, got, err)
		}
	}
}

func TestRemember(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	for _, answer := range []string{"first", "second"} {
		r := request("remembered", time.Now().Add(time.Hour))
		r.Answer = answer
		if err := s.Remember(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.Request(ctx, "remembered"); err != nil || r == nil || r.Answer != "first" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTip(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	if tip, err := s.Tip(ctx, "tips", "production", "release/1"); tip != nil || err != nil {
		t.Fatal(tip, err)
	}
	push := func(n int, version int64) (*deploy.Deployment, error) {
		d := newDeployment("tips", n)
		taken, err := s.CreateOnce(ctx, d, request(fmt.Sprint("tips/", n), d.StartTime.Add(time.Hour)), "",
			&deploy.Tip{App: "tips", Environment: "production", Branch: "release/1", CommitSHA: fmt.Sprint(n), Pushed: d.StartTime, Version: version})
		if taken != nil {
			t.Errorf("push %d: the key is taken by %+v", n, taken)
		}
		return d, err
	}
	first, err := push(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := push(2, 0)
	if deploy.KindOf(err) != deploy.Superseded {
		t.Errorf("over a tip that moved: %v", err)
	}
	if _, err := s.Deployment(ctx, second.ID); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("a record without its tip: %v", err)
	}
	tip, err := s.Tip(ctx, "tips", "production", "release/1")
	if err != nil || tip.Deployment != first.ID || tip.CommitSHA != "1" || tip.Version != 1 || !tip.Started.Equal(first.StartTime) {
		t.Errorf("tip %+v, %v", tip, err)
	}
	third, err := push(3, tip.Version)
	if tip, readErr := s.Tip(ctx, "tips", "production", "release/1"); err != nil || readErr != nil || tip.Deployment != third.ID || tip.Version != 2 {
		t.Errorf("tip %+v, %v, %v", tip, err, readErr)
	}
}

// bitByBit gives one item a page.
type bitByBit struct{ *dynamodb.Client }

func (b bitByBit) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	one := *in
	one.Limit = aws.Int32(1)
	return b.Client.Query(ctx, &one, opts...)
}

func TestAppsOf(t *testing.T) {
	ctx, s := t.Context(), store.New(bitByBit{db}, ownTable(t))
	for name, repository := range map[string]string{"of-one": "Octo/Shop", "of-two": "octo/shop", "of-other": "octo/shed", "of-none": "", "of-cc": "Shop"} {
		if err := s.PutApp(ctx, &deploy.App{Name: name, Source: deploy.Source{Repository: repository}}); err != nil {
			t.Fatal(err)
		}
	}
	moved := &deploy.App{Name: "of-two", Source: deploy.Source{Repository: "octo/elsewhere"}}
	of := func(repository string) string {
		apps, err := s.AppsOf(ctx, repository)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range apps {
			names = append(names, a.Name)
		}
		return strings.Join(names, " ")
	}
	if got := of("OCTO/shop"); got != "of-one of-two" {
		t.Errorf("apps of octo/shop: %s", got)
	}
	if err := s.PutApp(ctx, moved); err != nil || moved.Version != 2 {
		t.Fatal(moved.Version, err)
	}
	for repository, want := range map[string]string{"octo/shop": "of-one", "octo/elsewhere": "of-two", "Shop": "of-cc", "shop": "", "octo/none": ""} {
		if got := of(repository); got != want {
			t.Errorf("apps of %s: %q, want %q", repository, got, want)
		}
	}
}

// TestMoveTip stores what is known of a branch without a deployment, over the version that was read.
func TestMoveTip(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	told := time.Date(2026, 11, 25, 9, 0, 0, 1, time.UTC)
	tip := deploy.Tip{App: "moved", Environment: "production", Branch: "main",
		Known: []deploy.KnownPush{{CommitSHA: "b", Before: "a", Told: told, Doors: map[string]time.Time{"event": told}}}}
	if err := s.MoveTip(ctx, tip); err != nil {
		t.Fatal(err)
	}
	if err := s.MoveTip(ctx, tip); deploy.KindOf(err) != deploy.Superseded {
		t.Errorf("over a tip that moved: %v", err)
	}
	got, err := s.Tip(ctx, "moved", "production", "main")
	if err != nil || got.Version != 1 || len(got.Known) != 1 || got.Known[0].CommitSHA != "b" || !got.Known[0].Told.Equal(told) || !got.Known[0].Doors["event"].Equal(told) {
		t.Errorf("tip %+v, %v", got, err)
	}
	if err := s.MoveTip(ctx, *got); err != nil {
		t.Errorf("over the version that was read: %v", err)
	}
}
