package health_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/health"
)

func probe() *health.HTTP {
	h := health.NewHTTP()
	h.Timeout = time.Second
	return h
}

// serve starts a server of one handler and gives its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// hold keeps a request open until its client has gone.
func hold(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestCheckStatus(t *testing.T) {
	for status, want := range map[int]string{
		200: "", 201: "status 201; want 200", 204: "status 204; want 200", 304: "status 304; want 200",
		404: "status 404; want 200", 500: "status 500; want 200", 503: "status 503; want 200",
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		got := probe().Check(t.Context(), url+"/health", deploy.Health{})
		if got.Status != status || got.Error != want || got.Healthy != (want == "") {
			t.Errorf("status %d: got %+v, want error %q", status, got, want)
		}
	}
}

// TestCheckStatuses: which statuses are good goes with the release. A redirect that is listed is not followed.
func TestCheckStatuses(t *testing.T) {
	for _, row := range []struct {
		statuses []deploy.StatusRange
		status   int
		want     string
	}{
		{[]deploy.StatusRange{"200-299"}, 200, ""},
		{[]deploy.StatusRange{"200-299"}, 204, ""},
		{[]deploy.StatusRange{"200-299"}, 299, ""},
		{[]deploy.StatusRange{"200-299"}, 301, "status 301 redirects to http://127.0.0.1:1/; want 200-299"},
		{[]deploy.StatusRange{"200-299"}, 503, "status 503; want 200-299"},
		{[]deploy.StatusRange{"204"}, 200, "status 200; want 204"},
		{[]deploy.StatusRange{"204"}, 204, ""},
		{[]deploy.StatusRange{"204", "301", "401-403"}, 301, ""},
		{[]deploy.StatusRange{"204", "301", "401-403"}, 402, ""},
		{[]deploy.StatusRange{"204", "301", "401-403"}, 404, "status 404; want 204, 301, 401-403"},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if row.status/100 == 3 {
				w.Header().Set("Location", "http://127.0.0.1:1/")
			}
			w.WriteHeader(row.status)
		})
		got := probe().Check(t.Context(), url, deploy.Health{Statuses: row.statuses})
		if got.Status != row.status || got.Error != row.want || got.Healthy != (row.want == "") {
			t.Errorf("%v, status %d: got %+v, want error %q", row.statuses, row.status, got, row.want)
		}
	}
}

func TestCheckAsks(t *testing.T) {
	var seen *http.Request
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = r })
	before := time.Now()
	got := probe().Check(t.Context(), url+"/up?deep=1", deploy.Health{})
	if !got.Healthy || got.Time.Before(before) || got.LatencyMS < 0 || got.LatencyMS > 1000 {
		t.Errorf("got %+v", got)
	}
	if seen.Method != "GET" || seen.URL.String() != "/up?deep=1" || seen.UserAgent() != "Slipway" || !seen.Close {
		t.Errorf("asked %s %s as %q, close %v", seen.Method, seen.URL, seen.UserAgent(), seen.Close)
	}
}

// Each attempt opens a connection of its own.
func TestCheckReusesNothing(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	opened := 0
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened++
		}
	}
	s.Start()
	defer s.Close()
	h := probe()
	for range 3 {
		if got := h.Check(t.Context(), s.URL, deploy.Health{}); !got.Healthy {
			t.Fatalf("got %+v", got)
		}
	}
	if s.Close(); opened != 3 {
		t.Errorf("%d connections for 3 attempts", opened)
	}
}

func TestCheckFollowsNoRedirect(t *testing.T) {
	asked := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/login?"+strings.Repeat("x", 1000), http.StatusFound)
	})
	got := probe().Check(t.Context(), url, deploy.Health{})
	if got.Healthy || got.Status != 302 || asked != 1 || len(got.Error) > 300 || !strings.HasPrefix(got.Error, "status 302 redirects to /login?xxx") {
		t.Errorf("asked %d times, got %+v", asked, got)
	}
}

// A proxy of the environment would answer in the release's place.
func TestCheckUsesNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if transport := health.NewHTTP().Client.Transport.(*http.Transport); transport.Proxy != nil {
		t.Error("a proxy is asked for")
	}
}

