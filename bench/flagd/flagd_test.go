// Package flagd_test has flagd's own core, of today, read the document over HTTP and decide. It is a module of its own,
// because OpenFeature's flagd provider for Go still needs an older core.
package flagd_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	flagdhttp "github.com/open-feature/flagd/core/pkg/sync/http"
	"go.uber.org/zap"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
	"github.com/slipway-cd/slipway/internal/ofrep"
)

const key = "slipway_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// document uses what Slipway adds to flagd's format, too.
const document = `{"$evaluators":{"staff":{"ends_with":[{"var":"email"},"@shop.test"]}},"flags":{
  "static":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"},
  "staff":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"$ref":"staff"},"on",null]}},
  "split":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"fractional":[["on",30],["off",70]]}},
  "silent":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":null},
  "disabled":{"state":"DISABLED","variants":{"on":true,"off":false},"defaultVariant":"on"},
  "rollout":{"enabled":false,"rollout_percent":50,"users":["vip"]},
  "needy":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","prerequisites":[{"flag":"split","variant":"on"}]},
  "ramp":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","schedule":{"from":"2020-01-01T00:00:00Z","ramp":[{"at":"2020-01-01T00:00:00Z","percent":40}]}}
}}`

// table is an environment that never changes.
type table struct{}

func (table) EvaluationKey(context.Context, string) (string, string, error) {
	return "shop", "production", nil
}
func (table) Revision(context.Context, string, string) (int64, error) { return 1, nil }
func (table) Snapshot(context.Context, string, string) ([]byte, int64, error) {
	return []byte(document), 1, nil
}
func (table) AddCounts(context.Context, string, string, []deploy.Evaluations) error { return nil }

// twice polls twice, at once.
type twice struct{ done chan struct{} }

func (twice) Offset() uint32 { return 0 }

func (p twice) Start(_ context.Context, poll func()) {
	poll()
	poll()
	close(p.done)
}

func TestFlagdReadsTheDocument(t *testing.T) {
	flags := ofrep.New(ofrep.Config{Source: table{}, Ledger: table{}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metric: func(string, int) {}})
	var unchanged atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flags.ServeHTTP(&watched{w, &unchanged}, r)
	}))
	defer server.Close()
	log := logger.NewLogger(zap.NewNop(), false)
	polls := twice{make(chan struct{})}
	source := flagdhttp.NewHTTP(sync.SourceConfig{URI: server.URL + "/flagd/v1/flags", Provider: "http", AuthHeader: "Bearer " + key}, log, polls, 1)
	updates := make(chan sync.DataSync, 3)
	if err := source.Sync(t.Context(), updates); err != nil {
		t.Fatal(err)
	}
	<-polls.done
	if len(updates) != 1 || unchanged.Load() != 2 {
		t.Errorf("%d documents and %d times 304 in three reads, want 1 and 2", len(updates), unchanged.Load())
	}
	states, err := store.NewStore(log, []string{server.URL + "/flagd/v1/flags"})
	if err != nil {
		t.Fatal(err)
	}
	theirs := evaluator.NewJSON(log, states)
	if err := theirs.SetState(<-updates); err != nil {
		t.Fatal(err)
	}
	ours, err := flag.Compile([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]int{}
	for i := range 200 {
		user := map[string]any{"targetingKey": fmt.Sprintf("user-%d", i), "email": fmt.Sprintf("u@%s.test", []string{"shop", "guest"}[i%2])}
		if i == 0 {
			user["targetingKey"] = "vip"
		}
		for _, name := range ours.Keys() {
			want := ours.Evaluate(name, flag.ContextOf(user))
			got, variant, _, _, err := theirs.ResolveBooleanValue(t.Context(), "", name, user)
			wanted, _ := want.Value.(bool)
			if err != nil && want.Value != nil || err == nil && (got != wanted || variant != want.Variant && want.Value != nil && name != "needy" && name != "ramp") {
				t.Errorf("%s for %v: flagd %v %q %v, here %+v", name, user["targetingKey"], got, variant, err, want)
			}
			if wanted {
				on[name]++
			}
		}
	}
	t.Logf("on for so many of 200: %v", on)
}

type watched struct {
	http.ResponseWriter
	unchanged *atomic.Int64
}

func (w *watched) WriteHeader(status int) {
	if status == http.StatusNotModified {
		w.unchanged.Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}
