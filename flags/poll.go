package flags

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/slipway-cd/slipway/internal/flag"
)

// native is the media type of a document with all that Slipway knows of a flag; plain flagd can't say everything.
const native = "application/vnd.slipway.flags+json"

var errKey = errors.New("the evaluation key opens no environment")

// run polls until ctx ends. before is how the first poll went.
func (p *Provider) run(ctx context.Context, done chan struct{}, before error) {
	defer close(done)
	for {
		// A tenth more or less, so that programs that were started together don't ask together.
		wait := p.options.Interval*9/10 + rand.N(p.options.Interval/5+1)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		changed, err := p.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && before == nil:
			p.tell(openfeature.ProviderStale, err.Error())
		case err == nil && before != nil:
			p.tell(openfeature.ProviderReady, "the flags are read again")
		case changed:
			p.tell(openfeature.ProviderConfigChange, "the flags have changed")
		}
		before = err
	}
}

// tell is heard by whoever listens; it waits for nobody.
func (p *Provider) tell(what openfeature.EventType, message string) {
	select {
	case p.events <- openfeature.Event{ProviderName: Name, EventType: what,
		ProviderEventDetails: openfeature.ProviderEventDetails{Message: message}}:
	default:
	}
}

// poll reads the document where it has changed. On an error the flags stay as they are.
func (p *Provider) poll(ctx context.Context) (changed bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.options.URL+"/flagd/v1/flags", nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+p.options.Key)
	r.Header.Set("Accept", native)
	if p.etag != "" {
		r.Header.Set("If-None-Match", p.etag)
	}
	answer, err := p.options.Client.Do(r)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return false, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return false, errKey
	default:
		return false, fmt.Errorf("read the flags: %s", answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, flag.MaxSnapshot+1))
	if err != nil {
		return false, fmt.Errorf("read the flags: %w", err)
	}
	if len(text) > flag.MaxSnapshot {
		return false, fmt.Errorf("the flags are larger than %d bytes", flag.MaxSnapshot)
	}
	set, _ := flag.CompileLenient(text) // a flag that can't be right answers PARSE_ERROR, alone
	p.set.Store(set)
	p.etag = answer.Header.Get("Etag")
	return true, nil
}
