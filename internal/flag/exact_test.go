package flag_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

const numbers = `{"flags":{"f":{"state":"ENABLED","variants":{"n":%s},"defaultVariant":"n","metadata":{"n":%s}}},"metadata":{"set":%s}}`

// TestNumbersAreExact: an integer that a float64 would round is itself, as a value, in metadata, and in what is written.
func TestNumbersAreExact(t *testing.T) {
	for text, row := range map[string]struct {
		value any
		whole bool
	}{
		"10": {10.0, true}, "1.0": {1.0, true}, "0.5": {0.5, false}, "-3": {-3.0, true}, "1e3": {1000.0, true}, "1e-3": {0.001, false},
		"9007199254740991": {9007199254740991.0, true}, "9007199254740992": {9007199254740992.0, true},
		"9007199254740993": {int64(9007199254740993), true}, "-9007199254740993": {int64(-9007199254740993), true},
		"9007199254740993.0": {int64(9007199254740993), true}, "9007199254740993.5": {9007199254740994.0, false},
		"9223372036854775807": {int64(math.MaxInt64), true}, "-9223372036854775808": {-0x1p63, true},
		"9223372036854775808": {0x1p63, false}, "9223372036854775809": {json.Number("9223372036854775809"), false},
		"1e22": {1e22, false}, "1e23": {json.Number("1e23"), false}, "1.00000000000000000001": {1.0, false},
	} {
		document, err := flag.ParseDocument(fmt.Appendf(nil, numbers, text, text, text))
		if err != nil {
			t.Fatal(err)
		}
		for _, written := range []string{fmt.Sprintf(numbers, text, text, text), string(document.JSON()), plain(document)} {
			r := compile(t, written).Evaluate("f", nil)
			if !reflect.DeepEqual(r.Value, row.value) || string(r.JSON) != text {
				t.Errorf("%s: the value is %T %v, %s", text, r.Value, r.Value, r.JSON)
			}
			if !reflect.DeepEqual(r.Metadata.Values, map[string]any{"n": row.value, "set": row.value}) {
				t.Errorf("%s: the metadata are %v", text, r.Metadata.Values)
			}
			if n, whole := r.Int(); whole != row.whole || whole && fmt.Sprint(n) != strings.TrimSuffix(strings.Replace(text, "1e3", "1000", 1), ".0") {
				t.Errorf("%s as an integer: %d, %t", text, n, whole)
			}
			if _, isInt := row.value.(int64); isInt && !strings.Contains(string(r.Metadata.JSON), `"n":`+strings.TrimSuffix(text, ".0")) {
				t.Errorf("%s: the metadata's JSON is %s", text, r.Metadata.JSON)
			}
		}
	}
}

func plain(d *flag.Document) string {
	text, _ := d.Flagd()
	return string(text)
}

// TestNumbersInObjectsAreExact: in an object's value, also where a segment is put into it.
func TestNumbersInObjectsAreExact(t *testing.T) {
	set := compile(t, `{"flags":{"f":{"state":"ENABLED","variants":{"o":{"a":[9007199254740993,1],"b":{"$ref":"s"}}},"defaultVariant":"o"}},
		"$evaluators":{"s":{"+":[9007199254740995,2]}}}`)
	r := set.Evaluate("f", nil)
	want := map[string]any{"a": []any{int64(9007199254740993), 1.0}, "b": map[string]any{"+": []any{int64(9007199254740995), 2.0}}}
	if !reflect.DeepEqual(r.Value, want) || string(r.JSON) != `{"a":[9007199254740993,1],"b":{"+":[9007199254740995,2]}}` {
		t.Errorf("%v, %s", r.Value, r.JSON)
	}
	if _, whole := r.Int(); whole {
		t.Error("an object is an integer")
	}
}
