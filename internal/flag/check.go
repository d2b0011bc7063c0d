package flag

import (
	"encoding/json"
	"maps"
	"slices"
)

// Check reads and compiles a stored document as strictly as an import, and returns all that is wrong with it. What is
// wrong with one flag hides nothing of another, be it that its JSON can't be read.
func Check(document []byte) []Problem {
	s, r := sourceOf(document, readOptions{limit: MaxSnapshot, all: true})
	found := &r.problems
	if s.broken != "" {
		s, found = readApart(document)
	}
	c := compiler{source: s, places: true}
	c.problems.all = true
	c.run()
	return append(found.list, c.problems.list...)
}

// readApart reads a document that can't be read as one, a flag and a segment at a time. Those that can't be read are broken,
// and the others are as if they stood in a document without them.
func readApart(document []byte) (*source, *problems) {
	found := &problems{all: true}
	var raw struct {
		Flags      map[string]json.RawMessage `json:"flags"`
		Evaluators map[string]json.RawMessage `json:"$evaluators"`
		Metadata   json.RawMessage            `json:"metadata"`
	}
	s := new(source)
	if err := json.Unmarshal(document, &raw); err != nil {
		found.add(nil, err.Error())
		return s, found
	}
	each := func(text []byte, read func(r *reader), names ...string) *syntaxError {
		r := &reader{parser: parser{text: string(text), strict: true}, problems: problems{all: true}}
		for _, name := range names {
			r.where = r.where.member(name)
		}
		read(r)
		r.end()
		if r.err != nil {
			r.problems.add(r.err.at, r.err.message)
		}
		found.list = append(found.list, r.problems.list...)
		return r.err
	}
	s.slab = make([]reading, 0, len(raw.Flags))
	for _, key := range slices.Sorted(maps.Keys(raw.Flags)) {
		f := s.add(key)
		err := each(raw.Flags[key], func(r *reader) { r.oneFlag(f, map[string]bool{}, false) }, "flags", key)
		if err != nil {
			*f = reading{key: key, state: f.state, simple: f.simple, broken: err.message}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Evaluators)) {
		var rule Value
		err := each(raw.Evaluators[name], func(r *reader) { rule, _ = r.raw() }, "$evaluators", name)
		if err == nil {
			s.evaluators = append(s.evaluators, Attribute{name, rule})
			s.texts = append(s.texts, string(raw.Evaluators[name]))
		}
	}
	if len(raw.Metadata) > 0 {
		_ = each(raw.Metadata, func(r *reader) {
			s.metadata = r.metadata()
			r.checkSetMetadata(s.metadata)
		}, "metadata")
	}
	return s, found
}
