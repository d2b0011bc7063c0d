package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxBody is the most bytes that a request's body may have.
const MaxBody = 256 << 10

// decode reads a JSON body into the struct that v points to. It takes nothing that encoding/json would let pass or
// guess at: unknown, repeated or differently spelt fields, a second value. No body at all is an empty object.
func decode(r *http.Request, v any) error {
	body, err := text(r, MaxBody, "application/json")
	if err != nil || len(body) == 0 {
		return err
	}
	s := strict{json.NewDecoder(bytes.NewReader(body))}
	s.UseNumber()
	if err := s.value("", reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return deploy.Errorf(deploy.Invalid, "", "the body: %w", err)
	}
	return nil
}

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
	s := strict{json.NewDecoder(bytes.NewReader(body))}
	s.UseNumber()
	return body, s.value("", reflect.TypeFor[map[string]any]())
}

// strict walks over JSON beside the Go type that it is meant for, to name what doesn't fit by its whole path.
type strict struct{ *json.Decoder }

func (s strict) value(path string, t reflect.Type) error {
	token, err := s.Token()
	if err != nil {
		return deploy.Errorf(deploy.Invalid, "", "the body is not JSON: %w", err)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch token := token.(type) {
	case nil:
		return nil // as if the field were not there
	case string:
		return fits(path, "text", t, reflect.String)
	case bool:
		return fits(path, "true or false", t, reflect.Bool)
	case json.Number:
		return number(path, token.String(), t)
	case json.Delim:
		if token == '{' {
			return s.object(path, t)
		}
		return s.array(path, t)
	}
	return nil
}

func (s strict) object(path string, t reflect.Type) error {
	if err := fits(path, "an object", t, reflect.Struct, reflect.Map); err != nil {
		return err
	}
	fields := fieldsOf(t)
	seen := map[string]bool{}
	for s.More() {
		token, err := s.Token()
		if err != nil {
			return deploy.Errorf(deploy.Invalid, "", "the body is not JSON: %w", err)
		}
		name := token.(string) //nolint:forcetypeassert // encoding/json lets no other key through
		at := strings.TrimPrefix(path+"."+deploy.Cut(name, 80), ".")
		elem := t
		switch t.Kind() {
		case reflect.Struct:
			if elem = fields[name]; elem == nil {
				return deploy.FieldErrorf(at, "unknown; want %s", wantedOf(fields))
			}
		case reflect.Map:
			elem = t.Elem()
		}
		if seen[name] {
			return deploy.FieldErrorf(at, "is there twice")
		}
		seen[name] = true
		if err := s.value(at, elem); err != nil {
			return err
		}
	}
	_, err := s.Token()
	return err
}

func (s strict) array(path string, t reflect.Type) error {
	if err := fits(path, "a list", t, reflect.Slice); err != nil {
		return err
	}
	elem := t
	if t.Kind() == reflect.Slice {
		elem = t.Elem()
	}
	for i := 0; s.More(); i++ {
		if err := s.value(path+"["+strconv.Itoa(i)+"]", elem); err != nil {
			return err
		}
	}
	_, err := s.Token()
	return err
}

// fits checks that a value described by is may stand where t is wanted. Anything may stand for an interface.
func fits(path, is string, t reflect.Type, kinds ...reflect.Kind) error {
	if t.Kind() == reflect.Interface || slices.Contains(kinds, t.Kind()) {
		return nil
	}
	if path == "" {
		return deploy.Errorf(deploy.Invalid, "", "the body is %s; want an object", is)
	}
	return deploy.FieldErrorf(path, "is %s; want %s", is, wanted[t.Kind()])
}

var wanted = map[reflect.Kind]string{
	reflect.String: "text", reflect.Bool: "true or false", reflect.Int64: "a whole number", reflect.Float64: "a number", reflect.Slice: "a list",
	reflect.Struct: "an object", reflect.Map: "an object",
}

// number holds free numbers to what DynamoDB can keep: magnitudes from 1e-130 to 9.9e125.
func number(path, text string, t reflect.Type) error {
	if err := fits(path, "a number", t, reflect.Int64, reflect.Float64); err != nil {
		return err
	}
	if t.Kind() == reflect.Int64 {
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return deploy.FieldErrorf(path, "%s; want a whole number", deploy.Cut(text, 40))
		}
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f > 1e125 || f < -1e125 || f != 0 && f < 1e-129 && f > -1e-129 {
		return deploy.FieldErrorf(path, "%s is too large or too small to keep; give it as text", deploy.Cut(text, 40))
	}
	return nil
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := 0; t.Kind() == reflect.Struct && i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[name] = t.Field(i).Type
	}
	return fields
}

func wantedOf(fields map[string]reflect.Type) string {
	if len(fields) == 0 {
		return "an empty object"
	}
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}
