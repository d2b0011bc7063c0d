// Package flags evaluates Slipway's flags inside of a Go program, behind OpenFeature's API. It polls the environment's
// document from the flags' URL, and decides each flag in memory: no request, no wait, and nothing that fails when the
// network does.
//
//	err := openfeature.SetProviderAndWait(flags.New(flags.Options{URL: os.Getenv("SLIPWAY_FLAGS_URL"), Key: os.Getenv("SLIPWAY_FLAGS_KEY")}))
//	client := openfeature.NewClient("shop")
//	on, err := client.BooleanValue(ctx, "new-checkout", false, openfeature.NewEvaluationContext("user-7", nil))
package flags

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/slipway-cd/slipway/internal/flag"
)

// Name is what the provider calls itself.
const Name = "slipway"

// Defaults of Options.
const (
	DefaultInterval = 10 * time.Second
	DefaultTimeout  = 5 * time.Second
)

// Options say where the flags are.
type Options struct {
	URL string // the stack's output FlagsUrl
	Key string // an evaluation key, which opens one environment's flags

	Interval time.Duration // between two polls; DefaultInterval where it's 0
	Client   *http.Client  // one that gives up after DefaultTimeout where it's nil
}

// Provider is an openfeature.FeatureProvider. Give it to openfeature.SetProviderAndWait, which begins the polling;
// openfeature.Shutdown ends it.
type Provider struct {
	options Options
	set     atomic.Pointer[flag.Set] // nil until the first document was read
	etag    string                   // of it; only poll's
	events  chan openfeature.Event

	mu   sync.Mutex
	stop context.CancelFunc // nil unless it polls
	done chan struct{}
}

// New makes a provider. It reads nothing yet.
func New(o Options) *Provider {
	o.URL = strings.TrimSuffix(o.URL, "/")
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	if o.Client == nil {
		o.Client = &http.Client{Timeout: DefaultTimeout}
	}
	return &Provider{options: o, events: make(chan openfeature.Event, 8)}
}

// Metadata implements openfeature.FeatureProvider.
func (p *Provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: Name} }

// Hooks implements openfeature.FeatureProvider; there are none.
func (p *Provider) Hooks() []openfeature.Hook { return nil }

// EventChannel implements openfeature.EventHandler: the flags have changed, can't be read any more, are read again.
func (p *Provider) EventChannel() <-chan openfeature.Event { return p.events }

// Init is InitWithContext without a limit of its own.
func (p *Provider) Init(c openfeature.EvaluationContext) error {
	return p.InitWithContext(context.Background(), c)
}

// InitWithContext reads the flags, and polls from then on. Where they can't be read it tells so, and goes on trying:
// evaluations answer with the code's defaults until it works. A key that opens nothing is final.
func (p *Provider) InitWithContext(ctx context.Context, _ openfeature.EvaluationContext) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		return nil // a second domain has the same provider
	}
	_, err := p.poll(ctx)
	if errors.Is(err, errKey) {
		return &openfeature.ProviderInitError{ErrorCode: openfeature.ProviderFatalCode, Message: err.Error()}
	}
	polling, stop := context.WithCancel(context.Background())
	p.stop, p.done = stop, make(chan struct{})
	go p.run(polling, p.done, err)
	if err != nil {
		return &openfeature.ProviderInitError{ErrorCode: openfeature.GeneralCode, Message: err.Error()}
	}
	return nil
}

// Shutdown ends the polling. The flags stay as they are.
func (p *Provider) Shutdown() { _ = p.ShutdownWithContext(context.Background()) }

// ShutdownWithContext is Shutdown; its error is the context's.
func (p *Provider) ShutdownWithContext(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		return nil
	}
	p.stop()
	select {
	case <-p.done:
		p.stop = nil
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
