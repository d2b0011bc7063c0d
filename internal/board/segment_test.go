package board_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

func segment(name, rule string, m board.Match) func(d *board.Draft) error {
	return func(d *board.Draft) error { return d.PutSegment(name, []byte(rule), m) }
}

func TestSegment(t *testing.T) {
	s, _ := step(t, board.Empty(), segment("staff", `{"!":{"var":"a"}}`, board.Match{}))
	s, _ = step(t, s, put("cart", `{"state":"ENABLED","variants":{"on":true},"targeting":{"if":[{"$ref":"staff"},"on"]}}`, board.Match{}))
	s, c := step(t, s, segment("staff", `{"!!":{"var":"a"}}`, board.Is(2)))
	if len(c.Versions) != 0 || s.Index["cart"].Version != 1 {
		t.Errorf("a segment's change made versions %+v", c.Versions)
	}
	about := c.Audit.Difference
	if len(about) == 0 || !strings.HasPrefix(about[0].Path, "/$evaluators/staff") || c.Audit.By != "eve" {
		t.Errorf("the audit entry is %+v; want what was changed, and by whom", c.Audit)
	}
	if found := s.Segments(); len(found) != 1 || string(found[0].Rule) != `{"!!":{"var":"a"}}` || !slices.Equal(found[0].Flags, []string{"cart"}) {
		t.Errorf("%+v", found)
	}
	d := s.Draft(origin("ann"))
	if err := d.PutSegment("staff", []byte(`{"!!":{"var":"a"}}`), board.Match{Any: true}); err != nil {
		t.Error(err)
	}
	if c, err := d.Commit(); c != nil || err != nil {
		t.Errorf("the same again is a change: %+v, %v", c, err)
	}
}

// What only looks like a name in a flag doesn't hold a segment.
func TestSegmentNaming(t *testing.T) {
	s, _ := step(t, board.Empty(), segment("staff", `{"!":true}`, board.Match{}))
	s, _ = step(t, s, put("cart", `{"state":"ENABLED","variants":{"on":"staff"},"metadata":{"x":"$ref"}}`, board.Match{}))
	s, _ = step(t, s, func(d *board.Draft) error { return d.DeleteSegment("staff", board.Match{Any: true}) })
	if len(s.Segments()) != 0 {
		t.Errorf("%+v is left", s.Segments())
	}
}

func TestSegmentRefused(t *testing.T) {
	s, _ := step(t, board.Empty(), segment("staff", `{"!":true}`, board.Match{}))
	s, _ = step(t, s, put("cart", `{"archived":true,"state":"ENABLED","variants":{"on":true},"targeting":{"if":[{"$ref":"staff"},"on"]}}`, board.Match{}))
	var unmatched *board.Unmatched
	if err := refused(t, s, segment("staff", `{"!":false}`, board.Is(1))); !errors.As(err, &unmatched) || unmatched.Version != 2 {
		t.Errorf("an old revision: %v", err)
	}
	if err := refused(t, s, func(d *board.Draft) error { return d.DeleteSegment("staff", board.Match{Any: true}) }); deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("one that an archived flag names: %v", err)
	}
	for _, rule := range []string{`{}`, `[]`, `1`, `{"!":true,"!":true}`, `{"$ref":"staff"}`, `{"!":true},"other":{"!":1}`, `{"nonsense":1}`} {
		err := refused(t, s, segment("new", rule, board.Match{}))
		var invalid *flag.Invalid
		if !errors.As(err, &invalid) && deploy.KindOf(err) != deploy.Invalid {
			t.Errorf("%s: %v", rule, err)
		}
		if invalid != nil && strings.HasPrefix(invalid.Problems[0].Path, "/$evaluators") {
			t.Errorf("%s: the pointer %s is into a document that nobody sent", rule, invalid.Problems[0].Path)
		}
	}
}
