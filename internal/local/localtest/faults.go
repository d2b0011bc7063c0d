package localtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// Faults is a proxy between a local cloud's functions and its services. A share of the requests fails as they fail at AWS: with an error
// of the service's own, with a throttle, before the service has heard of them, or after it did what was asked.
type Faults struct {
	URL string // what functions call in place of the cloud

	server *httptest.Server
	target atomic.Pointer[httputil.ReverseProxy]
	share  atomic.Int64 // of a million

	mu    sync.Mutex
	count map[string]int
}

// fault is one way to fail. It answers instead of the service, or has the service answer and loses that.
type fault struct {
	name string
	fail func(f *Faults, w http.ResponseWriter, r *http.Request)
}

var faults = []fault{
	{"server error", func(_ *Faults, w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusInternalServerError, serverErrors)
	}},
	{"throttle", func(_ *Faults, w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusBadRequest, throttles)
	}},
	{"no answer from a gateway", func(_ *Faults, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
	{"lost request", func(_ *Faults, w http.ResponseWriter, _ *http.Request) { hangUp(w, nil) }},
	{"lost answer", func(f *Faults, w http.ResponseWriter, r *http.Request) {
		f.forward(httptest.NewRecorder(), r)
		hangUp(w, nil)
	}},
	{"lost answer", func(f *Faults, w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		f.forward(answer, r)
		hangUp(w, answer)
	}},
}

// StartFaults starts a proxy that lets everything through. Its cloud has to be named by To.
func StartFaults() *Faults {
	f := &Faults{count: map[string]int{}}
	f.server = httptest.NewServer(f)
	f.URL = f.server.URL
	return f
}

// To says where the cloud is.
func (f *Faults) To(endpoint string) error {
	proxy, err := Proxy(endpoint)
	if err == nil {
		f.target.Store(proxy)
	}
	return err
}

// Proxy sends signed requests on to a cloud as they are. If there is no answer, it hangs up.
func Proxy(endpoint string) (*httputil.ReverseProxy, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host // the signature holds it
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { hangUp(w, nil) },
	}, nil
}

// Fail has that share of the requests fail from now on, 0 to 1.
func (f *Faults) Fail(share float64) { f.share.Store(int64(share * 1e6)) }

// Counts returns how many requests of each service failed in each way, and how many came, since the last call.
func (f *Faults) Counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := f.count
	f.count = map[string]int{}
	return count
}

// Close ends the proxy.
func (f *Faults) Close() { f.server.Close() }

// ServeHTTP lets a request through, or has it fail.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rand.Int64N(1e6) >= f.share.Load() {
		f.note(service(r) + ": let through")
		f.forward(w, r)
		return
	}
	chosen := faults[rand.IntN(len(faults))]
	f.note(service(r) + ": " + chosen.name)
	chosen.fail(f, w, r)
}

func (f *Faults) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[what]++
}

func (f *Faults) forward(w http.ResponseWriter, r *http.Request) {
	target := f.target.Load()
	if target == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	target.ServeHTTP(w, r)
}

// service tells the services apart by what their protocols have in a request.
func service(r *http.Request) string {
	target, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	name, _, _ := strings.Cut(target, "_")
	switch {
	case name == "AWSStepFunctions":
		return "Step Functions"
	case name != "":
		return name
	case strings.HasPrefix(r.URL.Path, "/20"): // the version of Lambda's API
		return "Lambda"
	}
	return "S3"
}

// What the services call an error of theirs, and a throttle.
var (
	serverErrors = map[string]string{"DynamoDB": "InternalServerError", "Lambda": "ServiceException", "S3": "InternalError"}
	throttles    = map[string]string{"DynamoDB": "ProvisionedThroughputExceededException", "Lambda": "TooManyRequestsException", "S3": "SlowDown"}
)

// refuse answers with an error as the request's service does.
func refuse(w http.ResponseWriter, r *http.Request, status int, codes map[string]string) {
	code, known := codes[service(r)]
	switch {
	case known && service(r) == "S3":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>a fault of the test</Message></Error>", code)
		return
	case !known:
		code = map[int]string{http.StatusInternalServerError: "InternalFailure"}[status]
		if code == "" {
			code = "ThrottlingException"
		}
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":"a fault of the test"}`, code)
}

// hangUp ends the connection: without an answer, or in the middle of it.
func hangUp(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // ends the connection too
	}
	defer conn.Close()
	if answer == nil {
		return
	}
	body := answer.Body.Bytes()
	fmt.Fprintf(buffer, "HTTP/1.1 %d %s\r\n", answer.Code, http.StatusText(answer.Code))
	header := answer.Header().Clone()
	header.Set("Content-Length", fmt.Sprint(len(body)+1))
	_ = header.Write(buffer)
	fmt.Fprintf(buffer, "\r\n%s", body[:len(body)/2])
	_ = buffer.Flush()
}
