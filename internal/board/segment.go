package board

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Segment is a rule that an environment's flags share: one of $evaluators. It has no versions of its own: the audit entry
// of the revision holds what was changed, by whom and why.
type Segment struct {
	Name  string          `json:"name"`
	Rule  json.RawMessage `json:"rule"`
	Flags []string        `json:"flags"` // that name it, in order, archived ones too
}

// Segment shows one. NotFound where it isn't there.
func (s *State) Segment(name string) (*Segment, error) {
	rule, ok := s.Evaluators[name]
	if !ok {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "segment", Err: fmt.Errorf("there is no segment %q", deploy.Cut(name, 128))}
	}
	return &Segment{Name: name, Rule: rule, Flags: s.naming(name)}, nil
}

// Segments lists all, by name.
func (s *State) Segments() []Segment {
	all := []Segment{}
	for _, name := range slices.Sorted(maps.Keys(s.Evaluators)) {
		all = append(all, Segment{Name: name, Rule: s.Evaluators[name], Flags: s.naming(name)})
	}
	return all
}

// naming lists the flags whose rules have {"$ref": name} in them.
func (s *State) naming(name string) []string {
	found, quoted := []string{}, string(encode(name))
	for _, key := range s.Keys() {
		// Most flags name none: what can't name this one isn't parsed.
		if text := string(s.Flags[key]); strings.Contains(text, `"$ref"`) && strings.Contains(text, quoted) {
			var definition any
			if json.Unmarshal(s.Flags[key], &definition) == nil && refersTo(definition, name) {
				found = append(found, key)
			}
		}
	}
	return found
}

func refersTo(v any, name string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return refersTo(item, name) })
	case map[string]any:
		for member, value := range v {
			if member == "$ref" && value == name || refersTo(value, name) {
				return true
			}
		}
	}
	return false
}

// PutSegment writes a segment's rule. m is about the environment's revision; a new segment needs nothing.
func (d *Draft) PutSegment(name string, rule []byte, m Match) error {
	_, there := d.base.Evaluators[name]
	if !there && (!flag.ValidKey(name) || isDots(name)) {
		return deploy.FieldErrorf("segment", "%q is no segment's name; want 1 to 128 letters, digits, dots, hyphens and _", deploy.Cut(name, 140))
	}
	if err := d.checkSegment(there, m); err != nil {
		return err
	}
	if !json.Valid(rule) { // it is written into a document to be checked there
		return deploy.Errorf(deploy.Invalid, "", "the rule is not JSON")
	}
	if len(rule) > MaxDefinition {
		return deploy.Errorf(deploy.TooLarge, "", "the rule has %d bytes; want at most %d", len(rule), MaxDefinition)
	}
	alone, err := flag.ParseDocument(slices.Concat([]byte(`{"flags":{},"$evaluators":{`), encode(name), []byte(":"), rule, []byte("}}")))
	if err != nil {
		return WithinSegment(name, err)
	}
	d.segments(alone.Evaluators)
	return nil
}

// DeleteSegment takes a segment away that no flag names, archived ones neither: such a flag shall still be what it was
// when it comes back.
func (d *Draft) DeleteSegment(name string, m Match) error {
	s, err := d.base.Segment(name)
	if err != nil {
		return err
	}
	if err := m.checkRevision(d.base.Revision); err != nil {
		return err
	}
	if len(s.Flags) > 0 {
		return deploy.Errorf(deploy.Conflict, "", "the segment %s is named by %s and can't be deleted before", name, some(s.Flags))
	}
	left := maps.Clone(d.base.Evaluators)
	delete(left, name)
	d.about = append(d.about, rooted("/$evaluators", encode(d.base.Evaluators), encode(left))...)
	d.next.Evaluators = left
	return nil
}

// checkSegment compares with the environment's revision, which is what a change of a segment must match. A new segment
// needs nothing, or the revision that the list of segments has as its ETag.
func (d *Draft) checkSegment(there bool, m Match) error {
	if there || m.Versions != nil {
		return m.checkRevision(d.base.Revision)
	}
	return m.check(0)
}

// WithinSegment takes the part of a problem's path that the sender of one segment's rule didn't write.
func WithinSegment(name string, err error) error { return within("/$evaluators/"+name, err) }
