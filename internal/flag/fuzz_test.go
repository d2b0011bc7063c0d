package flag_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

func seed(f *testing.F) {
	for _, rule := range rules {
		f.Add([]byte(document(rule)), []byte(contextJSON))
	}
	f.Add([]byte(`{"flags":[{"key":"f","enabled":false,"rollout_percent":20,"users":["a"],"bucketing":"ring","schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":5}]}}]}`), []byte(`{}`))
	for _, rule := range []string{`{"if":[1,{"var":"a"}]}`, `{"some":[{"var":"l"},{"if":{"var":"a"}}]}`, `{"filter":[[1],{"all":[{"var":"l"},{"set":[{"var":""},"x",{"var":"a"}]}]}]}`,
		`{"contains_all":[{"var":"l"},{"var":"a"}]}`, `{"missing":[{"var":"a"}]}`} {
		f.Add([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"a":1,"<":2},"targeting":`+rule+`}},"$evaluators":{"s":{"var":"a"}}}`),
			[]byte(`{"a":{"if":[1,{"var":"b"}]},"b":{"cat":["x"]},"l":[{"var":"b"},{"$ref":"s"},[]]}`))
	}
	f.Add([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"a":{"x":[1,null]}},"hashVersion":"v3","bucketBy":"user.name","targeting":{"fractional":[["a"]]}}}}`), []byte(`{"user":[{"name":1}]}`))
}

// Whatever the bytes: a document is refused with problems, or what is compiled answers, explains, and comes back the same
// from its own JSON.
func FuzzCompile(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, document, context []byte) {
		ctx, err := flag.ParseContext(context)
		if err != nil {
			ctx = nil
		}
		lenient, _ := flag.CompileLenient(document)
		for key, r := range lenient.All(ctx) {
			check(t, key, r)
			lenient.Explain(key, ctx)
		}
		set, err := flag.Compile(document)
		if err != nil {
			var invalid *flag.Invalid
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 || invalid.Problems[0].Message == "" {
				t.Fatalf("%q: %v", document, err)
			}
			return
		}
		parsed, err := flag.ParseDocument(document)
		if err != nil {
			t.Fatalf("%q compiles, and doesn't parse: %v", document, err)
		}
		again, err := flag.Compile(parsed.JSON())
		if err != nil {
			t.Fatalf("%q becomes %q: %v", document, parsed.JSON(), err)
		}
		at := flag.Context{Time: 1}
		for _, key := range set.Keys() {
			if a, b := set.Evaluate(key, &at), again.Evaluate(key, &at); a.Variant != b.Variant || a.Reason != b.Reason || !reflect.DeepEqual(a.Value, b.Value) {
				t.Fatalf("%q and %q: %+v and %+v", document, parsed.JSON(), a, b)
			}
		}
		parsed.Flagd()
	})
}

func check(t *testing.T, key string, r flag.Result) {
	switch {
	case r.Reason == "", (r.Reason == flag.ReasonError) != (r.ErrorCode != ""), (r.Value == nil) != (r.JSON == nil), r.Value != nil && r.Value != false && r.Reason == flag.Disabled:
		t.Fatalf("%s: %+v", key, r)
	}
	if r.JSON != nil && !json.Valid(r.JSON) {
		t.Fatalf("%s: %q is no JSON", key, r.JSON)
	}
}

// A context is read as encoding/json reads it.
func FuzzContext(f *testing.F) {
	for _, text := range []string{contextJSON, `{"a":"\u00e9\ud83d\ude00\ud800x","b":[1e3,-0,0.1,1E400],"a":null}`, `{"a":01}`, "{\"a\":\"\xff\"}", `{"a":1}x`, `{"":{"":[]}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]any
		wantErr := json.Unmarshal(text, &want)
		ctx, err := flag.ParseContext(text)
		if (err == nil) != (wantErr == nil && want != nil) {
			if err != nil && wantErr == nil { // deeper than ours, or null
				return
			}
			t.Fatalf("%q: %v; encoding/json says %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		for _, a := range ctx.Attributes {
			if _, ok := want[a.Name]; !ok {
				t.Fatalf("%q: there is no %q", text, a.Name)
			}
		}
		set, _ := flag.CompileLenient([]byte(`{"flags":{"f":{"state":"ENABLED","variants":{"true":true,"false":false},"targeting":{"==":[{"var":"a"},{"var":"b"}]}}}}`))
		parsed, decoded := set.Evaluate("f", ctx), set.Evaluate("f", flag.ContextOf(want))
		if parsed.Variant != decoded.Variant {
			t.Fatalf("%q: %+v, and decoded %+v", text, parsed, decoded)
		}
	})
}
