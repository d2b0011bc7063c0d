package flag

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Check reads and compiles a stored document as strictly as an import, and returns all that is wrong with it. What is
// wrong with one flag hides nothing of another, not even JSON that can't be read.
func Check(document []byte) []Problem {
	s, r := sourceOf(document, readOptions{limit: MaxSnapshot, all: true})
	found := r.problems.list
	if s.broken != "" {
		s, found = readApart(document)
	}

	if quick := (compiler{source: s}); quick.finds() == 0 { // without an account of places
		return found
	}
	c := compiler{source: s, places: true, problems: problems{all: true}}
	c.run()
	return append(found, c.problems.list...)
}

// finds compiles, and returns how many problems that shows.
func (c *compiler) finds() int {
	c.run()
	return len(c.problems.list)
}

// readApart reads a document that can't be read as one, a flag and a segment at a time. A flag that can't be read is broken;
// the others are as they would be without it.
func readApart(document []byte) (*source, []Problem) {
	var raw struct {
		Flags      map[string]json.RawMessage `json:"flags"`
		Evaluators map[string]json.RawMessage `json:"$evaluators"`
		Metadata   json.RawMessage            `json:"metadata"`
	}
	if len(document) > MaxSnapshot {
		return new(source), []Problem{{Message: "more than " + strconv.Itoa(MaxSnapshot) + " bytes"}}
	}
	if err := json.Unmarshal(document, &raw); err != nil {
		return new(source), []Problem{{Message: err.Error()}}
	}

	a := apart{source: &source{slab: make([]reading, 0, len(raw.Flags))}}
	for _, key := range slices.Sorted(maps.Keys(raw.Flags)) {
		a.flag(key, raw.Flags[key])
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Evaluators)) {
		a.segment(name, raw.Evaluators[name])
	}
	if len(raw.Metadata) > 0 {
		a.metadata(raw.Metadata)
	}
	return a.source, a.problems
}

// apart collects what is read of a document piece by piece.
type apart struct {
	source   *source
	problems []Problem
}

func (a *apart) flag(key string, text []byte) {
	f := a.source.add(key)
	err := a.read(text, func(r *reader) { r.oneFlag(f, map[string]bool{}, false) }, "flags", key)
	if err != nil {
		*f = reading{key: key, state: f.state, simple: f.simple, broken: err.message}
	}
}

func (a *apart) segment(name string, text []byte) {
	var rule Value
	if err := a.read(text, func(r *reader) { rule = r.value() }, "$evaluators", name); err != nil {
		return
	}
	a.source.evaluators = append(a.source.evaluators, Attribute{name, rule})
	a.source.texts = append(a.source.texts, string(text))
}

func (a *apart) metadata(text []byte) {
	err := a.read(text, func(r *reader) {
		a.source.metadata = r.metadata()
		r.checkSetMetadata(a.source.metadata)
	}, "metadata")
	if err != nil {
		a.source.metadata = nil
	}
}

// read reads one piece, whose place in the document is named. It returns why the piece can't be read as JSON.
func (a *apart) read(text []byte, read func(r *reader), place ...string) *syntaxError {
	r := readOptions{all: true}.reader(string(text), nil)
	for _, name := range place {
		r.where = r.where.member(name)
	}
	read(r)
	r.end()

	if r.err != nil {
		r.problems.add(r.err.at, r.err.message)
	}
	a.problems = append(a.problems, r.problems.list...)
	return r.err
}
