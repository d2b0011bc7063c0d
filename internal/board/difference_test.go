package board_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
)

// The cases of RFC 7396's appendix A that a definition can meet, and what the difference says of them.
func TestPatch(t *testing.T) {
	for _, each := range []struct{ patch, want, difference string }{
		{`{"defaultVariant":"blue"}`, `"defaultVariant":"blue"`, `[{"path":"/defaultVariant","before":"red","after":"blue"}]`},
		{`{"variants":{"green":"#0f0"}}`, `"green":"#0f0"`, `[{"path":"/variants/green","after":"#0f0"}]`},
		{`{"metadata":null}`, `"variants"`, `[{"path":"/metadata","before":{"tags":"web, checkout"}}]`},
		{`{"metadata":{"owner/team":"a~b"}}`, `"owner/team":"a~b"`, `[{"path":"/metadata/owner~1team","after":"a~b"}]`},
	} {
		s, _ := step(t, board.Empty(), put("banner", banner, board.Match{}))
		s, c := step(t, s, func(d *board.Draft) error { return d.Patch("banner", []byte(each.patch), board.Is(1)) })
		got, err := json.Marshal(c.Versions[0].Difference)
		if err != nil || string(got) != each.difference || !strings.Contains(string(s.Flags["banner"]), each.want) {
			t.Errorf("%s: %s\n%s, %v", each.patch, got, s.Flags["banner"], err)
		}
	}
}

func TestDifferenceIsBounded(t *testing.T) {
	variants := map[string]string{}
	for i := range 300 {
		variants["v"+strings.Repeat("x", i)] = strings.Repeat("y", 10)
	}
	text, _ := json.Marshal(map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": "v"})
	s, c := step(t, board.Empty(), put("big", string(text), board.Match{}))
	if d := c.Versions[0].Difference; len(d) != 1 || len(d[0].After) > 200 {
		t.Errorf("%d differences, the first of %d bytes", len(d), len(d[0].After))
	}
	for name := range variants {
		variants[name] = "z"
	}
	text, _ = json.Marshal(map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": "v"})
	_, c = step(t, s, put("big", string(text), board.Is(1)))
	if d := c.Versions[0].Difference; len(d) != 101 || d[100].Path != "…" {
		t.Errorf("%d differences", len(d))
	}
}

func TestUsage(t *testing.T) {
	day := func(n int) time.Time { return noon.AddDate(0, 0, -n) }
	old := board.Entry{CreatedAt: day(100)}
	for name, each := range map[string]struct {
		e    board.Entry
		seen []board.Seen
		want board.Staleness
	}{
		"never":            {old, nil, board.Never},
		"young":            {board.Entry{CreatedAt: day(3)}, nil, ""},
		"silent":           {old, []board.Seen{{"on", day(90), day(40)}, {"off", day(90), day(31)}}, board.Silent},
		"both":             {old, []board.Seen{{"on", day(90), day(0)}, {"off", day(90), day(1)}}, ""},
		"one side":         {old, []board.Seen{{"on", day(90), day(0)}, {"off", day(90), day(31)}}, board.OneSided},
		"one side, by now": {old, []board.Seen{{"on", day(10), day(0)}}, ""},
	} {
		if u := board.UsageOf(each.e, each.seen, noon, 30); u.Stale != each.want {
			t.Errorf("%s: %q", name, u.Stale)
		}
	}
	u := board.UsageOf(old, []board.Seen{{"on", day(90), day(4)}, {"off", day(90), day(9)}}, noon, 30)
	if !u.LastEvaluated.Equal(day(4)) {
		t.Error(u.LastEvaluated)
	}
}

func TestKey(t *testing.T) {
	text := board.KeyText([32]byte{1, 2, 3})
	if len(text) != 51 || !strings.HasPrefix(text, "slipway_AQID") {
		t.Error(text)
	}
	// printf slipway_ | sha256sum
	if got := board.HashKey("slipway_"); got != "aaed6f532c90ac86ac402e5f004933587e048cd17e286979f1d20e32db9d2ebc" {
		t.Error(got)
	}
	for id, want := range map[string]bool{"key-abcdefghijklmnop": true, "key-ABCDEFGHIJKLMNOP": false, "key-": false, "abcdefghijklmnop": false, "key-abcdefghijklmno1": false} {
		if board.ValidKeyID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}
