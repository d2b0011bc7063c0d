package flag

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Definition is one stored flag: flagd's members, our extensions, or the short form.
type Definition struct {
	State          string // ENABLED or DISABLED; a short form may leave it out
	Variants       map[string]json.RawMessage
	DefaultVariant *string
	Targeting      json.RawMessage // nil where there is none
	Metadata       map[string]any  // scalars; a number beyond 2^53 is a json.Number
	Description    string          // for people

	Prerequisites []Prerequisite // all must hold, or the flag is as if it were disabled
	Schedule      *Schedule
	BucketBy      string // the attribute to bucket by in the targeting key's place
	HashVersion   string // "" and "v2" are flagd's second, "v3" its third; stored, so that an upgrade moves nobody
	Archived      bool   // evaluates as if it weren't there

	Simple *Simple // the short form; variants, defaultVariant and targeting are empty then
}

// Simple is the short form of a boolean flag with the variants on and off. Enabled wins; else a listed user is on, and
// of the others RolloutPercent; without a user, off.
type Simple struct {
	Enabled        bool     `json:"enabled"`
	RolloutPercent float64  `json:"rollout_percent"` // 0 to 100, in steps of 0.001
	Users          []string `json:"users"`
	Bucketing      string   `json:"bucketing,omitempty"` // "" salts with the flag's key; "ring" is MD5(user) mod 100
}

// Prerequisite is another flag, and the variant that it must give.
type Prerequisite struct {
	Flag    string `json:"flag"`
	Variant string `json:"variant"`
}

// Schedule says when a flag is open at all; a zero time is no bound. A ramp opens it for a growing share of users.
type Schedule struct {
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	Ramp  []Step    `json:"ramp,omitempty"`
}

// Step is a ramp's percentage from a moment on, until the next; before the first it is 0.
type Step struct {
	At      time.Time `json:"at"`
	Percent float64   `json:"percent"` // 0 to 100, in steps of 0.001
}

// UnmarshalJSON reads a definition strictly: names that don't exist or come twice are refused. Its error is an *Invalid,
// with paths below the definition. What other flags and the segments decide, Document.Validate checks.
func (d *Definition) UnmarshalJSON(text []byte) error {
	if len(text) > MaxDocument {
		return &Invalid{[]Problem{{Message: strconv.Itoa(len(text)) + " bytes; want at most " + strconv.Itoa(MaxDocument)}}}
	}
	r := reader{parser: parser{text: string(text), strict: true}}
	var f reading
	r.flag(&f, false)
	r.end()
	if r.err != nil {
		r.problems.add(r.err.at, r.err.message)
	}
	if err := r.problems.err(); err != nil {
		return err
	}
	*d = f.definition()
	return nil
}

func (f *reading) definition() Definition {
	d := Definition{
		State: f.state, DefaultVariant: f.defaultVariant, Metadata: decodedMembers(f.metadata), Description: f.description,
		Prerequisites: f.prerequisites, Schedule: f.schedule, BucketBy: f.bucketBy, HashVersion: f.hashVersion, Archived: f.archived, Simple: f.simple,
	}
	if f.targetingText != "" {
		d.Targeting = compact(f.targetingText)
	}
	if f.simple == nil {
		d.Variants = make(map[string]json.RawMessage, len(f.variants))
		for _, v := range f.variants {
			d.Variants[v.name] = compact(v.text)
		}
	} else {
		d.DefaultVariant = nil
	}
	return d
}

func compact(text string) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return json.RawMessage(text)
	}
	return b.Bytes()
}

// mustJSON is for what always has a JSON: strings, scalars, our own types.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// MarshalJSON writes the members in one order, and leaves out what is empty.
func (d Definition) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	member := func(name string, value []byte) { out = appendMember(out, len(out) == 1, name, value) }
	if d.State != "" {
		member("state", mustJSON(d.State))
	}
	if s := d.Simple; s != nil {
		member("enabled", mustJSON(s.Enabled))
		member("rollout_percent", mustJSON(s.RolloutPercent))
		member("users", mustJSON(append([]string{}, s.Users...)))
		if s.Bucketing != "" {
			member("bucketing", mustJSON(s.Bucketing))
		}
	} else {
		variants := []byte{'{'}
		for i, name := range slices.Sorted(maps.Keys(d.Variants)) {
			variants = appendMember(variants, i == 0, name, d.Variants[name])
		}
		member("variants", append(variants, '}'))
	}
	if d.DefaultVariant != nil {
		member("defaultVariant", mustJSON(*d.DefaultVariant))
	}
	if len(d.Targeting) > 0 {
		member("targeting", d.Targeting)
	}
	d.marshalRest(member)
	return append(out, '}'), nil
}

func (d Definition) marshalRest(member func(name string, value []byte)) {
	if d.Description != "" {
		member("description", mustJSON(d.Description))
	}
	if len(d.Metadata) > 0 {
		member("metadata", mustJSON(d.Metadata))
	}
	if len(d.Prerequisites) > 0 {
		member("prerequisites", mustJSON(d.Prerequisites))
	}
	if d.Schedule != nil {
		member("schedule", mustJSON(d.Schedule))
	}
	if d.BucketBy != "" {
		member("bucketBy", mustJSON(d.BucketBy))
	}
	if d.HashVersion != "" {
		member("hashVersion", mustJSON(d.HashVersion))
	}
	if d.Archived {
		member("archived", []byte("true"))
	}
}

// Enabled says whether the flag can give anybody more than the code's default, or the short form's off.
func (d Definition) Enabled() bool {
	if d.State == "DISABLED" || d.Archived {
		return false
	}
	if s := d.Simple; s != nil {
		return s.Enabled || s.RolloutPercent > 0 || len(s.Users) > 0 || d.Schedule != nil && len(d.Schedule.Ramp) > 0
	}
	return true
}

// WithEnabled switches the flag. Off is off for everybody, in the short form, too, whose percentage and users are kept;
// on is, in the short form, on for everybody.
func (d Definition) WithEnabled(on bool) Definition {
	d.State = "DISABLED"
	if on {
		d.State = "ENABLED"
	}
	if d.Simple != nil {
		s := *d.Simple
		s.Enabled = on
		if on && d.Schedule != nil && len(d.Schedule.Ramp) > 0 {
			s.Enabled = false // the ramp says for whom
		}
		d.Simple = &s
	}
	return d
}

// VariantNames lists the variants, sorted.
func (d Definition) VariantNames() []string {
	if d.Simple != nil {
		return []string{"off", "on"}
	}
	return slices.Sorted(maps.Keys(d.Variants))
}

// Equal compares what is stored.
func (d Definition) Equal(o Definition) bool { return bytes.Equal(mustJSON(d), mustJSON(o)) }
