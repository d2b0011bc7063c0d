package flag_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/flag"
)

func compile(t testing.TB, document string) *flag.Set {
	t.Helper()
	set, err := flag.Compile([]byte(document))
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return set
}

// flagWith is a document of one boolean flag with more members.
func flagWith(members string) string {
	return `{"flags":{"f":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"` + members + `}}}`
}

func TestRefused(t *testing.T) {
	for _, row := range []struct{ document, path, message string }{
		{`{`, "", "not JSON at byte 1"},
		{`[]`, "", "want an object"},
		{`{"flags":{}} x`, "", "nothing after the value"},
		{`{"metadata":{}}`, "", "no flags"},
		{`{"flags":{},"flag":{}}`, "/flag", "no such member"},
		{`{"flags":{"a/b":{"enabled":true}}}`, "/flags/a~1b", "128 of A-Z"},
		{`{"flags":{"f":{"enabled":true},"f":{"enabled":true}}}`, "/flags/f", "twice"},
		{`{"flags":[{"key":"f","enabled":true},{"key":"f","enabled":true}]}`, "/flags/1", "twice"},
		{`{"flags":{"f":{"enabled":true,"enabled":false}}}`, "/flags/f/enabled", "twice"},
		{`{"flags":{"f":{}}}`, "/flags/f", "no state"},
		{`{"flags":{"f":{"state":"on","variants":{"a":1}}}}`, "/flags/f/state", "ENABLED or DISABLED"},
		{`{"flags":{"f":{"state":"ENABLED","variants":{}}}}`, "/flags/f", "at least one"},
		{`{"flags":{"f":{"state":"ENABLED","variants":{"a":1,"b":"x"}}}}`, "/flags/f/variants/b", "one type"},
		{`{"flags":{"f":{"state":"ENABLED","variants":{"a":[]}}}}`, "/flags/f/variants/a", "an array"},
		{`{"flags":{"f":{"state":"ENABLED","variants":{"a":1},"defaultVariant":"b"}}}`, "/flags/f/defaultVariant", `want "a"`},
		{flagWith(`,"target":{}`), "/flags/f/target", "no such member"},
		{flagWith(`,"metadata":{"x":[]}`), "/flags/f/metadata/x", "a number"},
		{flagWith(`,"targeting":{"iff":[]}`), "/flags/f/targeting/iff", "no such operator"},
		{flagWith(`,"targeting":{"if":[{"==":[1]},"on"]}`), "/flags/f/targeting/if/0/==", "1 arguments; want 2"},
		{flagWith(`,"targeting":{"if":[true,"onn"]}`), "/flags/f/targeting/if/1", `"onn" is none`},
		{flagWith(`,"targeting":{"if":[true,"on",{"if":[false,"on","offf"]}]}`), "/flags/f/targeting/if/2/if/2", "none of the flag's variants"},
		{flagWith(`,"targeting":{"fractional":[["on",50],["of",50]]}`), "/flags/f/targeting/fractional/1/0", `"of" is none`},
		{flagWith(`,"targeting":{"fractional":[["on",1.5],["off",50]]}`), "/flags/f/targeting/fractional/0/1", "whole number"},
		{flagWith(`,"targeting":{"fractional":[["on",2147483647],["off",1]]}`), "/flags/f/targeting/fractional/1", "over 2147483647"},
		{flagWith(`,"targeting":{"fractional":[["on",0],["off",0]]}`), "/flags/f/targeting/fractional", "sum is 0"},
		{flagWith(`,"targeting":{"if":[{"$ref":"x"},"on"]}`), "/flags/f/targeting/if/0", `no "x"`},
		{flagWith(`,"targeting":{"if":[{"sem_ver":[{"var":"v"},"~>","1.0.0"]},"on"]}`), "/flags/f/targeting/if/0/sem_ver/1", "want one of ="},
		{flagWith(`,"targeting":{"if":[{"sem_ver":[{"var":"v"},"=","1.x"]},"on"]}`), "/flags/f/targeting/if/0/sem_ver/2", "like 1.2.3"},
		{flagWith(`,"targeting":{"if":[{"starts_with":[{"var":"v"},1]},"on"]}`), "/flags/f/targeting/if/0/starts_with/1", "want a string"},
		{flagWith(`,"targeting":{"if":[{"abs":[-1]},"on"]}`), "/flags/f/targeting/if/0/abs", "only flagd's Go library"},
		{flagWith(`,"targeting":{"if":[{"var":"$flagd.time"},"on"]}`), "/flags/f/targeting/if/0/var", "$flagd.timestamp"},
		{flagWith(`,"prerequisites":[{"flag":"g","variant":"on"}]`), "/flags/f/prerequisites/0", `no flag "g"`},
		{flagWith(`,"prerequisites":[{"flag":"f","variant":"on"}]`), "/flags/f/prerequisites/0", "cycle"},
		{flagWith(`,"schedule":{"from":"2030-01-01"}`), "/flags/f/schedule/from", "RFC 3339"},
		{flagWith(`,"schedule":{"from":"2030-01-01T00:00:00Z","until":"2029-01-01T00:00:00Z"}`), "/flags/f/schedule", "before until"},
		{flagWith(`,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":101}]}`), "/flags/f/schedule/ramp/0/percent", "0 to 100"},
		{flagWith(`,"hashVersion":"v1"`), "/flags/f/hashVersion", "want v2"},
		{flagWith(`,"enabled":true`), "/flags/f", "one or the other"},
		{`{"flags":{"f":{"enabled":false,"rollout_percent":0.5,"bucketing":"ring"}}}`, "/flags/f/rollout_percent", "a hundred buckets"},
		{`{"flags":{"f":{"enabled":false,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":12.5}]},"bucketing":"ring"}}}`,
			"/flags/f/schedule/ramp/0/percent", "a hundred buckets"},
		{`{"flags":{},"$evaluators":{"s":{"==":[{"$ref":"t"},1]},"t":{"!":true}}}`, "/$evaluators/s/==/0", "doesn't resolve"},
		{`{"flags":{"a":{"enabled":true,"prerequisites":[{"flag":"b","variant":"on"}]},"b":{"enabled":true,"prerequisites":[{"flag":"a","variant":"on"}]}}}`,
			"/flags/b/prerequisites/0", "cycle"},
		{`{"flags":{"a":{"enabled":true,"prerequisites":[{"flag":"b","variant":"yes"}]},"b":{"enabled":true}}}`, "/flags/a/prerequisites/0", `no variant "yes"`},
	} {
		set, err := flag.Compile([]byte(row.document))
		var invalid *flag.Invalid
		if !errors.As(err, &invalid) || set != nil {
			t.Errorf("%s is accepted: %v", row.document, err)
			continue
		}
		if !slices.ContainsFunc(invalid.Problems, func(p flag.Problem) bool { return p.Path == row.path && strings.Contains(p.Message, row.message) }) {
			t.Errorf("%s: %+v; want %s: …%s…", row.document, invalid.Problems, row.path, row.message)
		}
	}
}

