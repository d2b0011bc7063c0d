// Package oracle holds internal/flag against flagd's own evaluator: the same document, the same context, the same answer.
// It is a module of its own, so that flagd's dependencies stay out of the product's.
package oracle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/internal/flag"
)

type answer struct {
	Value           any
	Variant, Reason string
	Code            string
	Metadata        map[string]any
}

// evaluatorOf makes flagd's evaluator, which takes its time over the schemas: once for all documents.
var evaluatorOf = stdsync.OnceValues(func() (*evaluator.JSON, error) {
	log := logger.NewLogger(zap.NewNop(), false)
	flags, err := store.NewStore(log, []string{"oracle"})
	if err != nil {
		return nil, err
	}
	return evaluator.NewJSON(log, flags), nil
})

type fataler interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

// flagd asks flagd. Its FALLBACK is DEFAULT on every wire.
func flagd(t fataler, document []byte, key string, attributes map[string]any) answer {
	je, err := evaluatorOf()
	if err != nil {
		t.Fatal(err)
	}
	if err := je.SetState(sync.DataSync{FlagData: string(document), Source: "oracle"}); err != nil {
		t.Fatalf("flagd refuses %s: %v", document, err)
	}
	v := je.ResolveAsAnyValue(context.Background(), "", key, attributes)
	a := answer{Value: v.Value, Variant: v.Variant, Reason: v.Reason, Metadata: v.Metadata}
	if a.Reason == "FALLBACK" {
		a.Reason = "DEFAULT"
	}
	if v.Error != nil {
		a.Code = v.Error.Error()
	}
	return a
}

func slipway(t *rapid.T, document []byte, key string, attributes map[string]any) answer {
	set, problems := flag.CompileLenient(document)
	ctx := flag.ContextOf(attributes)
	if rapid.Bool().Draw(t, "parsed") {
		text, err := json.Marshal(attributes)
		if err != nil {
			t.Fatal(err)
		}
		if ctx, err = flag.ParseContext(text); err != nil {
			t.Fatal(err)
		}
	}
	r := set.Evaluate(key, ctx)
	if r.ErrorDetails != "" {
		t.Log(r.ErrorDetails)
	}
	_ = problems
	a := answer{Value: r.Value, Variant: r.Variant, Reason: string(r.Reason), Code: string(r.ErrorCode)}
	if r.Metadata != nil {
		a.Metadata = r.Metadata.Values
	}
	return a
}

func compare(t *rapid.T, document []byte, attributes map[string]any) {
	want, got := flagd(t, document, "flag", attributes), slipway(t, document, "flag", attributes)
	if len(want.Metadata) == 0 {
		want.Metadata = nil
	}
	if !reflect.DeepEqual(want, got) {
		text, _ := json.Marshal(attributes)
		t.Fatalf("%s\nfor %s\nflagd:   %+v\nslipway: %+v", document, text, want, got)
	}
}

// TestRules draws any rules, the absurd ones included, and any contexts.
func TestRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		compare(t, ruled(t), attributes(t))
	})
}