func TestCheckTimes(t *testing.T) {
	short := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
	}
	stuck := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		hold(w, r)
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 4096))
		}
	}
	for name, row := range map[string]struct {
		handler http.HandlerFunc
		status  int
		want    string
	}{
		"no headers":   {hold, 0, "no answer in 1s"},
		"stuck body":   {stuck, 200, "body took over 1s"},
		"slow body":    {drip, 200, "body took over 1s"},
		"endless body": {endless, 200, ""},
		"short body":   {short, 200, "connection closed in the middle"},
		"no reply":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "connection closed in the middle"},
		"huge headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 128<<10)) }, 0, "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted"},
	} {
		start := time.Now()
		got := probe().Check(t.Context(), serve(t, row.handler), deploy.Health{})
		if got.Status != row.status || got.Error != row.want || got.Healthy != (row.want == "") {
			t.Errorf("%s: got %+v, want %q", name, got, row.want)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// At most MaxBody is read, however much there is.
func TestCheckReadsLittle(t *testing.T) {
	body := &counter{}
	h := probe()
	h.Client.Transport = transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: body}, nil
	})
	if got := h.Check(t.Context(), "http://shop.example", deploy.Health{}); !got.Healthy || body.read != health.MaxBody || !body.closed {
		t.Errorf("read %d, closed %v, got %+v", body.read, body.closed, got)
	}
}

func TestCheckConnection(t *testing.T) {
	h := probe()
	if got := h.Check(t.Context(), "http://127.0.0.1:1/", deploy.Health{}); got.Error != "connection refused" || got.Status != 0 {
		t.Errorf("closed port: got %+v", got)
	}
	for _, url := range []string{"", "http://", "ftp://x/", "http://[::1", "http://127.0.0.1:99999/"} {
		if got := h.Check(t.Context(), url, deploy.Health{}); got.Healthy || got.Error == "" || strings.Contains(got.Error, "Get ") {
			t.Errorf("%q: got %+v", url, got)
		}
	}
	for want, fault := range map[string]error{
		"DNS knows no host shop.example":     &net.DNSError{Name: "shop.example", IsNotFound: true},
		"DNS didn't answer for shop.example": &net.DNSError{Name: "shop.example", IsTimeout: true},
		"no answer in 1s":                    context.DeadlineExceeded,
		"something new":                      errors.New("something new"),
	} {
		h.Client.Transport = transport(func(*http.Request) (*http.Response, error) { return nil, fault })
		if got := h.Check(t.Context(), "http://shop.example/", deploy.Health{}); got.Error != want || got.Healthy {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
}

func TestCheckStopped(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(errors.New("cancelled"))
		hold(w, r)
	})
	if got := probe().Check(ctx, url, deploy.Health{}); got.Error != "stopped: cancelled" || got.Healthy {
		t.Errorf("got %+v", got)
	}
}

func TestCheckTLS(t *testing.T) {
	plain := strings.Replace(serve(t, func(http.ResponseWriter, *http.Request) {}), "http:", "https:", 1)
	for name, row := range map[string]struct {
		url  string
		want string
	}{
		"plain HTTP": {plain, "TLS: the server doesn't speak it"},
		"self-made":  {serveTLS(t, time.Hour, nil, "127.0.0.1"), "TLS: the certificate's authority is unknown"},
	} {
		if got := probe().Check(t.Context(), row.url, deploy.Health{}); got.Error != row.want || got.Healthy {
			t.Errorf("%s: got %+v, want %q", name, got, row.want)
		}
	}
	for want, row := range map[string]struct {
		life time.Duration
		host string
	}{
		"": {time.Hour, "127.0.0.1"},
		"TLS: the certificate has expired or is not valid yet": {-time.Minute, "127.0.0.1"},
		"TLS: the certificate is not for 127.0.0.1":            {time.Hour, "127.0.0.2"},
	} {
		roots := x509.NewCertPool()
		h := probe()
		h.Client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
		if got := h.Check(t.Context(), serveTLS(t, row.life, roots, row.host), deploy.Health{}); got.Error != want || got.Healthy != (want == "") {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
}

// serveTLS starts a server whose certificate is its own authority, valid for host and life, and adds it to roots.
func serveTLS(t *testing.T, life time.Duration, roots *x509.CertPool, host string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certificate := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(life),
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := x509.ParseCertificate(der); err == nil && roots != nil {
		roots.AddCert(parsed)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// counter is a body without an end.
type counter struct {
	read   int
	closed bool
}

func (c *counter) Read(p []byte) (int, error) { c.read += len(p); return len(p), nil }
func (c *counter) Close() error               { c.closed = true; return nil }

var _ interface {
	Check(context.Context, string, deploy.Health) deploy.Check
} = (*health.HTTP)(nil)
