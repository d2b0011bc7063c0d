package flags_test

import (
	"encoding/json"
	"runtime"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/flag"
)

// document is the cases' flags as flagd has them, and a crowd of n.
func document(n int) []byte {
	rule := func(suffix string, rest ...any) []any {
		return append([]any{map[string]any{"ends_with": []any{map[string]any{"var": "email"}, suffix}}, "on"}, rest...)
	}
	var twenty []any
	for _, s := range suffixes() {
		twenty = append(twenty, rule(s)...)
	}
	feature := func(targeting any) map[string]any {
		f := map[string]any{"state": "ENABLED", "variants": map[string]any{"on": true, "off": false}, "defaultVariant": "off"}
		if targeting != nil {
			f["targeting"] = targeting
		}
		return f
	}
	flags := map[string]any{
		"static": feature(nil), "suffix": feature(map[string]any{"if": rule(suffix, "off")}), "twenty": feature(map[string]any{"if": append(twenty, "off")}),
		"split": feature(map[string]any{"fractional": []any{[]any{"on", 50}, []any{"off", 50}}}),
	}
	flags["static"].(map[string]any)["defaultVariant"] = "on"
	crowd(func(key string) {
		if len(flags) < n+4 || key == one {
			flags[key] = flags["suffix"]
		}
	})
	text, err := json.Marshal(map[string]any{"flags": flags})
	if err != nil {
		panic(err)
	}
	return text
}

// one is the one of the crowd that is asked for.
const one = "crowd-7777"

func load(tb testing.TB) *flag.Set {
	set, problems := flag.CompileLenient(document(manyFlags))
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	return set
}

func slipway(tb testing.TB) func(string) bool {
	set := load(tb)
	ctx := &flag.Context{TargetingKey: user, Attributes: []flag.Attribute{{Name: "email", Value: flag.String(email)}}}
	return func(key string) bool { return set.Evaluate(key, ctx).Value == true }
}

var peers = []struct {
	name string
	load peer
}{
	{"Slipway", slipway}, {"LaunchDarkly", launchDarkly}, {"GrowthBook", growthBook}, {"Unleash", unleashed}, {"GOFeatureFlag", goFeatureFlag}, {"flagd", flagd},
}

var cases = []string{"static", "suffix", "split", "twenty", one}

// TestSame: what is measured is the same: every engine gives true, but for the split, whose hashes differ.
func TestSame(t *testing.T) {
	for _, p := range peers {
		evaluate := p.load(t)
		for _, key := range cases {
			if key != "split" && !evaluate(key) {
				t.Errorf("%s: %s is false", p.name, key)
			}
			if p.name != "LaunchDarkly" && evaluate("nothing") { // whose caller looks the flag up
				t.Errorf("%s: a flag that isn't there is true", p.name)
			}
		}
	}
}

// BenchmarkPeers has a line for each engine and case.
func BenchmarkPeers(b *testing.B) {
	for _, p := range peers {
		evaluate := p.load(b)
		for _, key := range cases {
			name := key
			if key == one {
				name = "of10000"
			}
			b.Run(name+"/"+p.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					evaluate(key)
				}
			})
		}
	}
}

// BenchmarkParallel scales over the cores: compare -cpu 1 with -cpu 2.
func BenchmarkParallel(b *testing.B) {
	evaluate := slipway(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			evaluate("suffix")
		}
	})
}

// BenchmarkCompile compiles 10,000 flags; live-MB is what the set then holds.
func BenchmarkCompile(b *testing.B) {
	text := document(manyFlags)
	b.ReportAllocs()
	var set *flag.Set
	start := time.Now()
	for b.Loop() {
		set, _ = flag.CompileLenient(text)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds())/float64(b.N), "ms/op")
	var with, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(set) // and not after it
	runtime.GC()
	runtime.ReadMemStats(&without)
	b.ReportMetric(float64(with.HeapAlloc-without.HeapAlloc)/1e6, "live-MB")
}
