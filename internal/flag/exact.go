package flag

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
)

// A float64 holds every integer up to 2^53 and only some beyond it. What leaves this package as a Go value or as JSON
// is exact all the same; rules compute with float64, as flagd does.

// exactNumber decodes a JSON number: a float64, unless the number is an integer that a float64 would round. That is an
// int64, or a json.Number where an int64 can't hold it.
func exactNumber(text string) any {
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && math.Abs(f) < 1<<53 {
		return f
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || !exact.IsInt() {
		return f
	}
	if rounded := new(big.Rat).SetFloat64(f); rounded != nil && rounded.Cmp(exact) == 0 {
		return f
	}
	if exact.Num().IsInt64() {
		return exact.Num().Int64()
	}
	return json.Number(text)
}

// exactValue decodes v, whose JSON is text, as encoding/json would, but with each number as exactNumber has it.
func exactValue(v Value, text string) any {
	if !hasLarge(v) {
		return v.decoded()
	}
	return exactNumbers(decode([]byte(text)))
}

// hasLarge reports whether v holds a number that float64 may have rounded to an integer.
func hasLarge(v Value) bool {
	switch v.kind {
	case kindNumber:
		return math.Abs(v.num()) >= 1<<53
	case kindList:
		for _, item := range v.items() {
			if hasLarge(item) {
				return true
			}
		}
	case kindObject:
		for _, m := range v.members() {
			if hasLarge(m.Value) {
				return true
			}
		}
	}
	return false
}

// written is the scalar as a Go value that is encoded with all digits of its number: encoding/json writes no more of a
// float64 than it takes to tell it from others.
func (s scalar) written() any {
	if hasLarge(s.Value) {
		return json.Number(s.text)
	}
	return s.Value.decoded()
}

// exactNumbers replaces each json.Number in a decoded value.
func exactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return exactNumber(string(v))
	case []any:
		for i := range v {
			v[i] = exactNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = exactNumbers(v[name])
		}
	}
	return v
}

// Int returns the value as an integer. It reports false unless the document's number is an integer that an int64 holds.
func (r *Result) Int() (int64, bool) {
	if len(r.JSON) == 0 || r.JSON[0] != '-' && (r.JSON[0] < '0' || r.JSON[0] > '9') {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(r.JSON), 10, 64); err == nil {
		return n, true
	}
	if !bytes.ContainsAny(r.JSON, ".eE") {
		return 0, false // too large
	}
	f, err := strconv.ParseFloat(string(r.JSON), 64)
	if err != nil || math.Abs(f) > 1<<63 {
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(string(r.JSON))
	if !ok || !exact.IsInt() || !exact.Num().IsInt64() {
		return 0, false
	}
	return exact.Num().Int64(), true
}
