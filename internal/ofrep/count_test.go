package ofrep_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

var seven = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)

func (w *world) n(flag, variant string, hour time.Time) int64 {
	return w.counted()[deploy.Evaluations{Flag: flag, Variant: variant, Hour: hour}]
}

func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(shop)
		for range 10 {
			w.evaluate("checkout", `{"email":"a@shop.test"}`)
		}
		w.evaluate("checkout", "{}")
		w.evaluate("silent", "{}")
		w.evaluate("missing", "{}")
		ask(w.server, "POST /ofrep/v1/evaluate/flags X-API-Key:"+goodKey, "{}")
		w.server.Flush(t.Context())
		synctest.Wait()
		for name, want := range map[string]int64{"checkout on": 10, "checkout off": 2, "silent ": 2, "banner loud": 1, "limit few": 1, "choice ": 1} {
			flag, variant, _ := strings.Cut(name, " ")
			if got := w.n(flag, variant, seven); got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
		if len(w.counted()) != 6 {
			t.Errorf("counted %v", w.counted())
		}
	})
}

func TestCountsBelongToTheirHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.wait(59*time.Minute + 55*time.Second)
		w.evaluate("f", "{}")
		synctest.Wait()
		w.evaluate("f", "{}")
		w.wait(6 * time.Second)
		w.evaluate("f", "{}")
		w.wait(3 * time.Hour)
		w.evaluate("f", "{}")
		synctest.Wait()
		w.server.Flush(t.Context())
		for hour, want := range map[time.Duration]int64{0: 2, time.Hour: 1, 4 * time.Hour: 1} {
			if got := w.n("f", "v", seven.Add(hour)); got != want {
				t.Errorf("%v: %d, want %d", hour, got, want)
			}
		}
	})
}

// The bound on what a crash loses.
func TestCountsAreWrittenWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		for second := range 120 {
			w.evaluate("f", "{}")
			synctest.Wait()
			if lost := int64(second+1) - w.n("f", "v", seven); lost > 10 {
				t.Fatalf("after %d s %d would be lost", second, lost)
			}
			w.wait(time.Second)
		}
		if n := w.called("counts"); n > 13 {
			t.Errorf("%d writes in two minutes", n)
		}
	})
}

func TestManyCountsAreWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flags []string
		for i := range 120 {
			flags = append(flags, fmt.Sprintf(`"f%d":{"state":"ENABLED","variants":{"v":1},"defaultVariant":"v"}`, i))
		}
		w := newWorld(`{"flags":{` + strings.Join(flags, ",") + `}}`)
		for range 121 {
			ask(w.server, "POST /ofrep/v1/evaluate/flags X-API-Key:"+goodKey, "{}")
			synctest.Wait()
			w.wait(time.Second)
		}
		if n := w.called("counts"); n != 3*3 { // at once, after one minute, after two; fifty a transaction
			t.Errorf("%d transactions in two minutes", n)
		}
		if got := w.n("f7", "v", seven); got != 121 {
			t.Errorf("%d of 121 are written", got)
		}
	})
}

func TestCountsSurviveARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(flagOf("1"))
		w.evaluate("f", "{}")
		synctest.Wait()
		for _, each := range []struct {
			fails error
			want  int64 // in all
		}{{refusal{errLost}, 3}, {errLost, 4}} {
			w.evaluate("f", "{}")
			w.set(func() { w.fails = each.fails })
			w.server.Flush(t.Context())
			w.set(func() { w.fails = nil })
			w.evaluate("f", "{}")
			w.server.Flush(t.Context())
			if got := w.n("f", "v", seven); got != each.want {
				t.Errorf("after %v: %d, want %d", each.fails, got, each.want)
			}
		}
	})
}
