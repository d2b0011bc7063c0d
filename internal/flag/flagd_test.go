package flag_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// TestFlagdAnswers holds the engine to answers that flagd core v0.16.1 gave; bench/flags/oracle records them, and draws new
// cases at each run.
func TestFlagdAnswers(t *testing.T) {
	text, err := os.ReadFile("testdata/flagd.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Document, Context     json.RawMessage
		Variant, Reason, Code string
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 300 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		set, _ := flag.CompileLenient(c.Document)
		ctx, err := flag.ParseContext(c.Context)
		if err != nil {
			t.Fatal(err)
		}
		r := set.Evaluate("flag", ctx)
		if r.Variant != c.Variant || string(r.Reason) != c.Reason || string(r.ErrorCode) != c.Code {
			t.Errorf("%s for %s: %+v; flagd says %q %s %s", c.Document, c.Context, r, c.Variant, c.Reason, c.Code)
		}
	}
}
