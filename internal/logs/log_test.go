package logs_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// answers gives one body after the other, the last again and again.
func answers(bodies ...string) *service {
	return &service{fault: func(call int, _ string) (int, string) {
		body := bodies[min(call, len(bodies))-1]
		if strings.Contains(body, "__type") {
			return 400, body
		}
		return 200, body
	}}
}

func TestReadPassesOverEmptyPages(t *testing.T) {
	s := answers(`{"events":[],"nextForwardToken":"f/1"}`, `{"events":[],"nextForwardToken":"f/2"}`,
		`{"events":[{"timestamp":1793527200123,"message":"x"}],"nextForwardToken":"f/3"}`)
	lines, next, err := s.log().Read(t.Context(), "stream", "", 10)
	if err != nil || next != "f/3" || len(lines) != 1 || lines[0].Text != "x" || lines[0].Time.UnixMilli() != 1793527200123 {
		t.Errorf("got %v, %q, %v", lines, next, err)
	}
	s = answers(`{"events":[],"nextForwardToken":"f/9"}`)
	if lines, next, err := s.log().Read(t.Context(), "stream", "f/9", 10); err != nil || next != "f/9" || len(lines) != 0 || s.calls != 1 {
		t.Errorf("at the end: got %v, %q, %v after %d calls", lines, next, err, s.calls)
	}
}

func TestReadErrors(t *testing.T) {
	const noStream = `{"__type":"ResourceNotFoundException","message":"The specified log stream does not exist."}`
	const noGroup = `{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`
	const bad = `{"__type":"InvalidParameterException","message":"The specified nextToken is invalid."}`
	for name, c := range map[string]struct {
		body, cursor string
		limit        int
		kind         deploy.Kind
		field        string
	}{
		"no stream":           {noStream, "", 10, "", ""},
		"no stream, later":    {noStream, "f/1", 10, "", ""},
		"no group":            {noGroup, "", 10, deploy.Internal, ""},
		"refused cursor":      {bad, "f/1", 10, deploy.Invalid, "cursor"},
		"not about a cursor":  {bad, "", 10, deploy.Internal, ""},
		"backward cursor":     {"", "b/1", 10, deploy.Invalid, "cursor"},
		"nonsense for cursor": {"", "f/' OR 1", 10, deploy.Invalid, "cursor"},
		"long cursor":         {"", "f/" + strings.Repeat("1", 600), 10, deploy.Invalid, "cursor"},
		"limit under":         {"", "", -1, deploy.Invalid, "limit"},
		"limit over":          {"", "", 10_001, deploy.Invalid, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			s := answers(c.body)
			lines, next, err := s.log().Read(t.Context(), "stream", c.cursor, c.limit)
			if deploy.KindOf(err) != c.kind || deploy.FieldOf(err) != c.field || len(lines) != 0 {
				t.Errorf("got %v, %v (%s), want %s about %q", lines, err, deploy.KindOf(err), c.kind, c.field)
			}
			if c.kind == "" && next != c.cursor {
				t.Errorf("goes on at %q, want %q", next, c.cursor)
			}
			if c.body == "" && s.calls != 0 {
				t.Error("the service was asked")
			}
		})
	}
}

// FuzzCursor holds that a foreign cursor is refused by name or handed to the service as it is, and never makes anything else fail.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("f/31132629274945519779805322857203735586714454643391594505/s")
	f.Add("\x00f/1")
	f.Fuzz(func(t *testing.T, cursor string) {
		s := answers(`{"events":[],"nextForwardToken":"f/1"}`)
		_, _, err := s.log().Read(t.Context(), "stream", cursor, 1)
		if err != nil && (deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != "cursor" || s.calls != 0) {
			t.Errorf("%q: %v after %d calls", cursor, err, s.calls)
		}
		if err == nil && cursor != "" && !strings.HasPrefix(cursor, "f/") {
			t.Errorf("%q was taken", cursor)
		}
	})
}
