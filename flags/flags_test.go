package flags_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/slipway-cd/slipway/flags"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/ofrep"
)

const document = `{"metadata":{"flagSetId":"shop"},"flags":{
	"on":{"state":"ENABLED","variants":{"yes":true,"no":false},"defaultVariant":"yes","metadata":{"owner":"ann"}},
	"text":{"state":"ENABLED","variants":{"a":"A","b":"B"},"defaultVariant":"a","targeting":{"if":[{"==":[{"var":"plan"},"pro"]},"b",null]}},
	"split":{"state":"ENABLED","variants":{"a":"A","b":"B"},"defaultVariant":"a","targeting":{"fractional":[["a",50],["b",50]]}},
	"ten":{"state":"ENABLED","variants":{"n":10},"defaultVariant":"n"},
	"half":{"state":"ENABLED","variants":{"n":0.5},"defaultVariant":"n"},
	"thing":{"state":"ENABLED","variants":{"n":{"x":[1]}},"defaultVariant":"n"},
	"off":{"state":"DISABLED","variants":{"yes":true},"defaultVariant":"yes"},
	"bad":{"state":"ENABLED","variants":{"yes":true},"defaultVariant":"yes","targeting":{"no-such-operator":[1]}},
	"large":{"state":"ENABLED","variants":{"n":9007199254740993},"defaultVariant":"n","metadata":{"id":9007199254740993}},
	"larger":{"state":"ENABLED","variants":{"n":9223372036854775809},"defaultVariant":"n"},
	"largest":{"state":"ENABLED","variants":{"n":-9223372036854775808},"defaultVariant":"n"},
	"deep":{"state":"ENABLED","variants":{"n":{"x":[9007199254740993]}},"defaultVariant":"n"},
	"ring":{"enabled":false,"rollout_percent":50,"users":[],"bucketing":"ring"}}}`

var key = "slipway_" + strings.Repeat("k", 43)

// shop is a table with one environment, served over HTTP.
type shop struct {
	mu       sync.Mutex
	text     string
	revision int64
	down     atomic.Bool // the URL answers 500
	asked    atomic.Int64
	full     atomic.Int64 // answers with a body
}

func (s *shop) EvaluationKey(context.Context, string) (app, environment string, err error) {
	return "shop", "production", nil
}

func (s *shop) Revision(context.Context, string, string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, nil
}

func (s *shop) Snapshot(context.Context, string, string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.text), s.revision, nil
}

func (s *shop) AddCounts(context.Context, string, string, []deploy.Evaluations) error { return nil }

func (s *shop) put(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.revision = text, s.revision+1
}

type counting struct {
	http.ResponseWriter
	full *atomic.Int64
}

func (c counting) WriteHeader(status int) {
	if status == http.StatusOK {
		c.full.Add(1)
	}
	c.ResponseWriter.WriteHeader(status)
}

// open serves a shop whose clock runs a thousand times as fast, so that every poll meets a table that was looked at.
func open(t *testing.T, text string) (*shop, string) {
	s := &shop{text: text, revision: 1}
	start := time.Now()
	server := ofrep.New(ofrep.Config{Source: s, Ledger: s, Log: slog.New(slog.DiscardHandler), Metric: func(string, int) {},
		Now: func() time.Time { return start.Add(1000 * time.Since(start)) }})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		server.ServeHTTP(counting{w, &s.full}, r)
	}))
	t.Cleanup(h.Close)
	return s, h.URL + "/"
}

// client sets a provider under the test's own domain.
func client(t *testing.T, o flags.Options) *openfeature.Client {
	t.Helper()
	p := flags.New(o)
	t.Cleanup(p.Shutdown)
	if err := openfeature.SetNamedProviderAndWait(t.Name(), p); err != nil {
		t.Fatal(err)
	}
	return openfeature.NewClient(t.Name())
}

