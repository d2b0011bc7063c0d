package flag_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/flag"
)

func define(t testing.TB, text string) flag.Definition {
	t.Helper()
	var d flag.Definition
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// alone compiles one flag as it would be stored.
func alone(t testing.TB, d flag.Definition) *flag.Set {
	t.Helper()
	document := flag.Document{Flags: map[string]flag.Definition{"f": d}}
	return compile(t, string(document.JSON()))
}

const users = 1000

// on lists for whom of a thousand users the flag is on.
func on(t testing.TB, d flag.Definition) []bool {
	t.Helper()
	set, list := alone(t, d), make([]bool, users)
	for i := range list {
		r := set.Evaluate("f", &flag.Context{TargetingKey: fmt.Sprintf("user-%d", i), Time: at("2030-06-01T00:00:00Z"),
			Attributes: []flag.Attribute{{Name: "company", Value: flag.String(fmt.Sprintf("company-%d", i))}, {Name: "id", Value: flag.Number(float64(i))}}})
		if r.ErrorCode != "" {
			t.Fatalf("user %d of %+v: %+v", i, d, r)
		}
		list[i] = r.Value == true
	}
	return list
}

func count(list []bool) int {
	n := 0
	for _, each := range list {
		if each {
			n++
		}
	}
	return n
}

const split = `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"%s,"targeting":{"fractional":%s}}`

// rolledOut are the definitions that take a percentage, each with the share that it begins with.
var rolledOut = map[string]string{
	"short":           `{"rollout_percent":20}`,
	"short, for all":  `{"enabled":true}`,
	"short, third":    `{"rollout_percent":20,"hashVersion":"v3"}`,
	"ramp, third":     `{"enabled":false,"hashVersion":"v3","schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":20}]}}`,
	"short by id":     `{"rollout_percent":20,"bucketBy":"id"}`,
	"ring":            `{"rollout_percent":20,"bucketing":"ring"}`,
	"ramp":            `{"enabled":false,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":20},{"at":"2031-01-01T00:00:00Z","percent":100}]}}`,
	"ring with ramp":  `{"bucketing":"ring","schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":20},{"at":"2031-01-01T00:00:00Z","percent":100}]}}`,
	"on first":        fmt.Sprintf(split, ``, `[["on",20],["off",80]]`),
	"off first":       fmt.Sprintf(split, ``, `[["off",80],["on",20]]`),
	"booleans":        strings.NewReplacer(`"on"`, `"true"`, `"off"`, `"false"`).Replace(fmt.Sprintf(split, ``, `[[false,4],[true]]`)),
	"default bucket":  fmt.Sprintf(split, ``, `[[null,80],["on",20]]`),
	"on alone":        fmt.Sprintf(split, ``, `[["on"]]`),
	"off alone":       fmt.Sprintf(split, ``, `[["off"]]`),
	"no key":          fmt.Sprintf(split, ``, `[null,["off",80],["on",20]]`),
	"key by cat":      fmt.Sprintf(split, ``, `[{"cat":["x",{"var":"company"}]},["on",20],["off",80]]`),
	"seeded":          fmt.Sprintf(split, ``, `[{"cat":["seed-7",{"var":"targetingKey"}]},["off",80],["on",20]]`),
	"by company":      fmt.Sprintf(split, `,"bucketBy":"company"`, `[["off",80],["on",20]]`),
	"third hash":      fmt.Sprintf(split, `,"hashVersion":"v3"`, `[{"var":"company"},["off",80],["on",20]]`),
	"third hash, own": fmt.Sprintf(split, `,"hashVersion":"v3"`, `[["on",20],["off",80]]`),
	"no rule":         `{"state":"ENABLED","variants":{"yes":true,"no":false},"defaultVariant":"no"}`,
	"empty rule":      `{"state":"DISABLED","variants":{"yes":true,"no":false},"targeting":{}}`,
}

// TestRolloutKeepsUsers: who is on stays on while the percentage grows, who is off stays off while it shrinks, and the
// share of the users is what was said: none at 0 %, all at 100 %.
func TestRolloutKeepsUsers(t *testing.T) {
	for name, text := range rolledOut {
		t.Run(name, func(t *testing.T) {
			d := define(t, text)
			was, share := on(t, d), float64(count(on(t, d)))/users*100
			for _, percent := range []float64{40, 41, 75, 100, 60, 20, 3, 0, 50} {
				next, err := d.WithRollout(percent)
				if err != nil {
					t.Fatalf("%v %%: %v", percent, err)
				}
				is := on(t, next)
				for i := range is {
					if percent >= share+5 && was[i] && !is[i] || percent <= share-5 && !was[i] && is[i] {
						t.Fatalf("from %v to %v %%: user %d was %t and is %t; %s", share, percent, i, was[i], is[i], next.Targeting)
					}
				}
				if n := count(is); percent == 0 && n != 0 || percent == 100 && n != users || float64(n) < percent*10-50 || float64(n) > percent*10+50 {
					t.Fatalf("%d of %d users are on at %v %%", n, users, percent)
				}
				d, was, share = next, is, percent
			}
		})
	}
}

// TestRolloutKeepsTheRest: order, bucket key and hash version are as they were; a ramp ends, a schedule's bounds stay.
func TestRolloutKeepsTheRest(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{fmt.Sprintf(split, `,"hashVersion":"v3"`, `[["off",80],["on",20]]`),
			`{"state":"ENABLED","variants":{"off":false,"on":true},"defaultVariant":"off","targeting":{"fractional":[["off",60000],["on",40000]]},"hashVersion":"v3"}`},
		{fmt.Sprintf(split, ``, `[{"cat":["x",{"var":"company"}]},["on",20],["off",80]]`),
			`{"state":"ENABLED","variants":{"off":false,"on":true},"defaultVariant":"off","targeting":{"fractional":[{"cat":["x",{"var":"company"}]},["on",40000],["off",60000]]}}`},
		{`{"schedule":{"from":"2030-01-01T00:00:00Z","ramp":[{"at":"2030-01-01T00:00:00Z","percent":20}]},"users":["a"],"bucketing":"ring"}`,
			`{"state":"ENABLED","enabled":false,"rollout_percent":40,"users":["a"],"bucketing":"ring","schedule":{"from":"2030-01-01T00:00:00Z"}}`},
		{`{"enabled":false,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":20}]}}`, `{"state":"ENABLED","enabled":false,"rollout_percent":40,"users":[]}`},
	} {
		d, err := define(t, row.text).WithRollout(40)
		text, _ := json.Marshal(d)
		if err != nil || string(text) != row.want {
			t.Errorf("%s became\n%s, %v; want\n%s", row.text, text, err, row.want)
		}
	}
}

