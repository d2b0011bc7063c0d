package flag_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// brokenFlags are definitions that older versions stored, or that got past the checks otherwise.
var brokenFlags = map[string]struct{ text, off string }{
	"a fraction of a ring":  {`{"rollout_percent":12.5,"bucketing":"ring","users":["a"]}`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":["a"],"bucketing":"ring"}`},
	"a ramp and a share":    {`{"enabled":false,"rollout_percent":5,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":54}]}}`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":[]}`},
	"no such state":         {`{"state":"ON"}`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":[]}`},
	"no such default":       {`{"state":"ENABLED","variants":{"red":"#f00","blue":"#00f"},"defaultVariant":"green","metadata":{"tags":"web","n":9007199254740993,"x":[]},"description":"d"}`, `{"state":"DISABLED","variants":{"blue":"#00f","red":"#f00"},"description":"d","metadata":{"n":9007199254740993,"tags":"web"}}`},
	"variants of two types": {`{"state":"ENABLED","variants":{"red":"#f00","blue":1},"defaultVariant":"red"}`, `{"state":"DISABLED","variants":{"blue":false,"red":false},"defaultVariant":"red"}`},
	"both forms":            {`{"enabled":true,"variants":{"on":true},"archived":true}`, `{"state":"DISABLED","variants":{"on":true},"archived":true}`},
	"an unknown member":     {`{"enabled":true,"rollout":3}`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":[]}`},
	"a member twice":        {`{"state":"ENABLED","variants":{"on":true},"state":"ENABLED"}`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":[]}`},
	"a number":              {`7`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":[]}`},
	"too deep":              {`{"state":"ENABLED","variants":{"a":` + strings.Repeat(`{"a":`, 80) + `1` + strings.Repeat(`}`, 80) + `}}`, `{"state":"DISABLED","enabled":false,"rollout_percent":0,"users":[]}`},
}

// TestSwitchedOffWhateverIsStored: a flag that is broken is switched off, and what is left of it is a good definition.
func TestSwitchedOffWhateverIsStored(t *testing.T) {
	for name, row := range brokenFlags {
		off, isWhole := flag.SwitchedOff([]byte(row.text))
		text, _ := json.Marshal(off)
		if isWhole || string(text) != row.off {
			t.Errorf("%s: %s becomes\n%s, %t; want\n%s", name, row.text, text, isWhole, row.off)
		}
		if off.Archived {
			continue
		}
		if r := alone(t, off).Evaluate("f", &flag.Context{TargetingKey: "a"}); r.ErrorCode != "" || r.Reason != flag.Disabled || r.Value != nil && r.Value != false {
			t.Errorf("%s answers %+v", name, r)
		}
	}
	for text, want := range map[string]string{
		`{"rollout_percent":20,"users":["a"]}`:                              `{"state":"DISABLED","enabled":false,"rollout_percent":20,"users":["a"]}`,
		`{"state":"ENABLED","variants":{"a":1},"targeting":{"nonsense":1}}`: `{"state":"DISABLED","variants":{"a":1},"targeting":{"nonsense":1}}`,
	} {
		off, isWhole := flag.SwitchedOff([]byte(text))
		if got, _ := json.Marshal(off); !isWhole || string(got) != want {
			t.Errorf("%s becomes %s, %t; want %s", text, got, isWhole, want)
		}
	}
}

// TestDisabledWins: a flag whose state is DISABLED is off, whatever else is wrong with it.
func TestDisabledWins(t *testing.T) {
	for text, want := range map[string]any{
		`{"state":"DISABLED","rollout_percent":5,"schedule":{"ramp":[{"at":"2030-01-01T00:00:00Z","percent":54}]}}`: false,
		`{"state":"DISABLED","enabled":true,"prerequisites":[{"flag":"absent","variant":"on"}]}`:                    false,
		`{"state":"DISABLED","enabled":true,"prerequisites":[{"flag":"f","variant":"on"}]}`:                         false,
		`{"state":"DISABLED","enabled":true,"enabled":true}`:                                                        false,
		`{"state":"DISABLED","variants":{"a":1},"defaultVariant":"b"}`:                                              nil,
		`{"state":"DISABLED","variants":{"a":true},"defaultVariant":"a","targeting":{"nonsense":1}}`:                nil,
		`{"state":"DISABLED","variants":7}`:                                                                         nil,
	} {
		set, problems := flag.CompileLenient([]byte(`{"flags":{"f":` + text + `}}`))
		if r := set.Evaluate("f", nil); r.Reason != flag.Disabled || r.Value != want || r.ErrorCode != "" || len(problems) == 0 {
			t.Errorf("%s answers %+v, %v", text, r, problems)
		}
		if len(set.Explain("f", nil).Steps) == 0 {
			t.Errorf("%s is not explained", text)
		}
	}
}

// TestOneFlagSpoilsNoOther: what can't be read of one flag or segment costs neither the others nor their answers.
func TestOneFlagSpoilsNoOther(t *testing.T) {
	for name, row := range brokenFlags {
		text := `{"flags":{"bad":` + row.text + `,"good":{"state":"ENABLED","variants":{"on":true},"targeting":{"if":[{"$ref":"s"},"on"]},"defaultVariant":"on"}},
			"$evaluators":{"s":{"!":[0]},"t":{"!":0,"!":1}},"metadata":{"n":9007199254740993}}`
		set, problems := flag.CompileLenient([]byte(text))
		good := set.Evaluate("good", nil)
		if good.Value != true || good.Reason != flag.TargetingMatch || string(good.Metadata.JSON) != `{"n":9007199254740993}` {
			t.Errorf("%s: good answers %+v", name, good)
		}
		if r := set.Evaluate("bad", nil); r.ErrorCode != flag.ParseError && r.ErrorCode != "" && r.ErrorCode != flag.FlagNotFound {
			t.Errorf("%s: bad answers %+v", name, r)
		}
		found := flag.Check([]byte(text))
		ours, segment := false, false
		for _, p := range found {
			ours = ours || strings.HasPrefix(p.Path, "/flags/bad")
			segment = segment || strings.HasPrefix(p.Path, "/$evaluators/t")
			if strings.HasPrefix(p.Path, "/flags/good") {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if !ours || !segment || len(problems) < 2 {
			t.Errorf("%s: found %+v, %+v", name, found, problems)
		}
	}
}

// FuzzSwitchedOff: whatever JSON is stored, its flag is off afterwards, and stored as an import would take it.
func FuzzSwitchedOff(f *testing.F) {
	for _, row := range brokenFlags {
		f.Add([]byte(row.text))
	}
	for _, text := range rolledOut {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		off, isWhole := flag.SwitchedOff(text)
		if off.Enabled() || off.State != "DISABLED" {
			t.Fatalf("%q is on: %+v", text, off)
		}
		written, _ := json.Marshal(off)
		if again := define(t, string(written)); !again.Equal(off) {
			t.Fatalf("%q is written as %s", text, written)
		}
		document := flag.Document{Flags: map[string]flag.Definition{"f": off}}
		set, _ := flag.CompileLenient(document.JSON())
		if r := set.Evaluate("f", nil); !off.Archived && (r.Reason != flag.Disabled || r.ErrorCode != "") {
			t.Fatalf("%q answers %+v", text, r)
		}
		if err := document.Validate(); err != nil && !isWhole {
			t.Fatalf("%q became %s: %v", text, written, err)
		}
	})
}
