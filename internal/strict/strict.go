// Package strict reads JSON that a person or a program wrote for Slipway. encoding/json takes a field in any letter case, takes the last
// of two fields of one name, and drops fields that it doesn't know, so that what was meant for one thing does another without a word.
// A [Form] refuses all three, and names the field by its whole path.
package strict

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Form is one kind of input.
type Form struct {
	Name    string // of the whole, for errors: "the body"
	Example string // of the whole, for errors; "" for none
	Open    bool   // fields that are not known do no harm, unless they are another spelling of one that is
}

// Decode reads one JSON value into what v points to. Its errors are Invalid.
func (f Form) Decode(text []byte, v any) error {
	if err := f.check(text, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return deploy.Errorf(deploy.Invalid, "", "%s: %w", f.Name, err)
	}
	return nil
}

// Object checks that text is one JSON object without a repeated field, however deep.
func (f Form) Object(text []byte) error {
	return f.check(text, reflect.TypeFor[map[string]any]())
}

func (f Form) check(text []byte, t reflect.Type) error {
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return f.notJSON(err)
	}
	w := walker{json.NewDecoder(bytes.NewReader(text)), f}
	w.UseNumber()
	return w.value("", t)
}

func (f Form) notJSON(err error) error {
	if f.Example == "" {
		return deploy.Errorf(deploy.Invalid, "", "%s is not JSON: %w", f.Name, err)
	}
	return deploy.Errorf(deploy.Invalid, "", "%s is not JSON: %w; want an object such as %s", f.Name, err, f.Example)
}

// walker goes over JSON beside the Go type that it is meant for.
type walker struct {
	*json.Decoder
	form Form
}

func (w walker) value(path string, t reflect.Type) error {
	token, err := w.Token()
	if err != nil {
		return w.form.notJSON(err)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		t = reflect.TypeFor[any]() // it reads any form by itself
	}
	switch token := token.(type) {
	case nil:
		return nil // as if the field were not there
	case string:
		return w.fits(path, "text", t, reflect.String)
	case bool:
		return w.fits(path, "true or false", t, reflect.Bool)
	case json.Number:
		return w.number(path, token.String(), t)
	case json.Delim:
		if token == '{' {
			return w.object(path, t)
		}
		return w.array(path, t)
	}
	return nil
}

func (w walker) object(path string, t reflect.Type) error {
	if err := w.fits(path, "an object", t, reflect.Struct, reflect.Map); err != nil {
		return err
	}
	fields := fieldsOf(t)
	seen := map[string]bool{}
	for w.More() {
		token, err := w.Token()
		if err != nil {
			return w.form.notJSON(err)
		}
		name := token.(string) //nolint:forcetypeassert // encoding/json lets no other key through
		at := strings.TrimPrefix(path+"."+deploy.Cut(name, 80), ".")
		elem, err := w.field(at, name, t, fields)
		if err != nil {
			return err
		}
		if seen[name] {
			return deploy.FieldErrorf(at, "is there twice")
		}
		seen[name] = true
		if err := w.value(at, elem); err != nil {
			return err
		}
	}
	_, err := w.Token()
	return err
}

// field returns the type that an object's field has.
func (w walker) field(at, name string, t reflect.Type, fields map[string]reflect.Type) (reflect.Type, error) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), nil
	case reflect.Struct:
	default:
		return t, nil
	}

	if elem := fields[name]; elem != nil {
		return elem, nil
	}
	for known := range fields {
		if strings.EqualFold(known, name) {
			return nil, deploy.FieldErrorf(at, "unknown; want %s", known)
		}
	}
	if w.form.Open {
		return reflect.TypeFor[any](), nil
	}
	return nil, deploy.FieldErrorf(at, "unknown; want %s", wantedOf(fields))
}

func (w walker) array(path string, t reflect.Type) error {
	if err := w.fits(path, "a list", t, reflect.Slice); err != nil {
		return err
	}
	elem := t
	if t.Kind() == reflect.Slice {
		elem = t.Elem()
	}
	for i := 0; w.More(); i++ {
		if err := w.value(path+"["+strconv.Itoa(i)+"]", elem); err != nil {
			return err
		}
	}
	_, err := w.Token()
	return err
}

// fits checks that a value described by is may stand where t is wanted. Anything may stand for an interface.
func (w walker) fits(path, is string, t reflect.Type, kinds ...reflect.Kind) error {
	if t.Kind() == reflect.Interface || slices.Contains(kinds, t.Kind()) {
		return nil
	}
	if path != "" {
		return deploy.FieldErrorf(path, "is %s; want %s", is, wanted[t.Kind()])
	}
	if w.form.Example == "" {
		return deploy.Errorf(deploy.Invalid, "", "%s is %s; want an object", w.form.Name, is)
	}
	return deploy.Errorf(deploy.Invalid, "", "%s is %s; want an object such as %s", w.form.Name, is, w.form.Example)
}

var wanted = map[reflect.Kind]string{
	reflect.String: "text", reflect.Bool: "true or false", reflect.Int64: "a whole number", reflect.Float64: "a number", reflect.Slice: "a list",
	reflect.Struct: "an object", reflect.Map: "an object",
}

// number holds free numbers to what DynamoDB can keep: magnitudes from 1e-130 to 9.9e125.
func (w walker) number(path, text string, t reflect.Type) error {
	if err := w.fits(path, "a number", t, reflect.Int64, reflect.Float64); err != nil {
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
