package board

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Commit is a change that is complete and checked: what to write, at once.
type Commit struct {
	Base, Next *State
	Versions   []Version // by their flags' keys
	Audit      Audit
}

// Audit is a revision's own entry.
type Audit struct {
	Revision   int64        `json:"revision"`
	Flags      int          `json:"flags"`                // how many were changed
	Keys       []string     `json:"keys"`                 // the first hundred
	Difference []Difference `json:"difference,omitempty"` // of $evaluators and metadata
	Origin
}

// Commit checks the whole and gives the change; nil where there is none. *flag.Invalid names what is wrong of that
// which the draft touched: what was wrong before doesn't keep others from working.
func (d *Draft) Commit() (*Commit, error) {
	if len(d.action) == 0 && len(d.about) == 0 {
		return nil, nil
	}
	if len(d.next.Flags) > max(MaxFlags, len(d.base.Flags)) { // more than before: what is there may be switched off
		return nil, deploy.Errorf(deploy.TooLarge, "", "that would be %d flags; an environment has at most %d", len(d.next.Flags), MaxFlags)
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	c := &Commit{Base: d.base, Next: d.next}
	for _, key := range slices.Sorted(maps.Keys(d.action)) {
		c.Versions = append(c.Versions, d.entry(key))
	}
	if len(d.next.Index) > max(MaxNames, len(d.base.Index)) {
		return nil, deploy.Errorf(deploy.TooLarge, "", "%d names were given to flags here by then; at most %d are, deleted ones too", len(d.next.Index), MaxNames)
	}
	c.Audit = Audit{Revision: d.next.Revision, Flags: len(c.Versions), Keys: []string{}, Difference: d.about, Origin: d.Origin}
	for _, v := range c.Versions[:min(100, len(c.Versions))] {
		c.Audit.Keys = append(c.Audit.Keys, v.Key)
	}
	return c, nil
}

// entry gives a touched flag its next version.
func (d *Draft) entry(key string) Version {
	was, known := d.base.Index[key]
	e := Entry{Version: was.Version + 1, CreatedAt: was.CreatedAt, CreatedBy: was.CreatedBy, Deployment: was.Deployment,
		UpdatedAt: d.Origin.Time, UpdatedBy: d.Origin.By}
	text, there := d.next.Flags[key]
	if !known || was.Deleted {
		e.CreatedAt, e.CreatedBy, e.Deployment = d.Origin.Time, d.Origin.By, d.Origin.Deployment
	}
	e.Deleted = !there
	d.next.Index[key] = e
	return Version{Key: key, Version: e.Version, Revision: d.next.Revision, Action: d.action[key], Definition: text,
		Difference: difference(d.base.Flags[key], text), Origin: d.Origin}
}

// check reads the document that the draft would leave as an import reads it, and compiles it. Every writer passes here,
// so that nothing is stored that could not be read, exported, imported and evaluated again. A problem that a flag had
// before does not keep other flags from being changed. A draft that only switches flags off is never held back.
func (d *Draft) check() error {
	if err := d.readBack(); err != nil {
		return err
	}
	if d.onlyDisables() {
		return nil
	}
	found := flag.Check(d.next.JSON())
	if len(found) == 0 {
		return nil
	}

	known := map[flag.Problem]bool{}
	for _, p := range flag.Check(d.base.JSON()) {
		known[p] = true
	}
	var ours []flag.Problem
	for _, p := range found {
		if len(ours) < maxProblems && (!known[p] || d.touches(p.Path)) {
			ours = append(ours, p)
		}
	}
	if len(ours) == 0 {
		return nil
	}
	return &flag.Invalid{Problems: ours}
}

// maxProblems is how many an answer names.
const maxProblems = 20

// readBack checks that each touched definition is read as what was written.
func (d *Draft) readBack() error {
	for key := range d.action {
		text, there := d.next.Flags[key]
		if !there {
			continue
		}
		if _, had := d.base.Flags[key]; !had && isDots(key) {
			return deploy.FieldErrorf("key", "%q stands for a folder in a URL's path; want another key", key)
		}
		def, err := parse(text)
		if err != nil {
			return rooting("/flags/"+key, err)
		}
		if again := encode(def); string(again) != string(text) {
			return deploy.Errorf(deploy.Internal, "flags", "%s is read back as %s, and was written as %s", key, again, text)
		}
	}
	return nil
}

// isDots reports whether clients and gateways take a key for a folder of the path. A flag that has such a key already may
// be changed and switched off.
func isDots(key string) bool { return key == "." || key == ".." }

func (d *Draft) onlyDisables() bool {
	for _, a := range d.action {
		if a != Disable {
			return false
		}
	}
	return len(d.about) == 0
}

// touches reports whether a problem's path is in what the draft changes.
func (d *Draft) touches(path string) bool {
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	if len(parts) < 2 {
		return false
	}
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[1])
	switch parts[0] {
	case "flags":
		_, touched := d.action[name]
		return touched
	case "$evaluators":
		return string(d.base.Evaluators[name]) != string(d.next.Evaluators[name])
	}
	return false
}

// rooting puts a path before those of an *flag.Invalid.
func rooting(path string, err error) error {
	var invalid *flag.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	out := &flag.Invalid{}
	for _, p := range invalid.Problems {
		out.Problems = append(out.Problems, flag.Problem{Path: path + p.Path, Message: p.Message})
	}
	return out
}
