package trigger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/problem"
)

// Lambda answers a request as API Gateway's REST API hands it over. What is our fault is the function's error, so that its
// alarm rings; API Gateway answers 502 then, and says no more.
func (h *Webhook) Lambda(ctx context.Context, r events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	header, start := headerOf(r), h.Now()
	body, err := bodyOf(r)
	status, text := 0, []byte(nil)
	if err == nil {
		status, text, err = h.serve(ctx, header, body)
	}
	contentType := "application/json"
	if err != nil {
		status, text = render(err)
		contentType = "application/problem+json"
	}
	level, attrs := slog.LevelInfo, []slog.Attr{slog.Int("status", status), slog.String("event", deploy.Cut(header.Get("X-GitHub-Event"), 80)),
		slog.String("delivery", deploy.Cut(header.Get("X-GitHub-Delivery"), 100)), slog.Int("bytes", len(body)), slog.Duration("duration", h.Now().Sub(start))}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.Log.LogAttrs(ctx, level, "webhook", attrs...)
	if status >= http.StatusInternalServerError {
		return events.APIGatewayProxyResponse{}, errFailed
	}
	return events.APIGatewayProxyResponse{StatusCode: status, Body: string(text) + "\n",
		Headers: map[string]string{"Content-Type": contentType, "Cache-Control": "no-store"}}, nil
}

var errFailed = errors.New("the webhook failed; the log line before has the cause")

// bodyOf gives the bytes that were signed.
func bodyOf(r events.APIGatewayProxyRequest) ([]byte, error) {
	if !r.IsBase64Encoded {
		return []byte(r.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(r.Body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is said to be base64 and isn't")
	}
	return body, nil
}

func headerOf(r events.APIGatewayProxyRequest) http.Header {
	header := http.Header{}
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	for name, values := range r.MultiValueHeaders {
		for i, value := range values {
			if i == 0 {
				header.Set(name, value)
			} else {
				header.Add(name, value)
			}
		}
	}
	return header
}

// render words an error. GitHub shows it to whoever set the webhook up.
func render(err error) (int, []byte) {
	status, detail := http.StatusInternalServerError, ""
	var r *refusal
	if errors.As(err, &r) {
		status, detail = r.status, r.detail
	} else if kind := deploy.KindOf(err); kind == deploy.Invalid {
		status, detail = http.StatusBadRequest, err.Error()
	} else if kind == deploy.NotFound || kind == deploy.Conflict || kind == deploy.TooLarge { // what can't be deployed now: no bundle, one over its bound, dirty
		status, detail = http.StatusConflict, err.Error()
	}
	urn, title := problem.Type(status)
	text, _ := json.Marshal(map[string]any{"type": urn, "title": title, "status": status, "detail": detail})
	return status, text
}
