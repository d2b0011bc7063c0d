package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Import makes the environment what a document says. Flags that it doesn't have are archived; with keep they are left
// as they are, and so are $evaluators that it doesn't have. m is about the environment's revision.
func (d *Draft) Import(doc *flag.Document, keep bool, m Match) error {
	if err := m.checkRevision(d.base.Revision); err != nil {
		return err
	}
	if err := d.take(Import, doc); err != nil {
		return err
	}
	if keep {
		return nil
	}
	for _, key := range d.base.Keys() {
		if _, ok := doc.Flags[key]; ok {
			continue
		}
		def, err := parse(d.base.Flags[key])
		if err != nil {
			def, _ = flag.SwitchedOff(d.base.Flags[key])
		}
		if !def.Archived || err != nil {
			def.Archived = true
			d.next.Flags[key], d.action[key] = encode(def), Archive
		}
	}
	d.dropSegments(doc)
	return d.noneNeeded()
}

// dropSegments takes away the $evaluators that the document doesn't have, but for those that an archived flag names: it
// shall still be what it was when it comes back.
func (d *Draft) dropSegments(doc *flag.Document) {
	left := map[string]json.RawMessage{}
	for name, rule := range d.next.Evaluators {
		_, given := doc.Evaluators[name]
		if given || d.named(name, doc) {
			left[name] = rule
		}
	}
	if len(left) < len(d.next.Evaluators) {
		d.about = append(d.about, rooted("/$evaluators", encode(d.next.Evaluators), encode(left))...)
		d.next.Evaluators = left
	}
}

func (d *Draft) named(segment string, doc *flag.Document) bool {
	quoted := string(encode(segment))
	for key, text := range d.next.Flags {
		if _, ok := doc.Flags[key]; !ok && strings.Contains(string(text), quoted) {
			return true
		}
	}
	return false
}

// noneNeeded checks, once the whole document is in, that nothing needs what was archived with it.
func (d *Draft) noneNeeded() error {
	archived := map[string]bool{}
	for key, a := range d.action {
		archived[key] = a == Archive
	}
	for key, text := range d.next.Flags {
		def, err := parse(text)
		if err != nil || def.Archived {
			continue
		}
		for _, p := range def.Prerequisites {
			if archived[p.Flag] {
				return needy(p.Flag, []string{key}, "archived")
			}
		}
	}
	return nil
}

// Copy puts flags of another environment into this one: all that aren't archived, or those named, with the $evaluators
// that are there. Flags that are here alone stay. m is about this environment's revision.
func (d *Draft) Copy(from *Document, keys []string, m Match) error {
	if err := m.checkRevision(d.base.Revision); err != nil {
		return err
	}
	picked := &flag.Document{Flags: map[string]flag.Definition{}, Evaluators: from.Evaluators}
	for _, key := range from.Keys() {
		if len(keys) > 0 && !slices.Contains(keys, key) {
			continue
		}
		def, err := parse(from.Flags[key])
		switch {
		case err != nil && len(keys) > 0:
			return broken(key, err)
		case err != nil:
			d.Notes = append(d.Notes, key+" is not copied: its stored definition is broken")
		case len(keys) > 0 || !def.Archived:
			picked.Flags[key] = def
		}
	}
	for i, key := range keys {
		if _, ok := picked.Flags[key]; !ok {
			return &deploy.Error{Kind: deploy.NotFound, Field: fmt.Sprintf("keys[%d]", i), Err: fmt.Errorf("there is no flag %q to copy", deploy.Cut(key, 128))}
		}
	}
	return d.take(Copy, picked)
}

// take puts a document's flags, $evaluators and metadata into the draft.
func (d *Draft) take(a Action, doc *flag.Document) error {
	for key, def := range doc.Flags {
		if err := d.taken(a, key, def); err != nil {
			return err
		}
	}
	d.segments(doc.Evaluators)
	if doc.Metadata != nil {
		d.about = append(d.about, rooted("/metadata", encode(d.base.Metadata), encode(doc.Metadata))...)
		d.next.Metadata = doc.Metadata
	}
	return nil
}

func (d *Draft) taken(a Action, key string, def flag.Definition) error {
	before, had := d.base.Flags[key]
	if a != Copy { // which brings the hash of the environment that it copies from
		d.keepHash(&def, before)
	}
	text := encode(def)
	switch {
	case len(text) > MaxDefinition:
		return &flag.Invalid{Problems: []flag.Problem{{Path: "/flags/" + key, Message: fmt.Sprintf("%d bytes; want at most %d", len(text), MaxDefinition)}}}
	case had && string(text) == string(before):
		return nil
	}
	d.next.Flags[key], d.action[key] = text, a
	return nil
}

// segments takes over $evaluators by their names. Those that nobody names any more do no harm.
func (d *Draft) segments(given map[string]json.RawMessage) {
	if len(given) == 0 {
		return
	}
	all := map[string]json.RawMessage{}
	for name, rule := range d.base.Evaluators {
		all[name] = rule
	}
	for name, rule := range given {
		all[name] = rule
	}
	d.about = append(d.about, rooted("/$evaluators", encode(d.base.Evaluators), encode(all))...)
	d.next.Evaluators = all
}

func rooted(path string, before, after []byte) []Difference {
	if string(before) == "null" {
		before = []byte("{}")
	}
	all := difference(before, after)
	for i := range all {
		all[i].Path = path + all[i].Path
	}
	return all
}

// Within takes the part of a problem's path that the sender of one flag's definition didn't write.
func Within(key string, err error) error { return within("/flags/"+key, err) }

func within(prefix string, err error) error {
	var invalid *flag.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	out := &flag.Invalid{}
	for _, p := range invalid.Problems {
		if len(p.Path) >= len(prefix) && p.Path[:len(prefix)] == prefix && (len(p.Path) == len(prefix) || p.Path[len(prefix)] == '/') {
			p.Path = p.Path[len(prefix):]
		}
		out.Problems = append(out.Problems, p)
	}
	return out
}