func TestValues(t *testing.T) {
	_, url := open(t, document)
	c := client(t, flags.Options{URL: url, Key: key})
	ctx := t.Context()
	pro := openfeature.NewEvaluationContext("u1", map[string]any{"plan": "pro"})
	if v, err := c.BooleanValueDetails(ctx, "on", false, pro); err != nil || !v.Value || v.Variant != "yes" || v.Reason != openfeature.StaticReason ||
		v.FlagMetadata["owner"] != "ann" || v.FlagMetadata["flagSetId"] != "shop" {
		t.Errorf("on: %+v, %v", v, err)
	}
	if v, err := c.StringValueDetails(ctx, "text", "", pro); err != nil || v.Value != "B" || v.Reason != openfeature.TargetingMatchReason {
		t.Errorf("text: %+v, %v", v, err)
	}
	if v, err := c.IntValue(ctx, "ten", 0, pro); err != nil || v != 10 {
		t.Errorf("ten: %v, %v", v, err)
	}
	if v, err := c.FloatValue(ctx, "half", 0, pro); err != nil || v != 0.5 {
		t.Errorf("half: %v, %v", v, err)
	}
	if v, err := c.ObjectValue(ctx, "thing", nil, pro); err != nil || v.(map[string]any)["x"].([]any)[0] != 1.0 {
		t.Errorf("thing: %v, %v", v, err)
	}
	if v, err := c.BooleanValueDetails(ctx, "off", true, pro); err != nil || !v.Value || v.Reason != openfeature.DisabledReason {
		t.Errorf("off: %+v, %v; want the code's own default", v, err)
	}
}

// TestLargeIntegers: an integer over 2^53 is exact, or a type mismatch where the type that is asked for can't hold it.
func TestLargeIntegers(t *testing.T) {
	_, url := open(t, document)
	c := client(t, flags.Options{URL: url, Key: key})
	nobody := openfeature.EvaluationContext{}
	for flag, want := range map[string]int64{"large": 9007199254740993, "largest": math.MinInt64} {
		if v, err := c.IntValueDetails(t.Context(), flag, 1, nobody); err != nil || v.Value != want {
			t.Errorf("%s: %+v, %v; want %d", flag, v, err, want)
		}
	}
	v, _ := c.IntValueDetails(t.Context(), "large", 1, nobody)
	if id, err := v.FlagMetadata.GetInt("id"); err != nil || id != 9007199254740993 {
		t.Errorf("the metadata are %v: %v", v.FlagMetadata, err)
	}
	if v, err := c.FloatValueDetails(t.Context(), "large", 0.5, nobody); err == nil || v.Value != 0.5 || v.ErrorCode != openfeature.TypeMismatchCode {
		t.Errorf("large as a float: %+v, %v", v, err)
	}
	if v, err := c.IntValueDetails(t.Context(), "larger", 1, nobody); err == nil || v.Value != 1 || v.ErrorCode != openfeature.TypeMismatchCode {
		t.Errorf("larger: %+v, %v", v, err)
	}
	if v, err := c.ObjectValue(t.Context(), "deep", nil, nobody); err != nil || v.(map[string]any)["x"].([]any)[0] != int64(9007199254740993) {
		t.Errorf("deep: %v, %v", v, err)
	}
	if v, err := c.FloatValue(t.Context(), "ten", 0, nobody); err != nil || v != 10 {
		t.Errorf("ten as a float: %v, %v", v, err)
	}
}

func TestFailuresKeepTheCodesDefault(t *testing.T) {
	_, url := open(t, document)
	c := client(t, flags.Options{URL: url, Key: key})
	for flag, want := range map[string]openfeature.ErrorCode{"missing": openfeature.FlagNotFoundCode, "text": openfeature.TypeMismatchCode,
		"half": openfeature.TypeMismatchCode, "bad": openfeature.ParseErrorCode} {
		v, err := c.IntValueDetails(t.Context(), flag, 7, openfeature.EvaluationContext{})
		if err == nil || v.Value != 7 || v.ErrorCode != want || v.Reason != openfeature.ErrorReason {
			t.Errorf("%s: %+v, %v; want %s", flag, v, err, want)
		}
	}
}

