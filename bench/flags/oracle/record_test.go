package oracle_test

import (
	"encoding/json"
	stdflag "flag"
	"os"
	"testing"

	"pgregory.net/rapid"
)

var record = stdflag.String("record", "", "write flagd's answers to this file (internal/flag/testdata/flagd.json)")

// recorded is a case that internal/flag's own tests hold the engine to, where flagd isn't at hand.
type recorded struct {
	Document json.RawMessage `json:"document"`
	Context  map[string]any  `json:"context"`
	Variant  string          `json:"variant,omitempty"`
	Reason   string          `json:"reason"`
	Code     string          `json:"code,omitempty"`
}

// TestRecord draws cases, and keeps as many of each kind of answer.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("skipped: no -record")
	}
	type drawn struct {
		document   []byte
		attributes map[string]any
	}
	draw := rapid.Custom(func(t *rapid.T) drawn { return drawn{ruled(t), attributes(t)} })
	seen, kinds := map[string]bool{}, map[string]int{}
	var cases []recorded
	for seed := 0; seed < 20_000 && len(cases) < 400; seed++ {
		d := draw.Example(seed)
		a := flagd(t, d.document, "flag", d.attributes)
		kind := a.Reason + a.Code + a.Variant
		if seen[string(d.document)] || kinds[kind] >= 60 || len(d.document) > 700 {
			continue
		}
		seen[string(d.document)] = true
		kinds[kind]++
		cases = append(cases, recorded{d.document, d.attributes, a.Variant, a.Reason, a.Code})
	}
	text := []byte("[\n")
	for i, c := range cases {
		line, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			text = append(text, ",\n"...)
		}
		text = append(text, line...)
	}
	if err := os.WriteFile(*record, append(text, "\n]\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log(kinds)
}