func TestBounds(t *testing.T) {
	deep := flagWith(`,"targeting":` + strings.Repeat(`{"!":`, 80) + "1" + strings.Repeat("}", 80))
	if _, err := flag.Compile([]byte(deep)); err == nil || !strings.Contains(err.Error(), "64 levels") {
		t.Errorf("80 levels: %v", err)
	}
	large := flagWith(`,"metadata":{"x":"` + strings.Repeat("x", flag.MaxDocument) + `"}`)
	if _, err := flag.Compile([]byte(large)); err == nil || !strings.Contains(err.Error(), "want at most 1048576") {
		t.Errorf("over 1 MiB: %v", err)
	}
	if _, err := flag.ParseContext([]byte(`{"x":"` + strings.Repeat("x", flag.MaxContext) + `"}`)); err == nil {
		t.Error("a context over 64 KiB is accepted")
	}
}

// Rules that would hold a function for long fail instead.
func TestRunaways(t *testing.T) {
	nested := `{"var":"n"}`
	for range 4 {
		nested = `{"map":[{"var":"n"},` + nested + `]}`
	}
	for _, rule := range []string{
		`{"if":[` + strings.ReplaceAll(nested, `{"map":[{"var":"n"}`, `{"map":[{"merge":[[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10]]}`) + `,"on","off"]}`,
		`{"if":[{"reduce":[{"var":"n"},{"cat":[{"var":"accumulator"},{"var":"accumulator"}]},"xx"]},"on","off"]}`,
	} {
		set := compile(t, flagWith(`,"targeting":`+rule))
		n := make([]flag.Value, 100)
		for i := range n {
			n[i] = flag.Number(1)
		}
		start := time.Now()
		r := set.Evaluate("f", &flag.Context{Attributes: []flag.Attribute{{Name: "n", Value: flag.List(n...)}}})
		if r.ErrorCode != flag.ParseError || time.Since(start) > 30*time.Second {
			t.Errorf("%s: %+v after %v; want PARSE_ERROR at once", rule[:40], r, time.Since(start))
		}
	}
}

