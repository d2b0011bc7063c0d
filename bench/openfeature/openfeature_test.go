package openfeature_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/open-feature/flagd/core/pkg/logger"
	flagdsync "github.com/open-feature/flagd/core/pkg/sync"
	flagdhttp "github.com/open-feature/flagd/core/pkg/sync/http"
	flagd "github.com/open-feature/go-sdk-contrib/providers/flagd/pkg"
	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
	"go.uber.org/zap"

	"github.com/slipway-cd/slipway/flags"
)

// users are who the tests ask for.
func users() []openfeature.EvaluationContext {
	all := []openfeature.EvaluationContext{
		openfeature.NewEvaluationContext("vip", map[string]any{"email": "vip@shop.test", "version": "2.1.0", "company": "acme"}),
		openfeature.NewEvaluationContext("", map[string]any{"email": "x@guest.test", "version": "not a version"}),
	}
	for i := range 8 {
		all = append(all, openfeature.NewEvaluationContext(fmt.Sprintf("user-%d", i), map[string]any{"version": fmt.Sprintf("1.%d.0", i), "company": fmt.Sprint("c", i)}))
	}
	return all
}

// set makes a provider the one of a test's own domain.
func set(t *testing.T, p openfeature.FeatureProvider) *openfeature.Client {
	t.Helper()
	if err := openfeature.SetNamedProviderAndWait(t.Name(), p); err != nil {
		t.Fatal(err)
	}
	return openfeature.NewClient(t.Name())
}

// flagdSync is flagd's own HTTP sync, as flagd starts it for a source of that kind.
func flagdSync() flagdsync.ISync {
	source := flagdsync.SourceConfig{URI: cloud.url + "/flagd/v1/flags", Provider: "http", AuthHeader: "Bearer " + cloud.key}
	return flagdhttp.NewHTTP(source, logger.NewLogger(zap.NewNop(), false), everySecond{}, 1)
}

// everySecond polls each second, until its context ends.
type everySecond struct{}

func (everySecond) Start(ctx context.Context, poll func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
			poll()
		}
	}
}

func (everySecond) Offset() uint32 { return 0 }

const byFlagd = "flagd by its HTTP sync"

// TestEverybodyAgrees asks all ways that there are for all flags and users: OpenFeature's OFREP provider, its flagd
// provider in process over flagd's HTTP sync, and package flags.
func TestEverybodyAgrees(t *testing.T) {
	clients := map[string]*openfeature.Client{}
	for name, p := range map[string]openfeature.FeatureProvider{
		"OFREP with a Bearer":  ofrep.NewProvider(cloud.url, ofrep.WithBearerToken(cloud.key)),
		"OFREP with X-API-Key": ofrep.NewProvider(cloud.url, ofrep.WithApiKeyAuth(cloud.key)),
		"slipway/flags":        flags.New(flags.Options{URL: cloud.url, Key: cloud.key}),
		byFlagd:                mustFlagd(t),
	} {
		if err := openfeature.SetNamedProviderAndWait(name, p); err != nil {
			t.Fatal(name, err)
		}
		clients[name] = openfeature.NewClient(name)
	}
	different := map[string]bool{}
	for _, user := range users() {
		for _, key := range strings.Fields("static staff split version half thing off bucketed rollout missing") {
			want := ask(t, clients["slipway/flags"], key, user)
			for name, c := range clients {
				if got := ask(t, c, key, user); !reflect.DeepEqual(got, want) {
					if at := name + key; !different[at] { // one of a kind will do
						different[at] = true
						t.Errorf("%s, %s for %s: %+v, in process %+v", name, key, user.TargetingKey(), got, want)
					}
				}
			}
		}
	}
}

