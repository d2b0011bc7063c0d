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
	Metadata   map[string]any             // scalars; a number beyond 2^53 is a json.Number
}

// source is a document that was read.
type source struct {
	flags      []*reading
	slab       []reading // where they lie
	evaluators []Attribute
	texts      []string // of evaluators
	metadata   []scalar
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
			r.unknown(name, documentMembers, "flags, $evaluators, metadata or $schema")
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

func (r *reader) checkSetMetadata(members []scalar) {
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

// readOptions say how a document is read.
type readOptions struct {
	limit     int  // bytes
	all       bool // every problem, and not only the first ones
	importing bool // notes members that flagd's schema lets pass, and ignores them
}

func (o readOptions) reader(text string, where *place) *reader {
	r := &reader{parser: parser{text: text, strict: true, where: where}, problems: problems{all: o.all}}
	if o.importing {
		r.notes = &problems{all: true}
	}
	return r
}

// sourceOf reads a document. The reader that it returns has what was found; problems and notes have places.
func sourceOf(text []byte, o readOptions) (*source, *reader) {
	if len(text) > o.limit {
		r := o.reader("", nil)
		r.problems.add(nil, strconv.Itoa(len(text))+" bytes; want at most "+strconv.Itoa(o.limit))
		return &source{broken: "too large"}, r
	}
	s := string(text)
	r := o.reader(s, nowhere)
	read := r.read()
	if len(r.problems.list) > 0 || r.notes != nil && len(r.notes.list) > 0 {
		r = o.reader(s, nil)
		read = r.read()
	}
	return read, r
}

// ParseDocument reads a whole document: flags as a map or as an array with keys, short forms, extensions. It checks all
// that Compile checks; its error is an *Invalid.
func ParseDocument(text []byte) (*Document, error) {
	d, _, err := parseDocument(text, readOptions{limit: MaxDocument})
	return d, err
}

// ImportDocument is ParseDocument for documents of others. What flagd's schema lets pass and flagd ignores, which are
// unknown members of a flag and of the document, is left out, and notes say where. In an error those notes are among the
// problems that look like a typo.
func ImportDocument(text []byte) (d *Document, notes []Problem, err error) {
	return parseDocument(text, readOptions{limit: MaxDocument, importing: true})
}

func parseDocument(text []byte, o readOptions) (*Document, []Problem, error) {
	s, r := sourceOf(text, o)
	found := &r.problems
	if len(found.list) == 0 {
		_, found = compile(s, true)
	}
	if len(found.list) > 0 {
		found.list = append(found.list, r.typos...)
		return nil, nil, found.err()
	}
	if r.notes == nil {
		return s.document(), nil, nil
	}
	return s.document(), r.notes.first(maxNotes), nil
}

// maxNotes bounds how many notes on an import are returned.
const maxNotes = 100

func (s *source) document() *Document {
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
	return d
}

// decodedMembers decodes metadata into what is written as it was read.
func decodedMembers(members []scalar) map[string]any {
	if members == nil {
		return nil
	}
	decoded := make(map[string]any, len(members))
	for _, m := range members {
		decoded[m.Name] = m.written()
	}
	return decoded
}

// Validate checks the whole: references, prerequisites and their cycles included. Its error is an *Invalid.
func (d *Document) Validate() error {
	_, _, err := parseDocument(d.JSON(), readOptions{limit: MaxSnapshot})
	return err
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
