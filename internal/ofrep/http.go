package ofrep

import (
	"io"
	"net/http"
	"strings"
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := request{method: r.Method, path: r.URL.EscapedPath(),
		authorization: r.Header.Get("Authorization"), apiKey: r.Header.Get("X-Api-Key"),
		ifNoneMatch: strings.Join(r.Header["If-None-Match"], ","), accept: r.Header.Get("Accept"), enc: r.Header.Get("Accept-Encoding")}
	if err := in.read(r.Body); err != nil {
		http.Error(w, `{"errorDetails":"the body can't be read"}`, http.StatusBadRequest)
		return
	}
	out := responses.Get().(*response)
	defer responses.Put(out)
	s.serve(r.Context(), &in, out)
	h := w.Header()
	out.header(func(name, value string) { h[name] = []string{value} })
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body) // who has gone needs no answer
}

// read takes at most MaxBody bytes of the body.
func (r *request) read(body io.Reader) error {
	if body == nil || body == http.NoBody {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(body, MaxBody+1))
	if len(text) > MaxBody {
		r.tooLarge, text = true, nil
	}
	r.body = text
	return err
}
