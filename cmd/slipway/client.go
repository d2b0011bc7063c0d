package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/slipway-cd/slipway/internal/api"
)

// Bounds on a request: API Gateway itself gives up after 29 s.
const (
	requestTimeout = 30 * time.Second
	tries          = 4 // of a GET
	maxAnswer      = 10 << 20
)

// client asks the control API, signed with the caller's own credentials.
type client struct {
	place *place
	http  *http.Client
	sign  *v4.Signer
	now   func() time.Time
	pause time.Duration // before the second try; it doubles
}

// connect finds the API. Nothing is asked yet.
func (p *program) connect(ctx context.Context) (*client, error) {
	at, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	return &client{place: at, http: &http.Client{Timeout: requestTimeout}, sign: v4.NewSigner(), now: p.now, pause: p.poll / 4}, nil
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
	pause := c.pause
	for try := 1; ; try++ {
		again, err := c.ask(ctx, http.MethodGet, path, nil, out)
		if err == nil || !again || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// post and put ask once: whether a request without an answer was heard is not to be guessed at.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	_, err := c.ask(ctx, http.MethodPost, path, in, out)
	return err
}

func (c *client) put(ctx context.Context, path string, in, out any) error {
	_, err := c.ask(ctx, http.MethodPut, path, in, out)
	return err
}

// ask sends one request; again tells whether another try could fare better.
func (c *client) ask(ctx context.Context, method, path string, in, out any) (again bool, err error) {
	return c.send(ctx, method, path, http.Header{}, in, out)
}

// send is ask with headers.
func (c *client) send(ctx context.Context, method, path string, header http.Header, in, out any) (again bool, err error) {
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return false, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.place.api.String()+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = header
	if in != nil && header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := c.signed(ctx, r, body); err != nil {
		return false, err
	}
	w, err := c.http.Do(r)
	if err != nil {
		return true, c.unreachable(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		return true, fmt.Errorf("the API's answer broke off: %w", err)
	}
	if w.StatusCode >= http.StatusMultipleChoices {
		return w.StatusCode == http.StatusTooManyRequests || w.StatusCode >= http.StatusBadGateway, refused(w, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return false, fmt.Errorf("the API's answer is not what this version knows: %w", err)
	}
	return false, nil
}

func (c *client) signed(ctx context.Context, r *http.Request, body []byte) error {
	if c.place.aws.Credentials == nil {
		return errors.New("no AWS credentials are configured")
	}
	creds, err := c.place.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("no AWS credentials: %w", err)
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

// refused reads an error's answer: the API's own, or API Gateway's.
func refused(w *http.Response, text []byte) error {
	var p problem
	if err := json.Unmarshal(text, &p.Problem); err == nil && p.Detail != "" {
		if p.Status == http.StatusInternalServerError {
			return fmt.Errorf("%s: %s", p.Title, p.Detail)
		}
		return p
	}
	var gateway struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &gateway) != nil || gateway.Message == "" {
		return fmt.Errorf("the API answered %s", w.Status)
	}
	return fmt.Errorf("the API answered %s: %s", w.Status, gateway.Message)
}
