// Package oracle holds internal/flag against flagd's own evaluator: the same document, the same context, the same answer.
// It is a module of its own, so that flagd's dependencies stay out of the product's.
package oracle_test

import (
	"context"
	"encoding/json"
	"reflect"
	stdsync "sync"
	"testing"

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