// In process and at the URL a user is in the same bucket, with rules that plain flagd can't say, too.
func TestSameAsRemote(t *testing.T) {
	_, url := open(t, document)
	c := client(t, flags.Options{URL: url, Key: key})
	on := 0
	for _, user := range strings.Fields("ann bob cid dan eve fay gus hal ida jim kim leo mia ned oda pat") {
		for _, flag := range []string{"split", "ring"} {
			r, _ := http.NewRequest(http.MethodPost, url+"ofrep/v1/evaluate/flags/"+flag, strings.NewReader(`{"context":{"targetingKey":"`+user+`"}}`))
			r.Header.Set("X-API-Key", key)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			_ = answer.Write(&b)
			answer.Body.Close()
			v, err := c.ObjectValueDetails(t.Context(), flag, nil, openfeature.NewEvaluationContext(user, nil))
			if err != nil || v.Variant == "" || !strings.Contains(b.String(), `"variant":"`+v.Variant+`"`) {
				t.Errorf("%s for %s: %q here (%v), there %s", flag, user, v.Variant, err, b.String())
			}
			if v.Value == true {
				on++
			}
		}
	}
	if on == 0 || on == 16 {
		t.Errorf("%d of 16 are in the ring of 50 %%", on)
	}
}

// within waits for what the polling brings about.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in a minute", what)
		}
	}
}

func TestPolling(t *testing.T) {
	s, url := open(t, document)
	c := client(t, flags.Options{URL: url, Key: key, Interval: 20 * time.Millisecond})
	var changed, stale, ready atomic.Int64
	for what, n := range map[openfeature.EventType]*atomic.Int64{openfeature.ProviderConfigChange: &changed, openfeature.ProviderStale: &stale,
		openfeature.ProviderReady: &ready} {
		count := func(openfeature.EventDetails) { n.Add(1) }
		c.AddHandler(what, &count)
	}
	within(t, "event that it's ready", func() bool { return ready.Load() == 1 })
	value := func() int64 {
		n, _ := c.IntValue(t.Context(), "ten", 0, openfeature.EvaluationContext{})
		return n
	}
	within(t, "third poll", func() bool { return s.asked.Load() > 3 })
	if s.full.Load() != 1 || changed.Load() != 0 {
		t.Errorf("what hasn't changed was sent %d times, and told %d times", s.full.Load(), changed.Load())
	}
	s.put(strings.Replace(document, `{"n":10}`, `{"n":11}`, 1))
	within(t, "new value", func() bool { return value() == 11 })
	within(t, "event of the change", func() bool { return changed.Load() == 1 })
	s.down.Store(true)
	within(t, "event of staleness", func() bool { return stale.Load() == 1 })
	asked := s.asked.Load()
	within(t, "poll", func() bool { return s.asked.Load() > asked+2 })
	if value() != 11 || stale.Load() != 1 {
		t.Errorf("while it's down: %d, %d events", value(), stale.Load())
	}
	s.put(strings.Replace(document, `{"n":10}`, `{"n":12}`, 1))
	s.down.Store(false)
	within(t, "return", func() bool { return ready.Load() == 2 && value() == 12 })
}

func TestInit(t *testing.T) {
	s, url := open(t, document)
	for _, each := range []struct {
		key  string
		down bool
		want openfeature.ErrorCode
	}{{"slipway_x", false, openfeature.ProviderFatalCode}, {key, true, openfeature.GeneralCode}} {
		s.down.Store(each.down)
		p := flags.New(flags.Options{URL: url, Key: each.key, Interval: 10 * time.Millisecond})
		defer p.Shutdown()
		var failure *openfeature.ProviderInitError
		if err := p.Init(openfeature.EvaluationContext{}); !errors.As(err, &failure) || failure.ErrorCode != each.want {
			t.Errorf("%+v: %v", each, err)
		}
		if v := p.BooleanEvaluation(t.Context(), "on", true, nil); !v.Value || v.Error() == nil {
			t.Errorf("%+v: %+v", each, v)
		}
		if each.down { // it goes on trying
			s.down.Store(false)
			within(t, "value", func() bool { return p.BooleanEvaluation(t.Context(), "on", false, nil).Error() == nil })
		}
	}
}

func TestShutdownEndsThePolling(t *testing.T) {
	s, url := open(t, document)
	p := flags.New(flags.Options{URL: url, Key: key, Interval: 5 * time.Millisecond})
	if err := p.Init(openfeature.EvaluationContext{}); err != nil {
		t.Fatal(err)
	}
	within(t, "poll", func() bool { return s.asked.Load() > 2 })
	p.Shutdown()
	asked := s.asked.Load()
	time.Sleep(50 * time.Millisecond)
	if s.asked.Load() != asked {
		t.Error("it still polls")
	}
	if v := p.BooleanEvaluation(t.Context(), "on", false, nil); !v.Value {
		t.Error("the flags are gone")
	}
	p.Shutdown()
}
