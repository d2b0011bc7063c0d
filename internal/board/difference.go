package board

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Difference is one place where two versions differ.
type Difference struct {
	Path   string          `json:"path"`             // a JSON pointer; "" is the whole
	Before json.RawMessage `json:"before,omitempty"` // none where it was added
	After  json.RawMessage `json:"after,omitempty"`  // none where it was taken away
}

// Bounds on what a version keeps of a difference, beside the definition itself.
const (
	maxDifferences = 100
	maxValue       = 1 << 10 // bytes of a value; a longer one is left out, the versions have it
)

// difference compares two JSON texts. Objects are compared member by member, lists and all else as a whole.
func difference(before, after []byte) []Difference {
	all := []Difference{}
	compare("", value(before), value(after), &all)
	if len(all) > maxDifferences {
		all = append(all[:maxDifferences:maxDifferences], Difference{Path: "…"})
	}
	return all
}

// none is what isn't there, where null is.
type none struct{}

func value(text []byte) any {
	if len(text) == 0 {
		return none{}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return string(text)
	}
	return v
}

func compare(path string, before, after any, all *[]Difference) {
	a, isA := before.(map[string]any)
	b, isB := after.(map[string]any)
	if !isA || !isB {
		if !reflect.DeepEqual(before, after) {
			*all = append(*all, Difference{path, short(before), short(after)})
		}
		return
	}
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		compare(at, member(a, name), member(b, name), all)
	}
}

func member(object map[string]any, name string) any {
	if v, ok := object[name]; ok {
		return v
	}
	return none{}
}

func short(v any) json.RawMessage {
	if v == (none{}) {
		return nil
	}
	text := encode(v)
	if len(text) > maxValue {
		return encode(deploy.Cut(string(text), 80))
	}
	return text
}

// merge applies a JSON merge patch (RFC 7396, section 2).
func merge(target, patch []byte) ([]byte, error) {
	v := value(patch)
	if _, ok := v.(map[string]any); !ok {
		return nil, deploy.Errorf(deploy.Invalid, "", "the body is not an object; want a JSON merge patch of the definition")
	}
	return encode(merged(value(target), v)), nil
}

func merged(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, v := range changes {
		if v == nil {
			delete(object, name)
			continue
		}
		object[name] = merged(object[name], v)
	}
	return object
}
