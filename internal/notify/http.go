package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// refusal is an error that another try meets again.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

func refusef(format string, args ...any) error { return &refusal{fmt.Errorf(format, args...)} }

// maxAnswer bounds what is read of an answer: a page of a hundred statuses has some 200 KB.
const maxAnswer = 2 << 20

// request is one to a channel's other side. Its URL and its header may be secrets, and stand in no error.
type request struct {
	method, url string
	header      map[string]string
	body        any // nil for none
	what        string
}

// send sends it and reads a JSON answer into out, unless out is nil. What may pass with time, the network, 429 and 5xx, is a plain
// error; any other answer but 2xx is a refusal.
func (n *Notifier) send(ctx context.Context, q request, out any) error {
	req, err := q.http(ctx)
	if err != nil {
		return err
	}
	resp, err := n.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", q.what, bare(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || limited(resp):
		return fmt.Errorf("%s: %s", q.what, resp.Status)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return refusef("%s: %s, %q", q.what, resp.Status, deploy.Cut(string(answer), 200))
	case err != nil:
		return fmt.Errorf("%s: %w", q.what, bare(err))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: the answer is no JSON of the kind: %w", q.what, err)
	}
	return nil
}

// limited tells GitHub's other way to say 429 (docs.github.com, Rate limits for the REST API).
func limited(resp *http.Response) bool {
	return resp.StatusCode == http.StatusForbidden && (resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-RateLimit-Remaining") == "0")
}

func (q request) http(ctx context.Context) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, refusef("%s: %w", q.what, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, body)
	if err != nil {
		return nil, refusef("%s: its URL can't be right", q.what)
	}
	req.Header.Set("User-Agent", "slipway")
	req.Header.Set("Content-Type", "application/json")
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// bare takes the URL out of an error of the HTTP client's.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// secure tells whether text is a base URL to send secrets to: https, or http on this machine where that is allowed.
func secure(text string, local bool) bool {
	u, err := url.Parse(text)
	return err == nil && u.User == nil && u.Host != "" && (u.Scheme == "https" || local && u.Scheme == "http" && u.Hostname() == "127.0.0.1")
}
