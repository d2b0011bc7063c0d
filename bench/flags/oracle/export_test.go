package oracle_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/internal/flag"
)

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
