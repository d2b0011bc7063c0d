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
	if len(d.next.Flags) > MaxFlags {
		return nil, deploy.Errorf(deploy.TooLarge, "", "that would be %d flags; an environment has at most %d", len(d.next.Flags), MaxFlags)
	}
	if err := d.valid(); err != nil {
		return nil, err
	}
	c := &Commit{Base: d.base, Next: d.next}
	for _, key := range slices.Sorted(maps.Keys(d.action)) {
		c.Versions = append(c.Versions, d.entry(key))
	}
	if len(d.next.Index) > MaxNames {
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

// dormant tells whether a problem is about what an archived flag needs. It answers nobody until it is taken out of the
// archive, and is checked then; until then others may be archived too.
func (d *Draft) dormant(p flag.Problem) bool {
	rest, ok := strings.CutPrefix(p.Path, "/flags/")
	key, rest, _ := strings.Cut(rest, "/")
	if !ok || !strings.HasPrefix(rest, "prerequisites") {
		return false
	}
	def, err := parse(d.next.Flags[key])
	return err == nil && def.Archived
}

// valid checks the document that the draft would leave.
func (d *Draft) valid() error {
	var invalid, old *flag.Invalid
	if err := d.next.Parsed().Validate(); !errors.As(err, &invalid) {
		return err
	}
	known := map[flag.Problem]bool{}
	if errors.As(d.base.Parsed().Validate(), &old) {
		for _, p := range old.Problems {
			known[p] = true
		}
	}
	var ours []flag.Problem
	for _, p := range invalid.Problems {
		if !known[p] && !d.dormant(p) {
			ours = append(ours, p)
		}
	}
	if len(ours) == 0 {
		return d.around() // of many problems the engine names the first, and ours may not be among them
	}
	return &flag.Invalid{Problems: ours}
}

// around checks the touched flags among those that they need or that need them, where others are broken already.
func (d *Draft) around() error {
	whole, part := d.next.Parsed(), map[string]flag.Definition{}
	var add func(key string)
	add = func(key string) {
		def, ok := whole.Flags[key]
		if _, there := part[key]; there || !ok {
			return
		}
		part[key] = def
		for _, p := range def.Prerequisites {
			add(p.Flag)
		}
	}
	for key := range d.action {
		add(key)
		for _, needs := range d.next.Dependants(key, false) {
			add(needs)
		}
	}
	var invalid *flag.Invalid
	if err := (&flag.Document{Flags: part, Evaluators: whole.Evaluators, Metadata: whole.Metadata}).Validate(); !errors.As(err, &invalid) {
		return err
	}
	for _, p := range invalid.Problems {
		rest, _ := strings.CutPrefix(p.Path, "/flags/")
		key, _, _ := strings.Cut(rest, "/")
		if _, ours := d.action[key]; ours && !d.dormant(p) {
			return &flag.Invalid{Problems: []flag.Problem{p}}
		}
	}
	return nil
}
