package ofrep_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-cd/slipway/internal/ofrep"
)

func flagOf(value string) string {
	return `{"flags":{"f":{"state":"ENABLED","variants":{"v":` + value + `},"defaultVariant":"v"}}}`
}

// value is what f has at the moment.
func (w *world) value(t *testing.T) string {
	t.Helper()
	got := w.evaluate("f", "{}")
	_, rest, ok := strings.Cut(got.Body.String(), `"value":`)
	if got.Code != 200 || !ok {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	return strings.TrimRight(rest, "}")
}

func (w *world) age(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(w.evaluate("f", "{}").Header().Get(ofrep.AgeHeader))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRevisionIsAskedForOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		for range 50 {
			w.value(t)
			synctest.Wait()
		}
		if n := w.called("revision"); n != 0 || w.called("snapshot") != 1 || w.called("key") != 1 {
			t.Errorf("within a second: %v", w.calls)
		}
		w.put("production", flagOf("2"))
		w.wait(1100 * time.Millisecond)
		if got := w.value(t); got != "1" {
			t.Errorf("the answer waited for the table: %s", got)
		}
		synctest.Wait()
		if got := w.value(t); got != "2" {
			t.Errorf("behind the answer nothing was read: %s", got)
		}
		if w.called("revision") != 1 || w.called("snapshot") != 2 {
			t.Errorf("calls %v", w.calls)
		}
	})
}

// A function that was idle must not answer with the flags of before.
func TestAfterAPauseTheTableIsAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.value(t)
		w.put("production", flagOf("2"))
		w.wait(time.Hour)
		if got := w.value(t); got != "2" {
			t.Errorf("an hour later: %s", got)
		}
	})
}

// A look that began before the pause, and ends after it, has seen what was before.
func TestALookIsAsOldAsItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.value(t)
		blocks := make(chan struct{})
		w.wait(2 * time.Second)
		w.set(func() { w.blocks = blocks })
		w.value(t) // begins a look behind the answer
		synctest.Wait()
		w.wait(time.Hour)
		w.set(func() { w.blocks = nil })
		go func() {
			time.Sleep(time.Millisecond)
			close(blocks) // that look still finds revision 1
			w.put("production", flagOf("2"))
		}()
		if got := w.value(t); got != "2" && w.age(t) < 5 {
			t.Errorf("%s is called fresh", got)
		}
		if w.called("revision") < 2 {
			t.Error("nobody looked again")
		}
	})
}

func TestAnswersGoOnWhileTheTableFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.value(t)
		w.set(func() { w.fails = errors.New("no table") })
		for range 100 {
			w.wait(3 * time.Second)
			if got := w.value(t); got != "1" {
				t.Fatal(got)
			}
			synctest.Wait()
		}
		before := w.called("revision")
		for range 20 {
			w.value(t)
			synctest.Wait()
		}
		if n := w.called("revision") - before; n > 1 {
			t.Errorf("%d tries within a second", n)
		}
		if got := w.age(t); got != 300 {
			t.Errorf("the age is %d s, want 300", got)
		}
		if w.metrics[ofrep.StaleMetric] != 4 {
			t.Errorf("metrics %v; want one for each minute after the first", w.metrics)
		}
		w.put("production", flagOf("2"))
		w.set(func() { w.fails = nil })
		w.wait(2 * time.Second)
		w.value(t)
		synctest.Wait()
		if got := w.value(t); got != "2" || w.age(t) > 2 {
			t.Errorf("%s of %d s ago, though the table is back", got, w.age(t))
		}
	})
}

// Only one request is held up by a table that doesn't answer, and not for long.
func TestAnswersGoOnWhileTheTableIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.value(t)
		w.set(func() { w.blocks = make(chan struct{}) })
		w.wait(time.Minute)
		var longest time.Duration
		start := time.Now()
		for range 50 {
			before := time.Now()
			w.value(t)
			longest = max(longest, time.Since(before))
			w.wait(100 * time.Millisecond)
		}
		// The key waits for a second, the flags for a quarter.
		if longest > 1300*time.Millisecond || time.Since(start) > 1300*time.Millisecond {
			t.Errorf("the longest answer took %v, all %v", longest, time.Since(start))
		}
		close(w.blocks)
		synctest.Wait()
	})
}

func TestNothingEverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.fails = errors.New("no table")
		if got := w.evaluate("f", "{}"); got.Code != 503 || got.Header().Get("Retry-After") != "1" || strings.Contains(got.Body.String(), "no table") {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		w.set(func() { w.fails = nil })
		w.wait(time.Second)
		if got := w.value(t); got != "1" {
			t.Error(got)
		}
	})
}

func TestRevokedKeyEndsWithinTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.value(t)
		w.set(func() { delete(w.keys, hashOf(goodKey)) })
		for _, pause := range []time.Duration{10 * time.Second, time.Second} {
			w.wait(pause)
			if got := w.evaluate("f", "{}"); got.Code != 401 {
				t.Errorf("%v later: %d %s", pause, got.Code, got.Body)
			}
		}
		busy := newWorld(flagOf("1"))
		busy.value(t)
		busy.set(func() { delete(busy.keys, hashOf(goodKey)) })
		for second := range 11 {
			busy.wait(time.Second)
			got := busy.evaluate("f", "{}")
			synctest.Wait()
			if second == 9 && got.Code != 401 {
				t.Errorf("a busy key is good after ten seconds: %d", got.Code)
			}
		}
	})
}

func TestAKeyOpensItsOwnEnvironmentAlone(t *testing.T) {
	w := newWorld(flagOf("1"))
	if got := ask(w.server, "POST /ofrep/v1/evaluate/flags/f X-API-Key:"+otherKey, "{}"); got.Code != 404 {
		t.Errorf("staging's key: %d %s", got.Code, got.Body)
	}
	for _, text := range []string{noKey, goodKey + "a", goodKey[:50], "Slipway_" + goodKey[8:], "slipway_" + strings.Repeat("é", 22)[:43], "x"} {
		before := w.called("key")
		if got := ask(w.server, "POST /ofrep/v1/evaluate/flags/f X-API-Key:"+text, "{}"); got.Code != 401 {
			t.Errorf("%q: %d", text, got.Code)
		}
		if asked := w.called("key") > before; asked != (text == noKey) {
			t.Errorf("%q: the table was asked: %v", text, asked)
		}
	}
}

// Meant for the race detector.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(flagOf("1"))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 200 {
				switch {
				case worker == 0:
					w.wait(time.Second)
					w.put("production", flagOf(strconv.Itoa(i)))
				case i%10 == 0:
					ask(w.server, "POST /ofrep/v1/evaluate/flags X-API-Key:"+goodKey, "{}")
				default:
					w.evaluate("f", "{}")
				}
			}
		})
	}
	group.Wait()
}
