// Package meter counts what a program asks of a cloud: a proxy in front of it that notes every call and, of DynamoDB's,
// what AWS would bill.
package meter

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Call is one call of AWS.
type Call struct {
	Service, Op string
	At          time.Time
	Took        time.Duration // until the whole answer has passed
	Reads       float64       // DynamoDB's read units
	Writes      float64       // DynamoDB's write units, the indexes' included
	Indexes     float64       // of Writes, the indexes' part
}

// Meter stands between one program and the cloud.
type Meter struct {
	URL    string // for AWS_ENDPOINT_URL
	server *http.Server

	mu    sync.Mutex
	calls []Call
	err   error // the first answer that could not be read
}

// New starts a meter in front of the cloud at that address. Close ends it.
func New(cloud string) (*Meter, error) {
	target, err := url.Parse(cloud)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &Meter{URL: "http://" + listener.Addr().String()}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	m.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.pass(proxy, w, r) })}
	go func() { _ = m.server.Serve(listener) }()
	return m, nil
}

// pass asks DynamoDB for what the call consumes, and hands everything else on as it is.
func (m *Meter) pass(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
	service, op := name(r)
	var asked request
	if service == "dynamodb" {
		var err error
		if asked, err = ask(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	heard := &recorder{ResponseWriter: w}
	begin := time.Now()
	proxy.ServeHTTP(heard, r)
	call := Call{Service: service, Op: op, At: begin, Took: time.Since(begin)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if service == "dynamodb" {
		m.err = errors.Join(m.err, call.bill(asked, heard.body.Bytes()))
	}
	m.calls = append(m.calls, call)
}

// Taken gives what was noted since the last time.
func (m *Meter) Taken() ([]Call, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls, m.err
}

// Close ends the proxy.
func (m *Meter) Close() { _ = m.server.Close() }

// recorder keeps a copy of an answer.
type recorder struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// name reads the service from the signature's scope, and the operation from where each protocol has it.
func name(r *http.Request) (service, op string) {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if parts := strings.Split(scope, "/"); len(parts) > 3 {
		service = parts[3]
	}
	if _, target, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return service, target
	}
	return service, r.Method
}
