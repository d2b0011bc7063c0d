// Package board is what an environment's flags are and how they may change: each change is decided here, on a whole
// state, and gives the next one with the versions and the audit entry that belong to it.
package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Bounds on an environment.
const (
	MaxFlags      = 10_000    // that are there, archived ones too
	MaxNames      = 20_000    // that are there or were: a deleted flag's version goes on when it comes back
	MaxDefinition = 128 << 10 // bytes of one definition's JSON
	MaxKeys       = 100       // evaluation keys, revoked ones too
)

// State is an environment's flags at one revision. A revision is one change: of a flag, or of all of them.
type State struct {
	Revision int64 // 0 before the first change
	Document
	Index map[string]Entry // of each flag in the document, and of each that was deleted
}

// Document is what readers evaluate. Definitions stay as they were written, so that one which a newer engine refuses
// is in nobody's way but its own.
type Document struct {
	Flags      map[string]json.RawMessage `json:"flags"`
	Evaluators map[string]json.RawMessage `json:"$evaluators,omitempty"`
	Metadata   Metadata                   `json:"metadata,omitempty"`
}

// Metadata are scalars about the document. Numbers keep all their digits.
type Metadata map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (m *Metadata) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode((*map[string]any)(m))
}

// Entry is what is known of a flag beside its definition.
type Entry struct {
	Version    int64     `json:"version"` // from 1, without a gap, over deletion and return
	Deleted    bool      `json:"deleted,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
	UpdatedAt  time.Time `json:"updated_at"`
	UpdatedBy  string    `json:"updated_by"`
	Deployment string    `json:"deployment,omitempty"` // that created it
}

// Flag is a flag as people see it.
type Flag struct {
	Key      string   `json:"key"`
	Enabled  bool     `json:"enabled"`
	Archived bool     `json:"archived"`
	Tags     []string `json:"tags"`
	Broken   string   `json:"broken,omitempty"` // what is wrong with the stored definition, where it can't be read
	Notes    []string `json:"notes,omitempty"`  // of a change: what to know beside what was asked for
	Entry
	Definition json.RawMessage `json:"definition,omitempty"` // left out of lists
	Usage      *Usage          `json:"usage,omitempty"`
}

// Empty is the state of an environment that nobody wrote to.
func Empty() *State {
	return &State{Document: Document{Flags: map[string]json.RawMessage{}}, Index: map[string]Entry{}}
}

// Flag shows one. NotFound where it isn't there, or was deleted.
func (s *State) Flag(key string) (*Flag, error) {
	text, ok := s.Flags[key]
	if !ok {
		return nil, missing(key)
	}
	f := &Flag{Key: key, Tags: []string{}, Entry: s.Index[key], Definition: text}
	d, err := parse(text)
	if err != nil {
		f.Broken = strings.ReplaceAll(err.Error(), "\n", "; ")
		return f, nil
	}
	f.Enabled, f.Archived, f.Tags = d.Enabled(), d.Archived, tags(d)
	return f, nil
}

func missing(key string) error {
	return &deploy.Error{Kind: deploy.NotFound, Field: "key", Err: fmt.Errorf("there is no flag %q", deploy.Cut(key, 128))}
}

// Keys lists the flags in order, archived ones too.
func (d *Document) Keys() []string { return slices.Sorted(maps.Keys(d.Flags)) }

// Dependants lists the flags that need key for a prerequisite, in order; archived ones only where asked for.
func (s *State) Dependants(key string, archived bool) []string {
	var found []string
	for _, name := range s.Keys() {
		// Most flags have none: what can't name key isn't parsed.
		if name == key || !strings.Contains(string(s.Flags[name]), key) {
			continue
		}
		d, err := parse(s.Flags[name])
		if err != nil || d.Archived && !archived {
			continue
		}
		if slices.ContainsFunc(d.Prerequisites, func(p flag.Prerequisite) bool { return p.Flag == key }) {
			found = append(found, name)
		}
	}
	return found
}

// Broken lists the definitions that Parsed leaves out, in order.
func (d *Document) Broken() []flag.Problem {
	var list []flag.Problem
	for _, key := range slices.Sorted(maps.Keys(d.Flags)) {
		if _, err := parse(d.Flags[key]); err != nil {
			list = append(list, flag.Problem{Path: "/flags/" + key, Message: "left out, since its stored definition is broken: " +
				strings.ReplaceAll(err.Error(), "\n", "; ")})
		}
	}
	return list
}

// Parsed gives the document in the engine's types; definitions that it refuses are left out.
func (d *Document) Parsed() *flag.Document {
	out := &flag.Document{Flags: make(map[string]flag.Definition, len(d.Flags)), Evaluators: d.Evaluators, Metadata: d.Metadata}
	for key, text := range d.Flags {
		if parsed, err := parse(text); err == nil {
			out.Flags[key] = parsed
		}
	}
	return out
}

// JSON is the document as readers are given it.
func (d *Document) JSON() []byte { return encode(d) }

func parse(text []byte) (flag.Definition, error) {
	var d flag.Definition
	err := d.UnmarshalJSON(text)
	return d, err
}

// encode writes JSON with ordered keys and nothing escaped that needn't be.
func encode(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // of JSON that was read as such
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// tags are words in the metadata's "tags", with commas between: flagd's metadata holds no lists.
func tags(d flag.Definition) []string {
	text, _ := d.Metadata["tags"].(string)
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	if words == nil {
		return []string{}
	}
	return words
}
