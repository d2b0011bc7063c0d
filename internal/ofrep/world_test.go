package ofrep_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/ofrep"
)

// Keys of the tests' world: goodKey opens shop's production, otherKey its staging.
var (
	goodKey  = "slipway_" + strings.Repeat("a", 43)
	otherKey = "slipway_" + strings.Repeat("b", 43)
	noKey    = "slipway_" + strings.Repeat("c", 43)
)

// world is a table of flags with a server in front of it, and a clock.
type world struct {
	server *ofrep.Server

	mu       sync.Mutex
	now      time.Time
	flags    map[string]string // by environment
	revision map[string]int64
	keys     map[string]string // environment by hash
	fails    error             // every call's answer
	blocks   chan struct{}     // every call waits for its end, or the context's
	calls    map[string]int
	counts   map[deploy.Evaluations]int64
	metrics  map[string]int
}

func newWorld(document string) *world {
	w := &world{now: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC), calls: map[string]int{}, metrics: map[string]int{},
		flags:    map[string]string{"production": document, "staging": `{"flags":{}}`},
		revision: map[string]int64{"production": 1, "staging": 1},
		keys:     map[string]string{hashOf(goodKey): "production", hashOf(otherKey): "staging"},
		counts:   map[deploy.Evaluations]int64{}}
	w.server = w.another()
	return w
}

// another makes a further server over the same table.
func (w *world) another() *ofrep.Server {
	return ofrep.New(ofrep.Config{Source: w, Ledger: w, Now: w.clock, Log: slog.New(slog.DiscardHandler),
		Metric: func(name string, n int) { w.set(func() { w.metrics[name] += n }) }})
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) clock() (now time.Time) {
	w.set(func() { now = w.now })
	return now
}

func (w *world) wait(d time.Duration) { w.set(func() { w.now = w.now.Add(d) }) }

// put changes an environment's document.
func (w *world) put(environment, document string) {
	w.set(func() { w.flags[environment], w.revision[environment] = document, w.revision[environment]+1 })
}

// call counts a call and answers it as the world is.
func (w *world) call(ctx context.Context, name string) error {
	var blocks chan struct{}
	var fails error
	w.set(func() {
		w.calls[name]++
		blocks, fails = w.blocks, w.fails
	})
	if blocks != nil {
		select {
		case <-blocks:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fails
}

func (w *world) called(name string) (n int) {
	w.set(func() { n = w.calls[name] })
	return n
}

func (w *world) EvaluationKey(ctx context.Context, hash string) (app, environment string, err error) {
	if err := w.call(ctx, "key"); err != nil {
		return "", "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	environment, ok := w.keys[hash]
	if !ok {
		return "", "", deploy.Errorf(deploy.NotFound, "flags", "no such key")
	}
	return "shop", environment, nil
}

func (w *world) Revision(ctx context.Context, app, environment string) (n int64, err error) {
	if err := w.call(ctx, "revision"); err != nil {
		return 0, err
	}
	w.set(func() { n = w.revision[environment] })
	return n, nil
}

func (w *world) Snapshot(ctx context.Context, app, environment string) (text []byte, n int64, err error) {
	if err := w.call(ctx, "snapshot"); err != nil {
		return nil, 0, err
	}
	w.set(func() { text, n = []byte(w.flags[environment]), w.revision[environment] })
	return text, n, nil
}

// refusal is an error as the AWS SDK has it.
type refusal struct{ error }

func (refusal) ErrorCode() string { return "ThrottlingException" }

var errLost = errors.New("the answer was lost")

func (w *world) AddCounts(ctx context.Context, app, environment string, counts []deploy.Evaluations) error {
	if err := w.call(ctx, "counts"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range counts {
		n := c.N
		c.N = 0
		w.counts[c] += n
	}
	return nil
}

func (w *world) counted() (all map[deploy.Evaluations]int64) {
	w.set(func() { all = maps.Clone(w.counts) })
	return all
}

// ask sends "METHOD /path name:value name:value" with a body to a server.
func ask(h http.Handler, line, body string) *httptest.ResponseRecorder {
	words := strings.Fields(line)
	r := httptest.NewRequest(words[0], words[1], strings.NewReader(body))
	for _, header := range words[2:] {
		name, value, _ := strings.Cut(header, ":")
		r.Header.Add(name, strings.ReplaceAll(value, "~", " "))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// evaluate asks for one flag with the good key.
func (w *world) evaluate(key, context string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/ofrep/v1/evaluate/flags/"+key, strings.NewReader(`{"context":`+context+`}`))
	r.Header.Set("Authorization", "Bearer "+goodKey)
	out := httptest.NewRecorder()
	w.server.ServeHTTP(out, r)
	return out
}
