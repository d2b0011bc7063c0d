package board_test

import (
	"errors"
	"testing"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// FuzzChange: whatever is put or patched is refused for a stated reason, or leaves a document that compiles, and says
// the same when it is put once more.
func FuzzChange(f *testing.F) {
	for _, seed := range []string{short, banner, `{"rollout_percent":3,"users":["a"]}`, `{"variants":{"on":1e400}}`, `{"metadata":{"tags":"\ud800"}}`,
		`{"archived":null}`, `[]`, `{"a":{"b":{"c":null}}}`, `{"targeting":{"fractional":[["red",1],["blue",1]]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _ := step(t, board.Empty(), put("banner", banner, board.Match{}))
		for name, decide := range map[string]func(d *board.Draft) error{
			"put":   func(d *board.Draft) error { return d.Put("banner", text, board.Is(1)) },
			"patch": func(d *board.Draft) error { return d.Patch("banner", text, board.Is(1)) },
		} {
			d := s.Draft(origin("eve"))
			err := decide(d)
			var c *board.Commit
			if err == nil {
				c, err = d.Commit()
			}
			var invalid *flag.Invalid
			switch {
			case err != nil && !errors.As(err, &invalid) && deploy.KindOf(err) == deploy.Internal:
				t.Fatalf("%s %q: %v", name, text, err)
			case err != nil || c == nil:
				continue
			}
			if _, err := flag.Compile(c.Next.JSON()); err != nil {
				t.Fatalf("%s %q left %s: %v", name, text, c.Next.JSON(), err)
			}
			d = c.Next.Draft(origin("eve"))
			if err := d.Put("banner", c.Next.Flags["banner"], board.Is(2)); err != nil {
				t.Fatalf("%s %q: %v", name, text, err)
			}
			if same, err := d.Commit(); same != nil || err != nil {
				t.Fatalf("%s %q changes once more: %+v, %v", name, text, same.Versions, err)
			}
		}
	})
}
