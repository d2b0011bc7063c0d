package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

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
	if taken, err := s.CreateOnce(ctx, first, request("once/a", hour), ""); taken != nil || err != nil {
		t.Fatal(taken, err)
	}
	second := newDeployment("once", 2)
	taken, err := s.CreateOnce(ctx, second, request("once/a", hour), "")
	if err != nil || taken == nil || taken.Deployment != first.ID || taken.Fingerprint != "meaning" {
		t.Errorf("the same key again: %+v, %v", taken, err)
	}
	if _, err := s.Deployment(ctx, second.ID); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("a record without its key: %v", err)
	}
	if taken, err := s.CreateOnce(ctx, second, request("once/a", hour), first.ID); taken != nil || err != nil {
		t.Errorf("in place of the first: %+v, %v", taken, err)
	}
	late := newDeployment("once", 3+3600)
	if taken, err := s.CreateOnce(ctx, late, request("once/a", hour.Add(time.Hour)), ""); taken != nil || err != nil {
		t.Errorf("after the key expired: %+v, %v", taken, err)
	}
	if r, err := s.Request(ctx, "once/a"); err != nil || r == nil || r.Deployment != late.ID {
		t.Errorf("the key has %+v, %v", r, err)
	}
	if _, err := s.CreateOnce(ctx, newDeployment("once", 1), request("once/b", hour), ""); deploy.KindOf(err) != deploy.Conflict {
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
			taken, err := s.CreateOnce(ctx, d, request("race", d.StartTime.Add(time.Hour)), "")
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
		taken, err := store.New(&faulty{db, 1, applied}, table).CreateOnce(t.Context(), d, r, "")
		if taken != nil || (err == nil) != applied {
			t.Errorf("applied %v: %+v, %v", applied, taken, err)
		}
		if got, err := store.New(db, table).Request(t.Context(), d.App); err != nil || (got != nil) != applied {
			t.Errorf("applied %v: the key has %+v, %v", applied, got, err)
		}
	}
}
