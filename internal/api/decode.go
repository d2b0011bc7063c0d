package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/strict"
)

// MaxBody is the most bytes that a request's body may have.
const MaxBody = 256 << 10

// decode reads a JSON body into the struct that v points to. It takes nothing that encoding/json would let pass or
// guess at: unknown, repeated or differently spelt fields, a second value. No body at all is an empty object.
func decode(r *http.Request, v any) error { return decodeUpTo(r, MaxBody, v) }

// decodeUpTo is decode for a body of at most so many bytes.
func decodeUpTo(r *http.Request, most int, v any) error {
	body, err := text(r, most, "application/json")
	if err != nil || len(body) == 0 {
		return err
	}
	return theBody.Decode(body, v)
}

// theBody is what errors call a request's JSON.
var theBody = strict.Form{Name: "the body"}

// text reads a body of JSON that has at most so many bytes and one of the media types. No body at all is fine.
func text(r *http.Request, most int, media ...string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, deploy.Errorf(deploy.Invalid, "", "the body can't be read: %w", err)
	case len(body) > most:
		return nil, deploy.Errorf(deploy.TooLarge, "", "the body has more than %d bytes", most)
	case len(body) == 0:
		return nil, nil
	}
	if given, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || !slices.Contains(media, given) {
		return nil, refusal{http.StatusUnsupportedMediaType, fmt.Sprintf("the content type is %q; want %s",
			deploy.Cut(r.Header.Get("Content-Type"), 80), strings.Join(media, " or "))}
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		return nil, deploy.Errorf(deploy.Invalid, "", "the body is not JSON: %s, at byte %d", syntax, syntax.Offset)
	}
	return body, nil
}

// object reads a body that is one JSON object without a repeated member, and gives it as it came.
func object(r *http.Request, media ...string) ([]byte, error) {
	body, err := text(r, MaxBody, media...)
	if err != nil || len(body) == 0 {
		return []byte("{}"), err
	}
	return body, theBody.Object(body)
}