// ruled draws a document of one flag with a rule.
func ruled(t *rapid.T) []byte {
	text, err := json.Marshal(map[string]any{
		"flags": map[string]any{"flag": map[string]any{
			"state":          "ENABLED",
			"variants":       map[string]any{"a": 1, "b": 2, "true": 3, "false": 4, "1": 5, "0": 6, "x": 7},
			"defaultVariant": rapid.SampledFrom([]any{"a", "b", nil}).Draw(t, "default"),
			"targeting":      rule(t, 4),
		}},
		"$evaluators": map[string]any{"segment": operation(t, 2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestFlags draws states, defaults, metadata and values.
func TestFlags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SampledFrom([]map[string]any{
			{"a": true, "b": false}, {"a": "", "b": "text"}, {"a": 0, "b": 1.5}, {"a": map[string]any{}, "b": map[string]any{"x": []any{1, "2", nil}}},
		}).Draw(t, "variants")
		f := map[string]any{"state": rapid.SampledFrom([]string{"ENABLED", "DISABLED"}).Draw(t, "state"), "variants": values}
		if d := rapid.SampledFrom([]any{"a", "b", nil, 0}).Draw(t, "default"); d != 0 {
			f["defaultVariant"] = d
		}
		if r := rapid.SampledFrom([]any{0, map[string]any{}, nil, map[string]any{"if": []any{map[string]any{"var": "a"}, "a"}}, map[string]any{"var": "text"}}).Draw(t, "targeting"); r != 0 {
			f["targeting"] = r
		}
		metadata := rapid.MapOfN(rapid.SampledFrom([]string{"m", "n"}), rapid.SampledFrom([]any{"s", 1.5, true}), 0, 2)
		if rapid.Bool().Draw(t, "has metadata") {
			f["metadata"] = metadata.Draw(t, "metadata")
		}
		document := map[string]any{"flags": map[string]any{"flag": f}, "metadata": metadata.Draw(t, "set metadata")}
		if rapid.Bool().Draw(t, "array") {
			f["key"] = "flag"
			document["flags"] = []any{f}
		}
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, text, attributes(t))
	})
}

var texts = []string{"", " ", "a", "b", "x", "abc", "1", "1.5", "-2", "0x10", "1e3", "Inf", "nan", " 1", "true", "é-ü日", "v1.2.3", "1.2", "2.0.0-rc.1", "V3", "tags", "user", "n", "user.name", "tags.0", "."}

func scalar(t *rapid.T) any {
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2, 3:
		return rapid.SampledFrom([]float64{0, 1, -1, 2, 3, 1.5, 0.1, 50, 100, 1e21, 1e-7, 2147483647, 3e9, -50}).Draw(t, "number")
	}
	return rapid.SampledFrom(texts).Draw(t, "text")
}

func value(t *rapid.T, depth int) any {
	if depth > 0 {
		switch rapid.IntRange(0, 5).Draw(t, "shape") {
		case 0:
			return values(t, depth)
		case 1:
			return rapid.MapOfN(rapid.SampledFrom([]string{"name", "x", "targetingKey", "current"}), rapid.Custom(func(t *rapid.T) any { return value(t, depth-1) }), 0, 3).Draw(t, "object")
		}
	}
	return scalar(t)
}

func values(t *rapid.T, depth int) []any {
	list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
	for i := range list {
		list[i] = value(t, depth-1)
	}
	return list
}

func attributes(t *rapid.T) map[string]any {
	m := map[string]any{}
	for _, name := range []string{"a", "b", "n", "text", "tags", "user", "version"} {
		if rapid.IntRange(0, 3).Draw(t, "has "+name) > 0 {
			m[name] = value(t, 3)
		}
	}
	if rapid.Bool().Draw(t, "has list") {
		m["tags"] = values(t, 2)
	}
	if rapid.Bool().Draw(t, "has numbers") {
		m["n"] = []any{1.0, 2.0, 3.0}
	}
	switch rapid.IntRange(0, 3).Draw(t, "has key") {
	case 0:
		m["targetingKey"] = scalar(t)
	case 1, 2:
		m["targetingKey"] = rapid.StringMatching(`[a-z0-9é日]{0,12}`).Draw(t, "key")
	}
	return m
}

var operators = []string{"var", "var", "var", "if", "if", "and", "or", "!", "!!", "==", "!=", "===", "!==", "<", "<=", ">", ">=", "in",
	"+", "-", "*", "/", "%", "min", "max", "cat", "substr", "merge", "map", "filter", "reduce", "all", "none", "some", "missing", "missing_some",
	"starts_with", "ends_with", "sem_ver", "fractional", "fractional", "fractional", "$ref", "?:", "abs", "nonsense"}

func rule(t *rapid.T, depth int) any {
	if depth <= 0 || rapid.IntRange(0, 5).Draw(t, "leaf") == 0 {
		return scalar(t)
	}
	return operation(t, depth)
}

