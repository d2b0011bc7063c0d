// Package health probes what was deployed and says whether it is well.
package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Bounds on one attempt.
const (
	Timeout  = 5 * time.Second // from the first packet to the end of the body
	MaxBody  = 64 << 10        // bytes of the body that are read
	maxShown = 200             // bytes of a foreign text that an error repeats
)

// HTTP probes over HTTP. Its zero value is not usable; NewHTTP's may be shared.
type HTTP struct {
	Now     func() time.Time
	Timeout time.Duration // of one attempt
	Client  *http.Client
}

// NewHTTP makes a probe that sees what a new user would: every attempt has its own connection, so that a kept one can't
// stick to a release that is on its way out; TLS certificates are verified; a redirect is an answer and is not followed.
// Proxies of the environment are not used, because their answer would say nothing about the release.
func NewHTTP() *HTTP {
	return &HTTP{Now: time.Now, Timeout: Timeout, Client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil,
			DisableKeepAlives:      true,
			DisableCompression:     true, // MaxBody is then what the network carries
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: MaxBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Check makes one attempt: a GET of address. It is healthy when the release accepts the status and the body ends, or reaches MaxBody,
// within the attempt's time; what the body says doesn't count. A redirect is not followed: it is a status like any other. The check's latency is the time until the headers. Its error is short, and is empty where it is healthy.
func (h *HTTP) Check(ctx context.Context, address string, release deploy.Health) deploy.Check {
	start := h.Now()
	check := deploy.Check{Time: start}
	attempt, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	response, err := h.get(attempt, address)
	check.LatencyMS = h.Now().Sub(start).Milliseconds()
	if err != nil {
		check.Error = h.explain(ctx, err, "no answer in %s")
		return check
	}
	defer func() { _ = response.Body.Close() }()
	check.Status = response.StatusCode
	if check.Error = refusal(response, release); check.Error != "" {
		return check
	}
	if _, err := io.CopyN(io.Discard, response.Body, MaxBody); err != nil && !errors.Is(err, io.EOF) {
		check.Error = h.explain(ctx, err, "body took over %s")
		return check
	}
	check.Healthy = true
	return check
}

func (h *HTTP) get(ctx context.Context, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "Slipway")
	return h.Client.Do(request)
}

// refusal says why a status is not healthy, "" where it is.
func refusal(response *http.Response, release deploy.Health) string {
	if release.Accepts(response.StatusCode) {
		return ""
	}
	if to := response.Header.Get("Location"); to != "" && response.StatusCode/100 == 3 {
		return fmt.Sprintf("status %d redirects to %s; want %s", response.StatusCode, deploy.Cut(to, maxShown), release.Wanted())
	}
	return fmt.Sprintf("status %d; want %s", response.StatusCode, release.Wanted())
}

// explain puts an error into few words. Late is said of the attempt's own time.
func (h *HTTP) explain(ctx context.Context, err error, late string) string {
	var dns *net.DNSError
	var fault net.Error
	switch {
	case ctx.Err() != nil:
		return "stopped: " + context.Cause(ctx).Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "DNS knows no host " + deploy.Cut(dns.Name, maxShown)
	case errors.As(err, &dns):
		return "DNS didn't answer for " + deploy.Cut(dns.Name, maxShown)
	case errors.As(err, &fault) && fault.Timeout():
		return fmt.Sprintf(late, h.Timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed in the middle"
	}
	if text := explainTLS(err); text != "" {
		return "TLS: " + text
	}
	var outer *url.Error // it repeats the method and the address, which the record has
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return deploy.Cut(err.Error(), maxShown)
}

func explainTLS(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &authority):
		return "the certificate's authority is unknown"
	case errors.As(err, &host):
		return "the certificate is not for " + deploy.Cut(host.Host, maxShown)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet"
	case errors.As(err, &invalid):
		return "the certificate is invalid"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "the server doesn't speak it"
	case errors.As(err, &alert):
		return deploy.Cut(alert.Error(), maxShown)
	}
	return ""
}
