package ofrep

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/internal/flag"
)

// The routes.
const (
	bulkPath     = "/ofrep/v1/evaluate/flags"
	flagPath     = bulkPath + "/"
	documentPath = "/flagd/v1/flags"
)

// AgeHeader says how many whole seconds ago it was confirmed that there are no newer flags than those of the answer.
const AgeHeader = "Slipway-Snapshot-Age"

// NotesHeader names, on a flagd document, what the environment's flags have and plain flagd can't say: JSON pointers,
// separated by spaces, at most a kilobyte of them.
const NotesHeader = "Slipway-Notes"

// MaxBody is the most bytes of a request: a context of flag.MaxContext, and what's around it.
const MaxBody = flag.MaxContext + 1<<10

// request is as much of an HTTP request as matters here.
type request struct {
	method, path                                    string
	authorization, apiKey, ifNoneMatch, accept, enc string
	body                                            []byte
	tooLarge                                        bool // body was cut off at MaxBody
}

// response is an answer, and the buffers of its making.
type response struct {
	status  int
	body    []byte
	gzipped bool
	etag    string
	kind    string // the Content-Type where it isn't JSON
	vary    string
	notes   string
	allow   string
	retry   string
	age     int64 // seconds; -1 where no flags were read

	context flag.Context
	buffer  []byte
}

var responses = sync.Pool{New: func() any { return new(response) }}

func (r *response) reset() {
	*r = response{status: http.StatusOK, age: -1, buffer: r.buffer[:0], context: r.context}
}

// serve answers one request into out.
func (s *Server) serve(ctx context.Context, in *request, out *response) {
	out.reset()
	now := s.Now().UnixNano()
	key, single := strings.CutPrefix(in.path, flagPath)
	want := http.MethodPost
	switch {
	case single && key != "" || in.path == bulkPath:
	case in.path == documentPath:
		want = http.MethodGet
	default:
		out.fail(http.StatusNotFound, "there is no such route")
		return
	}
	if in.method != want {
		out.allow = want
		out.fail(http.StatusMethodNotAllowed, "this route has "+want+" alone")
		return
	}
	e, snap := s.admit(ctx, in, out, now)
	if snap == nil {
		return
	}
	out.age = max(0, int64(e.fresh.age(now)/time.Second))
	switch {
	case want == http.MethodGet:
		s.document(e, snap, in, out)
		return
	case single:
		one(snap, unescape(key), in, out, now)
	default:
		bulk(snap, in, out, now)
	}
	s.book(now)
}

// admit finds the flags that the request's key opens, or answers why there are none.
func (s *Server) admit(ctx context.Context, in *request, out *response, now int64) (*environment, *snapshot) {
	e, err := s.open(ctx, in.key(), now)
	if err == nil && e == nil {
		out.fail(http.StatusUnauthorized, "no evaluation key that is good: want it as Authorization: Bearer, or as X-API-Key")
		return nil, nil
	}
	var snap *snapshot
	if err == nil {
		e.turn(now)
		snap, err = e.snapshot(ctx, now)
	}
	if err != nil {
		s.Log.Error("a request can't be answered", "error", err)
		out.retry = "1"
		out.fail(http.StatusServiceUnavailable, "the flags can't be read at the moment")
		return nil, nil
	}
	return e, snap
}

// key is the text of the evaluation key.
func (r *request) key() string {
	const scheme = "Bearer "
	if a := r.authorization; len(a) > len(scheme) && strings.EqualFold(a[:len(scheme)], scheme) {
		return strings.TrimSpace(a[len(scheme):])
	}
	return r.apiKey
}

func unescape(key string) string {
	if strings.IndexByte(key, '%') < 0 {
		return key
	}
	if plain, err := url.PathUnescape(key); err == nil {
		key = plain
	}
	return strings.ToValidUTF8(key, "\uFFFD")
}

// fail answers with words only, as OFREP has it for what is nobody's flag's fault.
func (r *response) fail(status int, details string) {
	r.status = status
	r.buffer = append(quote(append(r.buffer[:0], `{"errorDetails":`...), details), '}')
	r.body = r.buffer
}

// header calls set for each header of the answer.
func (r *response) header(set func(name, value string)) {
	if r.status != http.StatusNotModified {
		kind := r.kind
		if kind == "" {
			kind = "application/json"
		}
		set("Content-Type", kind)
	}
	set("Cache-Control", "no-cache") // caches may keep it, and have to ask
	for _, h := range [...]struct{ name, value string }{{"Etag", r.etag}, {"Vary", r.vary}, {NotesHeader, r.notes},
		{"Allow", r.allow}, {"Retry-After", r.retry}} {
		if h.value != "" {
			set(h.name, h.value)
		}
	}
	if r.gzipped {
		set("Content-Encoding", "gzip")
	}
	if r.status == http.StatusUnauthorized {
		set("Www-Authenticate", "Bearer")
	}
	if r.age >= 0 {
		set(AgeHeader, seconds(r.age))
	}
}

// seconds is strconv's, without an allocation for the ages that there normally are.
func seconds(n int64) string { return strconv.FormatInt(n, 10) }