func TestLenient(t *testing.T) {
	set, problems := flag.CompileLenient([]byte(`{"flags":{
		"good":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"},
		"bad":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"of"},
		"worse":7,
		"loop":{"enabled":true,"prerequisites":[{"flag":"loop","variant":"on"}]}}}`))
	for key, want := range map[string]flag.ErrorCode{"good": "", "bad": flag.ParseError, "worse": flag.ParseError, "loop": flag.ParseError, "none": flag.FlagNotFound} {
		if got := set.Evaluate(key, nil); got.ErrorCode != want {
			t.Errorf("%s: %+v; want the code %q", key, got, want)
		}
	}
	if len(problems) != 3 {
		t.Errorf("%+v; want three problems", problems)
	}
	if empty, problems := flag.CompileLenient([]byte("no")); empty.Len() != 0 || len(problems) != 1 {
		t.Errorf("no document: %d flags, %v", empty.Len(), problems)
	}
}

func at(text string) int64 {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.Unix()
}

func TestSchedule(t *testing.T) {
	set := compile(t, `{"flags":{
		"full":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","schedule":{"from":"2030-01-02T00:00:00Z","until":"2030-01-04T00:00:00Z"}},
		"short":{"enabled":true,"schedule":{"from":"2030-01-02T00:00:00Z"}},
		"ramp":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","schedule":{"ramp":[{"at":"2030-01-02T00:00:00Z","percent":30},{"at":"2030-01-03T00:00:00Z","percent":100}]}},
		"shortramp":{"enabled":false,"schedule":{"ramp":[{"at":"2030-01-02T00:00:00Z","percent":30},{"at":"2030-01-03T00:00:00Z","percent":100}]}}}}`)
	count := func(key, when string) int {
		on := 0
		for i := range 1000 {
			if set.Evaluate(key, &flag.Context{TargetingKey: string(rune('a'+i%26)) + time.Duration(i).String(), Time: at(when)}).Value == true {
				on++
			}
		}
		return on
	}
	for _, row := range []struct {
		key, when string
		low, high int
	}{
		{"full", "2030-01-01T23:59:59Z", 0, 0}, {"full", "2030-01-02T00:00:00Z", 1000, 1000}, {"full", "2030-01-04T00:00:00Z", 0, 0},
		{"short", "2030-01-01T00:00:00Z", 0, 0}, {"short", "2031-01-01T00:00:00Z", 1000, 1000},
		{"ramp", "2030-01-01T00:00:00Z", 0, 0}, {"ramp", "2030-01-02T12:00:00Z", 230, 370}, {"ramp", "2030-01-03T00:00:00Z", 1000, 1000},
		{"shortramp", "2030-01-01T00:00:00Z", 0, 0}, {"shortramp", "2030-01-02T12:00:00Z", 230, 370}, {"shortramp", "2030-01-03T00:00:00Z", 1000, 1000},
	} {
		if got := count(row.key, row.when); got < row.low || got > row.high {
			t.Errorf("%s at %s: %d of 1000 are on; want %d to %d", row.key, row.when, got, row.low, row.high)
		}
	}
	if r := set.Evaluate("full", &flag.Context{Time: at("2029-01-01T00:00:00Z")}); r.Reason != flag.Disabled || r.Variant != "" || r.Value != nil {
		t.Errorf("closed: %+v; want as if disabled", r)
	}
	if r := set.Evaluate("short", &flag.Context{Time: at("2029-01-01T00:00:00Z")}); r.Reason != flag.Default || r.Variant != "off" {
		t.Errorf("closed short form: %+v; want off", r)
	}
}