func mustFlagd(t *testing.T) openfeature.FeatureProvider {
	t.Helper()
	p, err := flagd.NewProvider(flagd.WithInProcessResolver(), flagd.WithLogger(logr.Discard()), flagd.WithCustomSyncProvider(flagdSync()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answer is what an application sees of an evaluation.
type answer struct {
	Value   any
	Variant string
	Reason  openfeature.Reason
	Code    openfeature.ErrorCode
}

// ask evaluates by the call of the flag's type, with a default that no flag has.
func ask(t *testing.T, c *openfeature.Client, key string, user openfeature.EvaluationContext) answer {
	t.Helper()
	ctx := t.Context()
	switch key {
	case "split", "bucketed":
		d, _ := c.StringValueDetails(ctx, key, "code", user)
		return answer{d.Value, d.Variant, d.Reason, d.ErrorCode}
	case "version":
		d, _ := c.IntValueDetails(ctx, key, -1, user)
		return answer{d.Value, d.Variant, d.Reason, d.ErrorCode}
	case "half":
		d, _ := c.FloatValueDetails(ctx, key, -1, user)
		return answer{d.Value, d.Variant, d.Reason, d.ErrorCode}
	case "thing":
		d, _ := c.ObjectValueDetails(ctx, key, nil, user)
		return answer{d.Value, d.Variant, d.Reason, d.ErrorCode}
	}
	d, _ := c.BooleanValueDetails(ctx, key, true, user)
	return answer{d.Value, d.Variant, d.Reason, d.ErrorCode}
}

// A kill switch reaches applications that ask, and those that poll.
func TestKillSwitch(t *testing.T) {
	flag(t, "create", "kill-me", "--on")
	remote := set(t, ofrep.NewProvider(cloud.url, ofrep.WithBearerToken(cloud.key)))
	p := flags.New(flags.Options{URL: cloud.url, Key: cloud.key, Interval: 100 * time.Millisecond})
	defer p.Shutdown()
	if err := p.Init(openfeature.EvaluationContext{}); err != nil {
		t.Fatal(err)
	}
	on := func(want bool) func() bool {
		return func() bool {
			far, err := remote.BooleanValue(t.Context(), "kill-me", !want, openfeature.EvaluationContext{})
			near := p.BooleanEvaluation(t.Context(), "kill-me", !want, nil)
			return err == nil && far == want && near.Value == want && near.Error() == nil
		}
	}
	within(t, "flag that is on", on(true))
	start := time.Now()
	flag(t, "disable", "kill-me")
	within(t, "flag that is off", func() bool {
		far, err := remote.BooleanValueDetails(t.Context(), "kill-me", false, openfeature.EvaluationContext{})
		near := p.BooleanEvaluation(t.Context(), "kill-me", false, nil)
		return err == nil && !far.Value && far.Reason == openfeature.DisabledReason && !near.Value && near.Reason == openfeature.DisabledReason
	})
	t.Logf("off everywhere %v after the command began", time.Since(start).Round(time.Millisecond))
}

// flagd itself hears of a change by its poll.
func TestFlagdSync(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	updates := make(chan flagdsync.DataSync, 10)
	sync := flagdSync()
	if err := sync.Init(ctx); err != nil {
		t.Fatal(err)
	}
	go func() { _ = sync.Sync(ctx, updates) }()
	if first := next(t, updates); first["fresh"] != nil {
		t.Errorf("before: %v", first["fresh"])
	}
	flag(t, "create", "fresh")
	for next(t, updates)["fresh"] == nil { // what another test wrote just before may be told first
	}
}

func next(t *testing.T, updates <-chan flagdsync.DataSync) map[string]any {
	t.Helper()
	select {
	case u := <-updates:
		var d struct{ Flags map[string]any }
		if err := json.Unmarshal([]byte(u.FlagData), &d); err != nil {
			t.Fatal(err)
		}
		return d.Flags
	case <-time.After(time.Minute):
		t.Fatal("no update in a minute")
		return nil
	}
}

// A key opens its own environment, until it is revoked.
func TestKeys(t *testing.T) {
	status := func(key string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, cloud.url+"/ofrep/v1/evaluate/flags/static", strings.NewReader(`{"context":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a.StatusCode
	}
	staging, err := newKey("staging")
	if err != nil {
		t.Fatal(err)
	}
	own, err := newKey("production")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{cloud.key: 200, own.Key: 200, staging.Key: 404, "slipway_" + strings.Repeat("A", 43): 401, "": 401} {
		if got := status(key); got != want {
			t.Errorf("%.12s…: %d, want %d", key, got, want)
		}
	}
	flag(t, "key", "revoke", own.ID)
	start := time.Now()
	within(t, "401 for the revoked key", func() bool { return status(own.Key) == 401 })
	t.Logf("refused %v after it was revoked", time.Since(start).Round(100*time.Millisecond))
}

// What applications ask for is counted, and what nobody asks for is found.
func TestCounts(t *testing.T) {
	flag(t, "create", "asked", "--on")
	flag(t, "create", "forgotten", "--on")
	c := set(t, ofrep.NewProvider(cloud.url, ofrep.WithBearerToken(cloud.key)))
	within(t, "flag that is on", func() bool {
		on, err := c.BooleanValue(t.Context(), "asked", false, openfeature.EvaluationContext{})
		return err == nil && on
	})
	seen := func(key string) bool { return strings.Contains(string(flag(t, "get", key)), `"last_evaluated": "20`) }
	within(t, "count of it", func() bool {
		_, _ = c.BooleanValue(t.Context(), "asked", false, openfeature.EvaluationContext{}) // counts are written behind an answer
		time.Sleep(500 * time.Millisecond)
		return seen("asked")
	})
	if seen("forgotten") {
		t.Error("forgotten was evaluated, the table says")
	}
}
