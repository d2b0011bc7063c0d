package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// smart is a repository over git's smart HTTP protocol.
type smart struct {
	base       *url.URL
	auth       credentials
	client     *http.Client
	repository string // of CodeCommit, which is asked by the function's own role; "" elsewhere
}

// credentials are HTTP's basic ones; the zero value is none.
type credentials struct{ user, password string }

// basic reads a token. Servers look at the user only where it says what sort of token it is, so TOKEN alone goes with a name that
// GitHub knows, and USER:TOKEN is for the rest.
func basic(secret string) credentials {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return credentials{}
	}
	if user, token, ok := strings.Cut(secret, ":"); ok {
		return credentials{user, token}
	}
	return credentials{"x-access-token", secret}
}

func newHTTP(base *url.URL, auth credentials, dial dialer) *smart {
	transport := &http.Transport{DialContext: dial, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, DisableCompression: true}
	return &smart{base: base, auth: auth, client: &http.Client{Transport: transport, CheckRedirect: stay}}
}

// stay follows a repository that was renamed, and takes the token to no other host.
func stay(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 3 || req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return deploy.FieldErrorf("source.url", "the server sends on to %s://%s; want the address where the repository is now", req.URL.Scheme, req.URL.Host)
	}
	return nil
}

func (s *smart) close() { s.client.CloseIdleConnections() }

func (s *smart) refs(ctx context.Context) (*packp.AdvRefs, error) {
	u := s.base.JoinPath("info/refs")
	u.RawQuery = "service=git-upload-pack"
	answer, err := s.do(ctx, http.MethodGet, u, nil, "application/x-git-upload-pack-advertisement")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	s.base = answer.Request.URL.JoinPath("../..") // where redirects led
	s.base.RawQuery = ""
	refs, err := readRefs(answer.Body)
	return refs, s.explain(err)
}

func (s *smart) pack(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	var body bytes.Buffer
	if err := writeRequest(&body, req); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "fetch", "%w", err)
	}
	answer, err := s.do(ctx, http.MethodPost, s.base.JoinPath("git-upload-pack"), &body, "application/x-git-upload-pack-result")
	if err != nil {
		return nil, err
	}
	pack, err := readResponse(answer.Body, req)
	if err != nil {
		answer.Body.Close()
		return nil, s.explain(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{pack, answer.Body}, nil
}

func (s *smart) do(ctx context.Context, method string, u *url.URL, body io.Reader, want string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, deploy.FieldErrorf("source.url", "is not a URL")
	}
	req.Header.Set("User-Agent", "git/slipway") // some servers answer with their web pages else
	req.Header.Set("Accept", want)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	}
	if s.auth != (credentials{}) {
		req.SetBasicAuth(s.auth.user, s.auth.password)
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, s.explain(err)
	}
	if err := s.judge(answer, want); err != nil {
		answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// judge turns an answer that is no git server's into an error that says whose mistake it is.
func (s *smart) judge(answer *http.Response, want string) error {
	switch code := answer.StatusCode; {
	case s.repository != "" && (code == http.StatusUnauthorized || code == http.StatusForbidden):
		return deploy.FieldErrorf("source.repository", "CodeCommit refuses Slipway's role (HTTP %d); name %s among repositories in cdk.json and deploy Slipway again",
			code, s.repository)
	case code == http.StatusUnauthorized && s.auth == (credentials{}):
		return deploy.FieldErrorf("source.token", "%s wants one (HTTP 401)", s.base.Host)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return deploy.FieldErrorf("source.token", "%s refuses it (HTTP %d)", s.base.Host, code)
	case code == http.StatusNotFound, code == http.StatusGone:
		return &deploy.Error{Kind: deploy.NotFound, Field: "source.url",
			Err: fmt.Errorf("%s has no such repository, or doesn't show it to this token (HTTP %d)", s.base.Host, code)}
	case code >= 500, code == http.StatusTooManyRequests:
		return unreachable{deploy.Errorf(deploy.Internal, "fetch", "%s answers with HTTP %d", s.base.Host, code)}
	case code != http.StatusOK || answer.Header.Get("Content-Type") != want:
		return deploy.FieldErrorf("source.url", "what answers at %s is no git server (HTTP %d, %q)", s.base.Host, code, deploy.Cut(answer.Header.Get("Content-Type"), 80))
	}
	return nil
}

func (s *smart) explain(err error) error { return explain(s.base.Host, err) }

// explain gives an error of the connection to host its Kind. One that has a Kind keeps it.
func explain(host string, err error) error {
	var known *deploy.Error
	var timeout net.Error
	var broken *net.OpError
	var stranger *tls.CertificateVerificationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &stranger):
		return deploy.FieldErrorf("source.url", "%s shows no certificate that can be trusted: %w", host, stranger.Err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return deploy.Errorf(deploy.Internal, "fetch", "%s is silent for too long: %w", host, err)
	case asRefused(err, new(refused)):
		return deploy.Errorf(deploy.Internal, "fetch", "%s: %w", host, err)
	case errors.As(err, &broken), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return unreachable{deploy.Errorf(deploy.Internal, "fetch", "%s can't be reached: %w", host, err)}
	}
	return deploy.Errorf(deploy.Internal, "fetch", "%s: %w", host, err)
}
