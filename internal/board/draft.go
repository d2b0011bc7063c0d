package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Origin is who changes something, when, from where and why.
type Origin struct {
	Time       time.Time `json:"time"`
	By         string    `json:"by"` // an IAM ARN; "slipway" for the pipeline
	SourceIP   string    `json:"source_ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	Why        string    `json:"why,omitempty"`
	Deployment string    `json:"deployment,omitempty"` // on whose behalf
}

// Version is one version of a flag with its audit entry.
type Version struct {
	Key        string          `json:"key"`
	Version    int64           `json:"version"`
	Revision   int64           `json:"revision"` // the environment's, that it came with
	Action     Action          `json:"action"`
	Definition json.RawMessage `json:"definition,omitempty"` // none of a deletion
	Difference []Difference    `json:"difference"`           // to the version before
	Origin
}

// Action is what was done to a flag.
type Action string

const (
	Create  Action = "create"
	Replace Action = "replace"
	Patch   Action = "patch"
	Enable  Action = "enable"
	Disable Action = "disable"
	Rollout Action = "rollout"
	Restore Action = "restore"
	Archive Action = "archive"
	Import  Action = "import"
	Copy    Action = "copy"
	Delete  Action = "delete"
)

// Draft is a change in the making, on top of a state that it leaves alone.
type Draft struct {
	Origin Origin
	Notes  []string // what a writer should know beside what was asked for

	// HashVersion is the environment's setting: v2 or v3, for flags that begin to split users. Where it is "", v2 counts, and the
	// environment's first split is noted.
	HashVersion string
	splitNoted  bool

	base   *State
	next   *State
	action map[string]Action // of what is touched
	about  []Difference      // of what no flag owns: $evaluators and metadata
}

// Draft begins a change.
func (s *State) Draft(o Origin) *Draft {
	next := &State{Revision: s.Revision + 1, Index: maps.Clone(s.Index),
		Document: Document{Flags: maps.Clone(s.Flags), Evaluators: s.Evaluators, Metadata: s.Metadata}}
	return &Draft{Origin: o, base: s, next: next, action: map[string]Action{}}
}

// State is the state as the draft would leave it.
func (d *Draft) State() *State { return d.next }

// version is the stored version of a flag; 0 where there is none.
func (d *Draft) version(key string) int64 {
	if _, ok := d.base.Flags[key]; !ok {
		return 0
	}
	return d.base.Index[key].Version
}

// Put writes a flag's whole definition. The hash version that a flag has stays, so that nobody is assigned anew.
func (d *Draft) Put(key string, text []byte, m Match) error {
	return d.put(Replace, key, text, m)
}

func (d *Draft) put(a Action, key string, text []byte, m Match) error {
	if !flag.ValidKey(key) {
		return deploy.FieldErrorf("key", "%q is not a flag's; want 1 to 128 letters, digits, dots, hyphens and _", deploy.Cut(key, 140))
	}
	if err := m.check(d.version(key)); err != nil {
		return err
	}
	if len(text) > MaxDefinition {
		return deploy.Errorf(deploy.TooLarge, "", "the definition has %d bytes; want at most %d", len(text), MaxDefinition)
	}
	parsed, err := parse(text)
	if err != nil {
		return err
	}
	return d.set(a, key, parsed)
}

// Patch changes a definition by a JSON merge patch (RFC 7396).
func (d *Draft) Patch(key string, patch []byte, m Match) error {
	if err := d.known(key, m); err != nil {
		return err
	}
	merged, err := merge(d.base.Flags[key], patch)
	if err != nil {
		return err
	}
	return d.put(Patch, key, merged, m)
}

func (d *Draft) known(key string, m Match) error {
	if d.version(key) == 0 {
		return missing(key)
	}
	return m.check(d.version(key))
}

// Edit changes a definition by a function of the engine's. The error of a stored definition that is broken says what is
// wrong with it and how to mend it.
func (d *Draft) Edit(a Action, key string, m Match, edit func(flag.Definition) (flag.Definition, error)) error {
	if err := d.known(key, m); err != nil {
		return err
	}
	parsed, err := parse(d.base.Flags[key])
	if err != nil {
		return broken(key, err)
	}
	if parsed, err = edit(parsed); err != nil {
		return err
	}
	return d.set(a, key, parsed)
}

// broken is the error of a change that needs a definition which can't be read. It hides the *flag.Invalid: nothing is
// wrong with what the writer sent.
func broken(key string, err error) error {
	return deploy.Errorf(deploy.Conflict, "", "the stored definition of %s is broken: %s; replace it (slipway flag set %s -f FILE), "+
		"or bring an earlier version back (slipway flag restore %s VERSION); slipway flag disable %s works as it is",
		key, strings.ReplaceAll(err.Error(), "\n", "; "), key, key, key)
}

// Enable switches a flag on. In the short form it is on for all users then, and a note names the percentage that it had.
func (d *Draft) Enable(key string, m Match) error {
	return d.switchOn(Enable, key, m, func(def flag.Definition) (flag.Definition, error) {
		after := def.WithEnabled(true)
		if s := def.Simple; s != nil && after.Simple.Enabled && !s.Enabled && s.RolloutPercent > 0 && s.RolloutPercent < 100 {
			percent, note := flag.PercentText(s.RolloutPercent), ""
			if len(after.Caveats(d.Origin.Time)) == 0 {
				note = key + " is on for everybody now; "
			}
			d.Notes = append(d.Notes, fmt.Sprintf("%sits rollout was %s %%: slipway flag rollout %s %s sets it again", note, percent, key, percent))
		}
		return after, nil
	})
}

// RollOut switches a flag on for a percentage of the users. A ramp ends by it.
func (d *Draft) RollOut(key string, percent float64, m Match) error {
	return d.switchOn(Rollout, key, m, func(def flag.Definition) (flag.Definition, error) {
		after, err := def.WithRollout(percent)
		var invalid *flag.Invalid
		if errors.As(err, &invalid) {
			return def, refusedPercent(key, invalid.Problems[0])
		}
		if had := def.Schedule != nil && len(def.Schedule.Ramp) > 0; had && err == nil {
			d.Notes = append(d.Notes, "its ramp has ended: the percentage stays as it is from now on")
		}
		return after, err
	})
}

// refusedPercent says whether the percentage is wrong, or the definition that is to take it.
func refusedPercent(key string, p flag.Problem) error {
	if p.Path == "/percent" {
		return deploy.FieldErrorf("percent", "%s", p.Message)
	}
	return deploy.Errorf(deploy.Conflict, "", "%s takes no percentage: %s: %s", key, p.Path, p.Message)
}

// switchOn makes an edit after which the flag answers users, and notes what stands in the way of that.
func (d *Draft) switchOn(a Action, key string, m Match, edit func(flag.Definition) (flag.Definition, error)) error {
	return d.Edit(a, key, m, func(def flag.Definition) (flag.Definition, error) {
		if def.Archived {
			return def, deploy.Errorf(deploy.Conflict, "", "%s is archived and answers nobody; "+
				"take it out of the archive first (slipway flag archive %s --undo)", key, key)
		}
		after, err := edit(def)
		if err == nil {
			d.Notes = append(d.Notes, after.Caveats(d.Origin.Time)...)
		}
		return after, err
	})
}

// Disable switches a flag off, whatever is stored of it. One that is broken is replaced by one that is off; its text is
// kept as the version before.
func (d *Draft) Disable(key string, m Match) error {
	if err := d.known(key, m); err != nil {
		return err
	}
	return d.disable(key)
}

func (d *Draft) disable(key string) error {
	def, isWhole := flag.SwitchedOff(d.base.Flags[key])
	if !isWhole {
		d.Notes = append(d.Notes, fmt.Sprintf("the stored definition of %s was broken, and is replaced by one that is off; "+
			"version %d has it", key, d.version(key)))
	}
	return d.set(Disable, key, def)
}

// Restore writes the definition of an earlier version anew. A deleted flag comes back by it.
func (d *Draft) Restore(v *Version, m Match) error {
	if v.Definition == nil {
		return deploy.FieldErrorf("version", "%d of %s is its deletion; want one with a definition", v.Version, v.Key)
	}
	return d.put(Restore, v.Key, v.Definition, m)
}

// Delete takes away a flag that is archived already. Its versions stay.
func (d *Draft) Delete(key string, m Match) error {
	if err := d.known(key, m); err != nil {
		return err
	}
	if parsed, err := parse(d.base.Flags[key]); err == nil && !parsed.Archived {
		return deploy.Errorf(deploy.Conflict, "", "%s is not archived; archive it first, and see that nobody misses it", key)
	}
	if needed := d.next.Dependants(key, true); len(needed) > 0 {
		return needy(key, needed, "deleted")
	}
	delete(d.next.Flags, key)
	d.action[key] = Delete
	return nil
}

func needy(key string, by []string, what string) error {
	return deploy.Errorf(deploy.Conflict, "", "%s is a prerequisite of %s and can't be %s before", key, some(by), what)
}

// some lists names as far as a sentence holds them.
func some(names []string) string { return deploy.Cut(strings.Join(names, ", "), 400) }

// set puts a definition that was read into the draft. One that says what is there already is no change.
func (d *Draft) set(a Action, key string, def flag.Definition) error {
	before, had := d.base.Flags[key]
	d.keepHash(&def, before)
	text := encode(def)
	if had && string(text) == string(before) {
		return nil
	}
	was, err := parse(before)
	if had && err == nil && def.Archived && !was.Archived {
		if needed := d.next.Dependants(key, false); len(needed) > 0 {
			return needy(key, needed, "archived")
		}
		a = Archive
	}
	if !had && a == Replace {
		a = Create
	}
	d.next.Flags[key], d.action[key] = text, a
	return nil
}

// keepHash writes down which hash a flag's buckets are made with when it begins to split users: the environment's setting, else v2. A
// flag that split users before keeps its hash, or they would change buckets. A short form without a hash version has the second.
func (d *Draft) keepHash(def *flag.Definition, before []byte) {
	if def.HashVersion != "" || !splits(*def) {
		return
	}
	if def.Simple == nil {
		def.HashVersion = "v2"
	}

	was, err := parse(before)
	splitBefore := err == nil && (was.HashVersion != "" || was.Simple != nil && splits(was))
	switch {
	case splitBefore && was.HashVersion != "":
		def.HashVersion = was.HashVersion
	case splitBefore: // the short form, by the second version
	case d.HashVersion == "v3":
		def.HashVersion = "v3"
	case d.HashVersion == "" && !d.splitNoted && !d.splitBefore():
		d.splitNoted = true
		d.Notes = append(d.Notes, "it is the environment's first flag that splits users. It does so by hash version v2, as in-process clients in Go and JavaScript; "+
			"for those in Python and Rust set hash_version: v3 in the environment's settings (app.yaml) before you create such flags. OFREP clients need neither")
	}
}

// splits reports whether a definition puts users into buckets by a hash version, or may do so by a segment. A ring has a hash of its own.
func splits(def flag.Definition) bool {
	hasRamp := def.Schedule != nil && len(def.Schedule.Ramp) > 0
	if s := def.Simple; s != nil {
		return s.Bucketing != "ring" && (hasRamp || s.RolloutPercent > 0 && s.RolloutPercent < 100)
	}
	text := string(def.Targeting)
	return hasRamp || strings.Contains(text, `"fractional"`) || strings.Contains(text, `"$ref"`)
}

// splitBefore reports whether a flag of the environment splits users already.
func (d *Draft) splitBefore() bool {
	for _, text := range d.base.Flags {
		if def, err := parse(text); err == nil && splits(def) {
			return true
		}
	}
	return false
}
