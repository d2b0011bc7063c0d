package api

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/akrylysov/algnhsa"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Lambda serves h to an API Gateway REST API with proxy integration. The events' path comes without the stage.
func Lambda(h http.Handler) lambda.Handler {
	return gateway{algnhsa.New(h, &algnhsa.Options{RequestType: algnhsa.RequestTypeAPIGatewayV1})}
}

// gateway takes events whose path can't be unescaped, which would otherwise be no request at all and so a 502: API Gateway
// gives the path as it was sent, other gateways decode it first and leave a bare % in it.
type gateway struct{ lambda.Handler }

// Invoke implements lambda.Handler.
func (g gateway) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	var asked struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(event, &asked) != nil {
		return g.Handler.Invoke(ctx, event)
	}
	if _, err := url.PathUnescape(asked.Path); err == nil {
		return g.Handler.Invoke(ctx, event)
	}
	var whole map[string]any
	if err := json.Unmarshal(event, &whole); err != nil {
		return nil, err
	}
	whole["path"] = strings.ReplaceAll(asked.Path, "%", "%25")
	event, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	return g.Handler.Invoke(ctx, event)
}

// exchange is one request on its way. An action leaves its answer in it; where no route matched, ServeMux writes its own
// plain-text one, of which only the status and the Allow header are kept.
type exchange struct {
	header http.Header
	status int
	body   any
	err    error
}

func (x *exchange) Header() http.Header         { return x.header }
func (x *exchange) Write(p []byte) (int, error) { return len(p), nil }
func (x *exchange) WriteHeader(status int)      { x.status = status }

// server is what stands around the routes.
type server struct {
	mux     *http.ServeMux
	now     func() time.Time
	entropy io.Reader
	log     *slog.Logger
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.now()
	id, caller := s.caller(r.Context())
	x := s.dispatch(r)
	header := w.Header()
	header.Set("X-Request-Id", id)
	header.Set("Cache-Control", "no-store")
	if allow := x.header.Get("Allow"); allow != "" {
		header.Set("Allow", allow)
	}
	text := x.render(header, id)
	if reads := r.Method == http.MethodGet || r.Method == http.MethodHead; reads && x.status == http.StatusOK {
		if header.Get("ETag") == "" {
			header.Set("ETag", tagOf(text))
		}
		if t, _ := x.body.(tagged); !t.byUsage && tags(r.Header.Values("If-None-Match"), header.Get("ETag")) {
			x.status, text = http.StatusNotModified, nil
			header.Del("Content-Type")
		}
	}
	w.WriteHeader(x.status)
	_, writeErr := w.Write(text)

	level, attrs := slog.LevelInfo, []slog.Attr{slog.String("request", id), slog.String("method", r.Method),
		slog.String("route", r.Pattern), slog.Int("status", x.status), slog.Duration("duration", s.now().Sub(start)),
		slog.String("caller", caller)}
	for _, err := range []error{x.err, writeErr} {
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
	}
	if x.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// render words the answer, and adds what the body says in headers.
func (x *exchange) render(header http.Header, id string) []byte {
	body, contentType := x.body, "application/json"
	if x.err != nil {
		p := problemOf(x.err, id)
		x.status, body, contentType = p.Status, p, "application/problem+json"
		if p.Version != nil && *p.Version != 0 {
			header.Set("ETag", etag(*p.Version))
		}
	}
	if t, ok := body.(tagged); ok {
		header.Set("ETag", etag(t.version))
		body = t.body
	}
	if n, ok := body.(noted); ok && n.notes != "" {
		header.Set("Slipway-Notes", n.notes)
	}
	header.Set("Content-Type", contentType)
	text, err := json.Marshal(body)
	if err != nil && x.err == nil { // of a stored document that isn't JSON
		x.err = deploy.Errorf(deploy.Internal, "api", "render: %w", err)
		return x.render(header, id)
	}
	return append(text, '\n')
}

// dispatch runs the route's action. Its panic is an error like any other, so that the caller gets an answer.
func (s *server) dispatch(r *http.Request) (x *exchange) {
	x = &exchange{header: http.Header{}}
	defer func() {
		if v := recover(); v != nil {
			x.err = deploy.Errorf(deploy.Internal, "api", "panic: %v\n%s", v, debug.Stack())
		}
	}()
	if x.err = plainNames(r); x.err != nil {
		return x
	}
	r = withNames(r)
	// ServeMux would redirect, and doesn't know the stage's prefix. A name of dots that is escaped stays a name.
	if escaped := r.URL.EscapedPath(); path.Clean(escaped) != escaped {
		x.err = noRoute(r)
		return x
	}
	s.mux.ServeHTTP(x, r)
	switch {
	case r.Pattern != "":
	case x.status == http.StatusMethodNotAllowed:
		x.err = refusal{x.status, fmt.Sprintf("%s is not for this route; it has %s", r.Method, x.header.Get("Allow"))}
	default:
		x.err = noRoute(r)
	}
	return x
}

func noRoute(r *http.Request) error {
	return deploy.Errorf(deploy.NotFound, "", "there is no route %s", deploy.Cut(r.URL.Path, 200))
}

// allowed refuses a route that isn't the resource which API Gateway asked IAM about: a name with %2F in it is one name there, and
// more than one part of the path here, so that who may read deployments/ID could read deployments/ID%2Flogs. Who invokes the
// function without API Gateway names no resource.
func allowed(pattern string, r *http.Request) error {
	event, _ := algnhsa.APIGatewayV1RequestFromContext(r.Context())
	if _, resource, _ := strings.Cut(pattern, " "); event.Resource != "" && event.Resource != resource {
		return noRoute(r)
	}
	return nil
}

// caller gives API Gateway's request id and the caller's ARN; without API Gateway the id is made and nobody is named.
func (s *server) caller(ctx context.Context) (id, arn string) {
	if event, ok := algnhsa.APIGatewayV1RequestFromContext(ctx); ok && event.RequestContext.RequestID != "" {
		return event.RequestContext.RequestID, event.RequestContext.Identity.UserArn
	}
	var random [10]byte
	_, _ = io.ReadFull(s.entropy, random[:]) // an id that isn't unique still answers the request
	return base32.StdEncoding.EncodeToString(random[:]), ""
}