func operation(t *rapid.T, depth int) any {
	name := rapid.SampledFrom(operators).Draw(t, "operator")
	return map[string]any{name: argument(t, name, depth)}
}

func argument(t *rapid.T, name string, depth int) any {
	// A var that has no path at all is tried by flagd even where a filter has nothing to run over; a checked document has none.
	if name != "var" && rapid.IntRange(0, 19).Draw(t, "odd") == 0 {
		return rule(t, depth-1)
	}
	some := func(lo, hi int) []any {
		list := make([]any, rapid.IntRange(lo, hi).Draw(t, "arguments"))
		for i := range list {
			list[i] = rule(t, depth-1)
		}
		return list
	}
	path := func() any {
		return rapid.SampledFrom([]any{"a", "b", "n", "text", "tags", "user", "version", "targetingKey", "user.name", "tags.0", "tags.x", "tags.0.name", "x", "name",
			"current", "accumulator", "", ".", ".a", "$flagd.flagKey", "n.1", 1.0, 0.0, nil}).Draw(t, "path")
	}
	subject := func() any {
		if rapid.IntRange(0, 3).Draw(t, "literal") == 0 {
			return values(t, 2)
		}
		return map[string]any{"var": rapid.SampledFrom([]any{"n", "tags", "user", "text"}).Draw(t, "list")}
	}
	switch name {
	case "var":
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return []any{fmt.Sprint(path()), scalar(t)}
		case 1:
			return []any{fmt.Sprint(path())}
		}
		return path()
	case "$ref":
		return rapid.SampledFrom([]any{"segment", "segment", "nothing", 1}).Draw(t, "ref")
	case "map", "filter", "all", "none", "some":
		return []any{subject(), operation(t, max(depth-1, 1))}
	case "reduce":
		return []any{subject(), operation(t, max(depth-1, 1)), scalar(t)}
	case "missing":
		return []any{path(), path()}
	case "missing_some":
		return []any{rapid.IntRange(0, 3).Draw(t, "least"), []any{path(), path()}}
	case "sem_ver":
		return []any{rule(t, 1), rapid.SampledFrom([]any{"=", "!=", "<", "<=", ">", ">=", "^", "~", "==", nil}).Draw(t, "comparison"), rapid.SampledFrom([]any{"1.2.0", "v1", "2.0.0", 1.2, "x", "1.2.3+b", "2.0.0-rc.2"}).Draw(t, "target")}
	case "fractional":
		return buckets(t, depth)
	case "!", "!!", "abs":
		return some(0, 2)
	case "-", "/":
		return some(1, 3)
	}
	return some(0, 4)
}

func buckets(t *rapid.T, depth int) []any {
	var list []any
	if rapid.Bool().Draw(t, "keyed") {
		list = append(list, rule(t, depth-1))
	}
	for range rapid.IntRange(1, 3).Draw(t, "buckets") {
		name := rapid.SampledFrom([]any{"a", "b", "x", true, nil, 1.0}).Draw(t, "name")
		weight := rapid.SampledFrom([]any{0.0, 1.0, 25.0, 50.0, -50.0, 1.5, nil, "1", 2147483647.0, 3e9}).Draw(t, "weight")
		if rapid.IntRange(0, 3).Draw(t, "plain") > 0 {
			name, weight = rapid.SampledFrom([]any{"a", "b"}).Draw(t, "name"), rapid.SampledFrom([]any{1.0, 50.0}).Draw(t, "weight")
		}
		if rapid.IntRange(0, 7).Draw(t, "computed") == 0 {
			name = rule(t, depth-1)
		}
		switch rapid.IntRange(0, 7).Draw(t, "form") {
		case 0:
			list = append(list, []any{name})
		case 1:
			list = append(list, []any{name, rule(t, depth-1)})
		case 2:
			list = append(list, rule(t, depth-1))
		default:
			list = append(list, []any{name, weight})
		}
	}
	return list
}

