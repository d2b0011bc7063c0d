package ofrep

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// Function is a Server behind a Lambda function URL. It implements lambda.Handler on the event's own bytes: an adapter to
// net/http and back takes longer than all that is done in between.
type Function struct{ Server *Server }

// shutdownTime is what a function has between SIGTERM and SIGKILL, which are 500 ms apart, for its last counts.
const shutdownTime = 400 * time.Millisecond

// Shutdown writes the counts that nobody wrote yet.
func (f Function) Shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	f.Server.Flush(ctx)
}

// Invoke implements lambda.Handler for events of payload version 2.0. Its error is for an event that is none of those.
func (f Function) Invoke(ctx context.Context, event []byte) (answer []byte, err error) {
	in, err := parseEvent(event)
	if err != nil {
		return nil, err
	}
	out := responses.Get().(*response)
	defer func() {
		if v := recover(); v != nil {
			f.Server.Log.Error("panic", "path", in.path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			answer, err = []byte(`{"statusCode":500,"headers":{"Content-Type":"application/json"},"body":"{\"errorDetails\":\"internal error\"}"}`), nil
			return // and leave out to the garbage collector
		}
		responses.Put(out)
	}()
	f.Server.serve(ctx, &in, out)
	return render(out), nil
}

// parseEvent takes out of a function URL's event what matters.
func parseEvent(event []byte) (request, error) {
	var in request
	var body, headers, about []byte
	encoded := false
	ok := members(event, func(name, value []byte) {
		switch string(name) {
		case "rawPath":
			in.path, _ = unquote(value)
		case "headers":
			headers = value
		case "requestContext":
			about = value
		case "body":
			body = value
		case "isBase64Encoded":
			encoded = string(value) == "true"
		}
	})
	if !ok || in.path == "" {
		return in, fmt.Errorf("no event of a function URL: %.100s", event)
	}
	members(about, func(name, value []byte) {
		if string(name) == "http" {
			members(value, func(name, value []byte) {
				if string(name) == "method" {
					in.method, _ = unquote(value)
				}
			})
		}
	})
	members(headers, in.setHeader)
	return in, in.setBody(body, encoded)
}

// setHeader takes a header, whose name Lambda has put into lower case.
func (r *request) setHeader(name, value []byte) {
	var to *string
	switch string(name) {
	case "authorization":
		to = &r.authorization
	case "x-api-key":
		to = &r.apiKey
	case "if-none-match":
		to = &r.ifNoneMatch
	case "accept":
		to = &r.accept
	case "accept-encoding":
		to = &r.enc
	default:
		return
	}
	*to, _ = unquote(value)
}

func (r *request) setBody(value []byte, encoded bool) error {
	if len(value) == 0 || string(value) == "null" {
		return nil
	}
	text, ok := unquote(value)
	if !ok {
		return fmt.Errorf("the event's body is no string: %.100s", value)
	}
	r.body = []byte(text)
	if encoded {
		n, err := base64.StdEncoding.Decode(r.body, r.body)
		if err != nil {
			return fmt.Errorf("the event's body is no base64: %w", err)
		}
		r.body = r.body[:n]
	}
	if len(r.body) > MaxBody {
		r.tooLarge, r.body = true, nil
	}
	return nil
}

// maxAnswer is what Lambda takes of an answer, in bytes of JSON.
const maxAnswer = 6 << 20

// render writes the answer as a function URL wants it.
func render(out *response) []byte {
	b := make([]byte, 0, len(out.body)+len(out.body)/4+256)
	b = appendAnswer(b, out)
	if len(b) > maxAnswer {
		out.reset()
		out.fail(http.StatusNotAcceptable, "the answer is too large for a Lambda function; want Accept-Encoding: gzip")
		b = appendAnswer(b[:0], out)
	}
	return b
}

func appendAnswer(b []byte, out *response) []byte {
	b = strconv.AppendInt(append(b, `{"statusCode":`...), int64(out.status), 10)
	b = append(b, `,"headers":{`...)
	first := true
	out.header(func(name, value string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = quote(append(quote(b, name), ':'), value)
	})
	b = append(b, `},"body":"`...)
	if out.gzipped {
		b = base64.StdEncoding.AppendEncode(b, out.body)
		return append(b, `","isBase64Encoded":true}`...)
	}
	return append(escape(b, out.body), `","isBase64Encoded":false}`...)
}