func TestPrerequisites(t *testing.T) {
	set := compile(t, `{"flags":{
		"a":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","prerequisites":[{"flag":"b","variant":"yes"}]},
		"b":{"state":"ENABLED","variants":{"yes":"y","no":"n"},"defaultVariant":"no","targeting":{"if":[{"var":"ok"},"yes"]}},
		"c":{"enabled":true,"prerequisites":[{"flag":"a","variant":"on"}]}}}`)
	for _, row := range []struct {
		ok   bool
		a, c any
	}{{true, true, true}, {false, nil, false}} {
		ctx := &flag.Context{Attributes: []flag.Attribute{{Name: "ok", Value: flag.Bool(row.ok)}}}
		if a, c := set.Evaluate("a", ctx).Value, set.Evaluate("c", ctx).Value; a != row.a || c != row.c {
			t.Errorf("ok %v: %v and %v; want %v and %v", row.ok, a, c, row.a, row.c)
		}
	}
	if got := set.Dependants("b"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("dependants of b: %v", got)
	}
}

func TestDefinition(t *testing.T) {
	for _, text := range []string{
		`{"state":"ENABLED","variants":{"off":false,"on":true},"defaultVariant":"off","targeting":{"if":[true,"on"]},"metadata":{"tag":"x"},"prerequisites":[{"flag":"g","variant":"on"}],"schedule":{"from":"2030-01-01T00:00:00Z","ramp":[{"at":"2030-01-01T00:00:00Z","percent":5.5}]},"bucketBy":"company.id","hashVersion":"v3","archived":true}`,
		`{"enabled":false,"rollout_percent":20,"users":["a"],"bucketing":"ring"}`,
		`{"state":"DISABLED","variants":{"x":10}}`,
	} {
		var d flag.Definition
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(d)
		if err != nil || string(again) != text {
			t.Errorf("%s becomes\n%s %v", text, again, err)
		}
	}
	var d flag.Definition
	var invalid *flag.Invalid
	if err := d.UnmarshalJSON([]byte(`{"state":"ENABLED","variants":{"a":1},"targeting":[1]}`)); !errors.As(err, &invalid) || invalid.Problems[0].Path != "/targeting" {
		t.Errorf("%v; want a problem at /targeting", err)
	}
}

func TestSwitches(t *testing.T) {
	short := flag.Definition{Simple: &flag.Simple{RolloutPercent: 20, Users: []string{"u"}}}
	off := short.WithEnabled(false)
	if off.Enabled() || off.Simple.RolloutPercent != 20 || !short.Enabled() {
		t.Errorf("%+v; want off, with its percentage kept", off)
	}
	on := off.WithEnabled(true)
	if !on.Enabled() || !on.Simple.Enabled || on.State != "ENABLED" {
		t.Errorf("%+v; want on for everybody", on)
	}
	if half, err := on.WithRollout(50); err != nil || half.Simple.Enabled || half.Simple.RolloutPercent != 50 {
		t.Errorf("%+v, %v; want half", half, err)
	}
	full := flag.Definition{State: "DISABLED", Variants: map[string]json.RawMessage{"yes": []byte("true"), "no": []byte("false")}}
	tenth, err := full.WithRollout(10)
	if err != nil || string(tenth.Targeting) != `{"fractional":[["yes",10000],["no",90000]]}` || tenth.State != "ENABLED" {
		t.Errorf("%s %+v, %v; want a fractional", tenth.Targeting, tenth, err)
	}
	if _, err := (flag.Definition{Variants: map[string]json.RawMessage{"a": []byte("1")}}).WithRollout(10); err == nil {
		t.Error("a number's flag takes a percentage")
	}
	if _, err := full.WithRollout(100.5); err == nil {
		t.Error("100.5 % is accepted")
	}
}

