package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/slipway-cd/slipway/internal/api"
)

// Bounds on a request: API Gateway itself gives up after 29 s.
const (
	requestTimeout = 30 * time.Second
	tries          = 8 // where asking again does no harm: for about half a minute
	maxAnswer      = 10 << 20
	longestPause   = 10 * time.Second
	longestRetry   = 5 * time.Second // before the jitter, where the API doesn't say how long to wait
)

// client asks the control API, signed with the caller's own credentials.
type client struct {
	place *place
	http  *http.Client
	sign  *v4.Signer
	now   func() time.Time
	pause time.Duration // before the second try; it doubles

	app, appFile string // the app that a file here names, and the file; "" where there is none
}

// connect finds the API. Nothing is asked yet.
func (p *program) connect(ctx context.Context) (*client, error) {
	at, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the credentials' session token would go along
	c := &client{place: at, http: &http.Client{Timeout: requestTimeout, CheckRedirect: stay}, sign: v4.NewSigner(), now: p.now, pause: p.poll / 4}
	c.app, c.appFile = p.findApp()
	return c, nil
}

// problem is an answer that says no.
type problem struct{ api.Problem }

func (p problem) Error() string {
	if len(p.Errors) > 0 {
		lines := []string{"the document can't be right:"}
		for _, each := range p.Errors {
			lines = append(lines, "  "+each.Pointer+": "+each.Detail)
		}
		return strings.Join(lines, "\n")
	}
	if p.Field != "" && p.Status != http.StatusNotFound { // a 404 names what isn't there by itself
		return p.Field + ": " + p.Detail
	}
	return p.Detail
}

// get asks until there is an answer, for a while: asking again changes nothing.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	if encoded := query.Encode(); encoded != "" {
		path += "?" + encoded
	}
	return c.send(ctx, request{method: http.MethodGet, path: path}, out)
}

// create asks for a deployment or a rollback under a key of its own, so that asking again makes no second one.
func (c *client) create(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, request{method: http.MethodPost, path: path, in: in, header: http.Header{"Idempotency-Key": {strconv.Quote(rand.Text())}}}, out)
}

// post and put ask once: whether a request without an answer was heard is not to be guessed at.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, request{method: http.MethodPost, path: path, in: in}, out)
}

func (c *client) put(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, request{method: http.MethodPut, path: path, in: in}, out)
}

// request is one question to the API.
type request struct {
	method, path string // the path with its query
	header       http.Header
	in           any    // a raw body, or what is sent as JSON; nil for none
	advice       string // what helps a caller who may not use the route; "" for what the route says
}

// repeatable tells whether the request may be heard twice.
func (r *request) repeatable() bool {
	return r.method == http.MethodGet || r.method == http.MethodHead || r.header.Get("Idempotency-Key") != ""
}

// answer is what the API said, whatever that is.
type answer struct {
	status string
	code   int
	header http.Header
	body   []byte
}

// asked is how long the API asks to be left alone; nothing to speak of where it doesn't say, or there is no answer.
func (a *answer) asked() time.Duration {
	if a == nil {
		return 0
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longestPause)
}

// send asks, again where that can do no harm, and reads the answer into out.
func (c *client) send(ctx context.Context, r request, out any) error {
	a, err := c.ask(ctx, r)
	switch {
	case err != nil:
		return err
	case a.code >= http.StatusMultipleChoices:
		return refused(r, a, c.hint(r, a))
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("the API's answer is not what this version knows: %w", err)
	}
	return nil
}

// ask gets an answer. A request that was not let in (429) was not heard, and any may be sent again; one without an answer,
// or with one of a server that failed (500 to 504; API Gateway's own where Lambda throttles), only where it may be heard twice.
func (c *client) ask(ctx context.Context, r request) (*answer, error) {
	body, asIs := r.in.(raw)
	if r.in != nil && !asIs {
		var err error
		if body, err = json.Marshal(r.in); err != nil {
			return nil, err
		}
	}
	pause := c.pause
	for try := 1; ; try++ {
		a, err := c.exchange(ctx, r, body)
		again := err != nil || a.code >= http.StatusInternalServerError
		if errors.As(err, new(unsigned)) { // asking again finds no credentials either
			return nil, err
		}
		throttled := err == nil && a.code == http.StatusTooManyRequests
		if try == tries || !throttled && !(again && r.repeatable()) {
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, err
		case <-time.After(max(pause, a.asked()) + mathrand.N(pause/2+1)): // so that many who were refused together don't come back together
			pause = min(2*pause, longestRetry)
		}
	}
}