// TestExport holds the plain flagd that is written for short forms, schedules, ramps, prerequisites and bucketBy against
// the engine: flagd gives everybody the same variant.
func TestExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := &flag.Document{Flags: map[string]flag.Definition{"flag": extended(t, true), "other": extended(t, false)}}
		if err := document.Validate(); err != nil {
			t.Skip(err)
		}
		text, notes := document.Flagd()
		attributes := attributes(t)
		for _, name := range []string{"b", "text"} { // what is left to a note: buckets by something that is no text, prerequisites that fail
			if _, isText := attributes[name].(string); !isText {
				delete(attributes, name)
			}
		}
		if key, isText := attributes["targetingKey"].(string); !isText || key != strings.TrimSpace(key) {
			delete(attributes, "targetingKey")
		}
		if b, _ := attributes["b"].(string); b != strings.TrimSpace(b) {
			delete(attributes, "b")
		}
		set, problems := flag.CompileLenient(document.JSON())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, n := range notes {
			if strings.Contains(n.Message, "MD5") {
				t.Skip("a ring")
			}
		}
		for _, key := range []string{"flag", "other"} {
			want := set.Evaluate(key, flag.ContextOf(attributes))
			got := flagd(t, text, key, attributes)
			if got.Variant != want.Variant || !reflect.DeepEqual(got.Value, want.Value) || (got.Code == "") != (want.ErrorCode == "") {
				t.Fatalf("%s: %s\nwritten as %s\nfor %v\nslipway: %+v\nflagd:   %+v", key, document.JSON(), text, attributes, want, got)
			}
		}
	})
}

func extended(t *rapid.T, withPrerequisite bool) flag.Definition {
	d := flag.Definition{State: rapid.SampledFrom([]string{"ENABLED", "ENABLED", "ENABLED", "DISABLED"}).Draw(t, "state")}
	day := 24 * time.Hour
	past, future := time.Now().Add(-day).UTC().Truncate(time.Second), time.Now().Add(day).UTC().Truncate(time.Second)
	percent := rapid.SampledFrom([]float64{0, 0.5, 20, 50, 99.999, 100})
	if rapid.Bool().Draw(t, "simple") {
		d.Simple = &flag.Simple{
			Enabled: rapid.IntRange(0, 3).Draw(t, "enabled") == 0, RolloutPercent: percent.Draw(t, "percent"),
			Users: rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "0"}), 0, 2).Draw(t, "users"),
		}
	} else {
		on := "on"
		d.Variants = map[string]json.RawMessage{"on": json.RawMessage("true"), "off": json.RawMessage("false")}
		if rapid.Bool().Draw(t, "default") {
			d.DefaultVariant = &on
		}
		d.Targeting = json.RawMessage(rapid.SampledFrom([]string{"", "{}", `{"if":[{"in":["a",{"var":"text"}]},"on","off"]}`,
			`{"fractional":[["on",30],["off",70]]}`, `{"if":[{"==":[{"var":"a"},1]},"on",null]}`,
			`{"if":[{"var":"a"},{"fractional":[["on",1],["off",1]]},{"fractional":[{"var":"b"},["on",1],["off",3]]}]}`}).Draw(t, "targeting"))
		if rapid.Bool().Draw(t, "bucketed") {
			d.BucketBy = "b"
		}
	}
	if rapid.Bool().Draw(t, "scheduled") {
		d.Schedule = &flag.Schedule{
			From: rapid.SampledFrom([]time.Time{{}, past, future}).Draw(t, "from"), Until: rapid.SampledFrom([]time.Time{{}, future}).Draw(t, "until"),
		}
		if rapid.Bool().Draw(t, "ramped") {
			d.Schedule.Ramp = []flag.Step{{At: past, Percent: percent.Draw(t, "now")}, {At: future, Percent: 100}}
			if d.Simple != nil {
				d.Simple.Enabled, d.Simple.RolloutPercent = false, 0
			}
		}
	}
	if withPrerequisite && rapid.Bool().Draw(t, "asks") {
		d.Prerequisites = []flag.Prerequisite{{Flag: "other", Variant: rapid.SampledFrom([]string{"on", "off"}).Draw(t, "wanted")}}
	}
	return d
}