// TestRolloutRefused: what a percentage can't do without moving users is refused with what to do.
func TestRolloutRefused(t *testing.T) {
	for _, row := range []struct {
		text          string
		percent       float64
		path, message string
	}{
		{`{"rollout_percent":10,"bucketing":"ring"}`, 12.5, "/percent", "a hundred buckets"},
		{`{"bucketing":"ring","schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":20}]}}`, 0.1, "/percent", "a hundred buckets"},
		{`{"enabled":true}`, 12.3456, "/percent", "three decimals"},
		{fmt.Sprintf(split, `,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":20}]}`, `[["on",1],["off",1]]`), 40, "/schedule/ramp", `{"schedule":{"ramp":null}}`},
		{fmt.Sprintf(split, ``, `["everybody",["on",1],["off",1]]`), 40, "/targeting/fractional/0", "same for all users"},
		{fmt.Sprintf(split, ``, `[{"cat":["a",{"var":"$flagd.flagKey"}]},["on",1],["off",1]]`), 40, "/targeting/fractional/0", "same for all users"},
		{fmt.Sprintf(split, ``, `[["on",1],["off",1],["on",1]]`), 40, "/targeting/fractional", "two buckets"},
		{fmt.Sprintf(split, ``, `[["on",{"var":"weight"}],["off",1]]`), 40, "/targeting/fractional", "two buckets"},
		{fmt.Sprintf(split, ``, `[[{"if":[{"var":"vip"},"on","off"]},1],["off",1]]`), 40, "/targeting/fractional", "two buckets"},
		{`{"state":"ENABLED","variants":{"on":true,"off":false},"targeting":{"fractional":[["on",1],[null,1]]}}`, 40, "/targeting/fractional", "two buckets"},
		{`{"state":"ENABLED","variants":{"on":true,"off":false},"targeting":{"if":[{"var":"vip"},"on",{"fractional":[["on",1],["off",1]]}]}}`, 40, "/targeting", "targeting itself"},
		{`{"state":"ENABLED","variants":{"on":true,"off":false},"targeting":{"$ref":"staff"}}`, 40, "/targeting", "targeting itself"},
		{`{"state":"ENABLED","variants":{"a":true,"b":true}}`, 40, "/variants", "boolean flag"},
		{`{"state":"ENABLED","variants":{"a":true,"b":false,"c":false}}`, 40, "/variants", "boolean flag"},
		{`{"state":"ENABLED","variants":{"a":"true","b":"false"}}`, 40, "/variants", "boolean flag"},
		{`{"state":"ENABLED","variants":{"a<b":true,"b":false}}`, 40, "/variants", "names rules find"},
	} {
		_, err := define(t, row.text).WithRollout(row.percent)
		var invalid *flag.Invalid
		if !errors.As(err, &invalid) || invalid.Problems[0].Path != row.path || !strings.Contains(invalid.Problems[0].Message, row.message) {
			t.Errorf("%s, %v %%: %v; want %s: …%s…", row.text, row.percent, err, row.path, row.message)
		}
	}
}