// unsigned is the error of a request that could not be signed, and was not sent.
type unsigned struct{ error }

func (u unsigned) Unwrap() error { return u.error }

// exchange sends one request, signed, and reads its answer.
func (c *client) exchange(ctx context.Context, r request, body []byte) (*answer, error) {
	sent, err := http.NewRequestWithContext(ctx, r.method, c.place.api.String()+r.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		sent.Header[name] = values
	}
	if body != nil && sent.Header.Get("Content-Type") == "" {
		sent.Header.Set("Content-Type", "application/json")
	}
	if err := c.signed(ctx, sent, body); err != nil {
		return nil, unsigned{err}
	}
	w, err := c.http.Do(sent)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the API's answer broke off: %w", err)
	}
	return &answer{status: w.Status, code: w.StatusCode, header: w.Header, body: text}, nil
}

func (c *client) signed(ctx context.Context, r *http.Request, body []byte) error {
	if c.place.aws.Credentials == nil {
		return errNoCredentials
	}
	creds, err := c.place.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return credentialsError(ctx, c.place.aws, err)
	}
	sum := sha256.Sum256(body)
	return c.sign.SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "execute-api", c.place.aws.Region, c.now())
}

func (c *client) unreachable(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the URL, which is long
	}
	if c.place.from != "" {
		return fmt.Errorf("the local cloud of %s doesn't answer (%w); is it up? make up starts it", c.place.from, err)
	}
	return fmt.Errorf("%s doesn't answer: %w", c.place.api.Host, err)
}

// refused returns the error of an answer: the API's own, or API Gateway's. That of a 403 names the method and the route, which the
// missing permission is for. more follows what a 403 or a 429 says.
func refused(r request, a *answer, more string) error {
	from := ""
	if a.code == http.StatusForbidden {
		route, _, _ := strings.Cut(r.path, "?")
		from = r.method + " " + route + ": "
	}
	var p problem
	if err := json.Unmarshal(a.body, &p.Problem); err == nil && p.Detail != "" {
		switch p.Status {
		case http.StatusInternalServerError:
			return fmt.Errorf("%s: %s", p.Title, p.Detail)
		case http.StatusForbidden, http.StatusTooManyRequests:
			return fmt.Errorf("%sthe API answered %s: %s%s", from, a.status, p.Detail, more)
		}
		return p
	}
	var gateway struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(a.body, &gateway) != nil || gateway.Message == "" {
		return fmt.Errorf("%sthe API answered %s%s", from, a.status, more)
	}
	return fmt.Errorf("%sthe API answered %s: %s%s", from, a.status, gateway.Message, more)
}

// hint says what to do about a 403: ask for less, if the right to the route is what the caller lacks.
func (c *client) hint(r request, a *answer) string {
	route, _, _ := strings.Cut(r.path, "?")
	below, ofApp := strings.CutPrefix(route, "/v1/apps/")
	says := strings.ToLower(string(a.body))
	isBadKey := strings.Contains(says, "signature") || strings.Contains(says, "security token")
	switch isDenied := strings.Contains(says, "not authorized"); {
	case a.code != http.StatusForbidden:
		return ""
	case isBadKey && !isDenied && loopback(c.place.api.String()):
		return "\nThe local cloud makes new keys at each start. Read " + localEnv + " again"
	case !isDenied:
		return ""
	case r.advice != "":
		return "\n" + r.advice
	case route == "/v1/apps" || route == "/v1/deployments" || strings.HasPrefix(route, "/v1/deployments/"):
		return "\nThis route covers all apps. If your permissions are for one app, name it with --app, or run this where its app.yaml is"
	case ofApp && r.method == http.MethodGet && !strings.Contains(below, "/environments/"):
		return "\nThis route covers all environments of the app. If your permissions are for one environment, name it with --env"
	}
	return ""
}
