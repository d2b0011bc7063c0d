package flag

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Bounds.
const (
	MaxDocument = 1 << 20  // bytes of a document that Compile and ParseDocument take
	MaxSnapshot = 64 << 20 // bytes of one that CompileLenient takes: of a whole environment
	MaxDepth    = 64       // levels of JSON
	MaxContext  = 64 << 10 // bytes of an evaluation context
)

// Document is an environment's flags, segments and metadata.
type Document struct {
	Flags      map[string]Definition
	Evaluators map[string]json.RawMessage // the segments: rules that flags name by {"$ref": …}
	Metadata   map[string]any             // scalars
}

// source is a document that was read.
type source struct {
	flags      []*reading
	slab       []reading // where they lie
	evaluators []Attribute
	texts      []string // of evaluators
	metadata   []Attribute
	broken     string // why there is nothing to read
}

// read reads a document. Its problems are complete only where the walk keeps account of places; see sourceOf.
func (r *reader) read() *source {
	s := new(source)
	if r.next() != '{' && r.err == nil {
		r.failSyntax("an object with \"flags\"")
	}
	hasFlags := false
	r.members(func(name string) {
		switch name {
		case "flags":
			hasFlags = true
			r.flags(s)
		case "$evaluators":
			r.evaluators(s)
		case "metadata":
			s.metadata = r.metadata()
			r.checkSetMetadata(s.metadata)
		case "$schema":
			r.value()
		default:
			r.value()
			r.add("no such member; want flags, $evaluators, metadata or $schema")
		}
	})
	r.end()
	if r.err != nil {
		r.problems.add(r.err.at, r.err.message)
		s.broken = r.err.Error()
	} else if !hasFlags {
		r.add("no flags; want {\"flags\": {…}}")
	}
	return s
}

func (r *reader) checkSetMetadata(members []Attribute) {
	for _, m := range members {
		if (m.Name == "flagSetId" || m.Name == "version") && m.Value.kind != kindString {
			r.problems.add(r.where.member(m.Name), "this is "+m.Value.kindName()+"; want a string")
		}
	}
}

func (r *reader) flags(s *source) {
	seen := map[string]bool{}
	switch r.next() {
	case '{':
		r.object(func(key string) {
			r.oneFlag(s.add(key), seen, false)
		})
	case '[':
		r.array(func(int) {
			r.oneFlag(s.add(""), seen, true)
		})
	default:
		r.add("this is " + r.value().kindName() + "; want an object of flags, or an array of flags with their keys")
	}
}

func (s *source) add(key string) *reading {
	s.slab = append(room(s.slab, 1), reading{key: key})
	f := &s.slab[len(s.slab)-1]
	s.flags = append(s.flags, f)
	return f
}

func (r *reader) oneFlag(f *reading, seen map[string]bool, inArray bool) {
	r.flag(f, inArray)
	switch {
	case r.err != nil:
		return
	case !ValidKey(f.key):
		r.add(strconv.Quote(f.key) + " is no flag's key; want 1 to 128 of A-Z a-z 0-9 . _ -")
	case seen[f.key]:
		r.fail(twice)
	}
	seen[f.key] = true
}

func (r *reader) evaluators(s *source) {
	if r.next() != '{' {
		r.add("this is " + r.value().kindName() + "; want an object of rules")
		return
	}
	r.members(func(name string) {
		v, text := r.raw()
		if v.kind != kindObject || v.n == 0 {
			r.add("this is no rule; want one, as {\"ends_with\": […]}")
		}
		s.evaluators = append(s.evaluators, Attribute{name, v})
		s.texts = append(s.texts, text)
	})
}

// sourceOf reads a document; problems have places.
func sourceOf(text []byte, limit int) (*source, *problems) {
	if len(text) > limit {
		return &source{broken: "too large"}, &problems{[]Problem{{Message: strconv.Itoa(len(text)) + " bytes; want at most " + strconv.Itoa(limit)}}}
	}
	s := string(text)
	r := reader{parser: parser{text: s, strict: true, where: nowhere}}
	read := r.read()
	if len(r.problems.list) > 0 {
		r = reader{parser: parser{text: s, strict: true}}
		read = r.read()
	}
	return read, &r.problems
}

// ParseDocument reads a whole document: flags as a map or as an array with keys, short forms, extensions. It checks all
// that Compile checks; its error is an *Invalid.
func ParseDocument(text []byte) (*Document, error) {
	s, problems := sourceOf(text, MaxDocument)
	if len(problems.list) == 0 {
		_, problems = compile(s, true)
	}
	if err := problems.err(); err != nil {
		return nil, err
	}
	d := &Document{Flags: make(map[string]Definition, len(s.flags)), Metadata: decodedMembers(s.metadata)}
	for i := range s.flags {
		d.Flags[s.flags[i].key] = s.flags[i].definition()
	}
	if len(s.evaluators) > 0 {
		d.Evaluators = make(map[string]json.RawMessage, len(s.evaluators))
	}
	for i, e := range s.evaluators {
		d.Evaluators[e.Name] = compact(s.texts[i])
	}
	return d, nil
}

func decodedMembers(members []Attribute) map[string]any {
	if members == nil {
		return nil
	}
	decoded := make(map[string]any, len(members))
	for _, m := range members {
		decoded[m.Name] = m.Value.decoded()
	}
	return decoded
}

// Validate checks the whole: references, prerequisites and their cycles included. Its error is an *Invalid.
func (d *Document) Validate() error {
	s, problems := sourceOf(d.JSON(), MaxSnapshot)
	if len(problems.list) == 0 {
		_, problems = compile(s, true)
	}
	return problems.err()
}

// JSON writes the document with its extensions, always in the same order: what Compile reads.
func (d *Document) JSON() []byte {
	return writeDocument(d.Flags, d.Evaluators, d.Metadata)
}

func writeDocument[T any](flags map[string]T, evaluators map[string]json.RawMessage, metadata map[string]any) []byte {
	out := []byte(`{"flags":{`)
	for i, key := range slices.Sorted(maps.Keys(flags)) {
		out = appendMember(out, i == 0, key, mustJSON(flags[key]))
	}
	out = append(out, '}')
	if len(evaluators) > 0 {
		out = append(out, `,"$evaluators":{`...)
		for i, name := range slices.Sorted(maps.Keys(evaluators)) {
			out = appendMember(out, i == 0, name, evaluators[name])
		}
		out = append(out, '}')
	}
	if len(metadata) > 0 {
		out = appendMember(out, false, "metadata", mustJSON(metadata))
	}
	return append(out, '}')
}

func appendMember(out []byte, isFirst bool, name string, value []byte) []byte {
	if !isFirst {
		out = append(out, ',')
	}
	out = append(out, mustJSON(name)...)
	out = append(out, ':')
	return append(out, value...)
}