// A short form that is switched off is off, also for code whose own default is true, and in what plain flagd is given.
func TestSwitchedOff(t *testing.T) {
	text := `{"flags":{"f":{"state":"DISABLED","enabled":true,"rollout_percent":50,"users":["eve"],"schedule":{"until":"2099-01-01T00:00:00Z"}},
		"on":{"enabled":true,"prerequisites":[{"flag":"f","variant":"on"}]},"off":{"enabled":true,"prerequisites":[{"flag":"f","variant":"off"}]}}}`
	set := compile(t, text)
	eve := &flag.Context{TargetingKey: "eve"}
	if r := set.Evaluate("f", eve); r.Value != false || r.Variant != "off" || r.Reason != flag.Disabled {
		t.Errorf("%+v; want off, because it is disabled", r)
	}
	document, err := flag.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, notes := document.Flagd()
	exported := compile(t, string(plain))
	for _, key := range []string{"f", "on", "off"} {
		if got, want := exported.Evaluate(key, eve).Value, set.Evaluate(key, eve).Value; got != want || want != (key == "off") {
			t.Errorf("%s: %v, exported %v", key, want, got)
		}
	}
	if len(notes) == 0 || !strings.Contains(notes[0].Message, "disabled") {
		t.Errorf("notes %v; want one on the reason", notes)
	}
	if steps := set.Explain("f", eve).Steps; len(steps) == 0 || steps[0] != "the flag is disabled: off for everybody" {
		t.Errorf("explained as %q", steps)
	}
}

func TestDocument(t *testing.T) {
	text := `{"flags":{"a":{"enabled":true,"rollout_percent":0,"users":[]},"b":{"state":"ENABLED","variants":{"x":10},"targeting":{"if":[{"$ref":"s"},"x"]}}},"$evaluators":{"s":{"!":{"var":"k"}}},"metadata":{"version":"1"}}`
	d, err := flag.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(d.JSON()); got != text {
		t.Errorf("%s becomes\n%s", text, got)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	delete(d.Evaluators, "s")
	if err := d.Validate(); err == nil {
		t.Error("a segment in use may be deleted")
	}
	array, err := flag.ParseDocument([]byte(`{"flags":[{"key":"a","enabled":true}]}`))
	if err != nil || array.Flags["a"].Simple == nil {
		t.Errorf("an array of flags: %v %v", array, err)
	}
}

func TestExplain(t *testing.T) {
	set := compile(t, `{"flags":{"f":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",
		"targeting":{"if":[{"ends_with":[{"var":"email"},"@x.com"]},"on",{"fractional":[["on",30],["off",70]]}]}},
		"r":{"enabled":false,"rollout_percent":10,"users":["vip"],"bucketing":"ring"}}}`)
	ctx := &flag.Context{TargetingKey: "user-1", Attributes: []flag.Attribute{{Name: "email", Value: flag.String("a@y.com")}}}
	x := set.Explain("f", ctx)
	want := []string{`/targeting/if/0 is false (email is "a@y.com")`, "no condition holds: /targeting/if/2 counts",
		`/targeting/if/2: bucket 33 of 100 for the key "fuser-1"`, `the rule gives the variant`}
	for i, w := range want {
		if i >= len(x.Steps) || !strings.HasPrefix(x.Steps[i], w) {
			t.Errorf("step %d of %q; want %q", i, x.Steps, w)
		}
	}
	if x := set.Explain("r", ctx); len(x.Steps) != 2 || !strings.Contains(x.Steps[0], `MD5 of "user-1" mod 100 is 20`) {
		t.Errorf("%q; want the ring's bucket", x.Steps)
	}
	if x := set.Explain("nothing", nil); x.ErrorCode != flag.FlagNotFound || len(x.Steps) != 1 {
		t.Errorf("%+v", x)
	}
}