func TestCaveats(t *testing.T) {
	now := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		`{"rollout_percent":10}`:                                                               "",
		`{"state":"DISABLED","users":["a"]}`:                                                   "",
		`{"rollout_percent":10,"users":["a","b"]}`:                                             "listed users are on whatever the percentage is: 2",
		`{"rollout_percent":10,"schedule":{"from":"2031-01-01T00:00:00Z"}}`:                    "off for everybody until 2031-01-01T00:00:00Z",
		`{"rollout_percent":10,"schedule":{"until":"2030-01-01T00:00:00Z"}}`:                   "off for everybody since 2030-01-01T00:00:00Z",
		`{"enabled":false,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":12.5}]}}`: "12.5 % now",
		`{"rollout_percent":10,"prerequisites":[{"flag":"g","variant":"on"}]}`:                 "it is off where the flag g does not give on",
		strings.Replace(fmt.Sprintf(split, ``, `[["on",1]]`), `t":"off"`, `t":"on"`, 1):        `without a bucket key gets the default variant "on"`,
		`{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}`:         "",
		strings.Replace(fmt.Sprintf(split, ``, `[["on",1]]`), `t":"off"`, `t":"off"`, 1):       "",
	} {
		got := strings.Join(define(t, text).Caveats(now), "; ")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q; want %q", text, got, want)
		}
	}
}

// FuzzRollout: of whatever definition, a rollout is refused with a reason, or leaves one that is read back as it was
// written, compiles, and has the percentage.
func FuzzRollout(f *testing.F) {
	for _, text := range rolledOut {
		f.Add([]byte(text), 40.0)
	}
	f.Add([]byte(`{"state":"ENABLED","variants":{"a":true,"b":false},"targeting":{"fractional":[{"a":1,"b":2},["a",-1],["b"]]}}`), 12.5)
	f.Fuzz(func(t *testing.T, text []byte, percent float64) {
		var d flag.Definition
		if d.UnmarshalJSON(text) != nil {
			return
		}
		document := flag.Document{Flags: map[string]flag.Definition{"f": d}}
		if document.Validate() != nil {
			return
		}
		next, err := d.WithRollout(percent)
		var invalid *flag.Invalid
		if errors.As(err, &invalid) && invalid.Problems[0].Message != "" {
			return
		}
		written, _ := json.Marshal(next)
		again := define(t, string(written))
		if err != nil || !again.Equal(next) {
			t.Fatalf("%s, %v: %v, %s", text, percent, err, written)
		}
		document.Flags["f"] = again
		if err := document.Validate(); err != nil {
			t.Fatalf("%s became %s: %v", text, written, err)
		}
	})
}
