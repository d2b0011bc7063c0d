package flag_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// rules are the cases that must not allocate, a rule each for every way of computing something.
var rules = map[string]string{
	"static":     ``,
	"suffix":     `{"if":[{"ends_with":[{"var":"email"},"@example.com"]},"on","off"]}`,
	"split":      `{"fractional":[["on",50],["off",50]]}`,
	"keyed":      `{"fractional":[{"cat":[{"var":"$flagd.flagKey"},{"var":"user.name"}]},["on",50],["off",50]]}`,
	"computed":   `{"fractional":[{"var":"email"},[{"if":[{"var":"vip"},"on","off"]},{"+":[40,10]}],["off",50]]}`,
	"semver":     `{"if":[{"sem_ver":[{"var":"version"},">=","1.2.0"]},"on","off"]}`,
	"number":     `{"if":[{"sem_ver":[{"var":"age"},"^","30"]},"on","off"]}`,
	"in":         `{"if":[{"in":[{"var":"email"},["a","b","c"]]},"on","off"]}`,
	"large in":   `{"if":[{"in":[{"var":"email"},["` + strings.Repeat(`x","`, 50) + `"]]},"on","off"]}`,
	"loose":      `{"if":[{"==":[{"var":"age"},"31"]},"on",{"<":[1,{"var":"age"},99]},"on","off"]}`,
	"arithmetic": `{"if":[{">":[{"+":[{"var":"age"},"5",1]},{"max":[3,4,{"*":[2,{"var":"age"}]}]}]},"on","off"]}`,
	"lists":      `{"if":[{"some":[{"map":[{"filter":[{"var":"tags"},{"!=":[{"var":""},"x"]}]},{"cat":[{"var":""},"!"]}]},{"==":[{"var":""},"beta!"]}]},"on","off"]}`,
	"reduce":     `{"if":[{"==":[{"reduce":[{"var":"numbers"},{"+":[{"var":"current"},{"var":"accumulator"}]},0]},6]},"on","off"]}`,
	"missing":    `{"if":[{"missing":["a","user.name"]},"on","off"]}`,
	"substr":     `{"if":[{"==":[{"substr":[{"var":"email"},-3]},"com"]},"on","off"]}`,
	"merge":      `{"if":[{"in":["beta",{"merge":[{"var":"tags"},["z"]]}]},"on","off"]}`,
	"time":       `{"if":[{">":[{"var":"$flagd.timestamp"},1700000000]},"on","off"]}`,
	"segment":    `{"if":[{"$ref":"staff"},"on","off"]}`,
}

func document(rule string) string {
	targeting := ""
	if rule != "" {
		targeting = `,"targeting":` + rule
	}
	return flagWith(targeting)[:len(flagWith(targeting))-1] + `,"$evaluators":{"staff":{"ends_with":[{"var":"email"},"@example.com"]}},"metadata":{"version":"1"}}`
}

const contextJSON = `{"targetingKey":"user-12345","email":"ann@example.com","age":31,"vip":true,"version":"1.4.2","user":{"name":"ann"},"tags":["alpha","beta"],"numbers":[1,2,3]}`

// TestNoAllocation: an evaluation allocates nothing, be the context parsed, decoded or typed.
func TestNoAllocation(t *testing.T) {
	parsed, err := flag.ParseContext([]byte(contextJSON))
	if err != nil {
		t.Fatal(err)
	}
	decoded := flag.ContextOf(map[string]any{"targetingKey": "user-12345", "email": "ann@example.com", "age": 31.0, "vip": true, "version": "1.4.2", "user": map[string]any{"name": "ann"}})
	for name, rule := range rules {
		set := compile(t, document(rule))
		if r := set.Evaluate("f", parsed); r.Variant == "" {
			t.Errorf("%s: %+v; want a variant", name, r)
		}
		contexts := map[string]*flag.Context{"parsed": parsed}
		if !strings.Contains(rule, "tags") && !strings.Contains(rule, "numbers") {
			contexts["decoded"] = decoded
		}
		for kind, ctx := range contexts {
			if n := testing.AllocsPerRun(200, func() { set.Evaluate("f", ctx) }); n != 0 {
				t.Errorf("%s, %s: %v allocations", name, kind, n)
			}
		}
	}
	set := compile(t, document(rules["suffix"]))
	var ctx flag.Context
	if n := testing.AllocsPerRun(200, func() {
		ctx.TargetingKey = "user-12345"
		ctx.Attributes = append(ctx.Attributes[:0], flag.Attribute{Name: "email", Value: flag.String("ann@example.com")},
			flag.Attribute{Name: "age", Value: flag.Number(31)}, flag.Attribute{Name: "vip", Value: flag.Bool(true)})
		set.Evaluate("f", &ctx)
	}); n != 0 {
		t.Errorf("a typed context that is kept: %v allocations", n)
	}
	full := compile(t, `{"flags":{"f":{"enabled":false,"rollout_percent":20,"users":["a","b"],"bucketing":"ring","prerequisites":[{"flag":"g","variant":"on"}],"schedule":{"from":"2020-01-01T00:00:00Z"}},"g":{"enabled":true}}}`)
	if n := testing.AllocsPerRun(200, func() { full.Evaluate("f", parsed); full.Evaluate("none", parsed) }); n != 0 {
		t.Errorf("gates and rings: %v allocations", n)
	}
}

// A Context that is used again costs nothing but what escapes in its texts make.
func TestContextIsUsedAgain(t *testing.T) {
	var ctx flag.Context
	text := []byte(contextJSON)
	if n := testing.AllocsPerRun(200, func() {
		if err := ctx.Parse(text); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	set := compile(t, document(rules["suffix"]))
	if r := set.Evaluate("f", &ctx); r.Variant != "on" {
		t.Errorf("%+v", r)
	}
	if err := ctx.Parse([]byte(`{"email":"x@y"}`)); err != nil || set.Evaluate("f", &ctx).Variant != "off" {
		t.Errorf("the second context: %v", err)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	ctx, err := flag.ParseContext([]byte(contextJSON))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"static", "suffix", "split", "keyed", "semver", "large in", "lists"} {
		set := compile(b, document(rules[name]))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Evaluate("f", ctx)
			}
		})
	}
}

func BenchmarkCompile10000(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"flags":{`)
	for i := range 10_000 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `"flag-%d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"ends_with":[{"var":"email"},"@example.com"]},"on",{"fractional":[["on",%d],["off",50]]}]}}`, i, i%50)
	}
	text.WriteString(`}}`)
	document := []byte(text.String())
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if set, problems := flag.CompileLenient(document); set.Len() != 10_000 || len(problems) > 0 {
			b.Fatal(set.Len(), problems)
		}
	}
}
