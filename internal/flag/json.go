package flag

import (
	"strconv"
)

// syntaxError is what the parser finds: JSON that isn't, too deep, or with a name twice.
type syntaxError struct {
	at      *place
	message string
}

func (e *syntaxError) Error() string { return e.at.String() + ": " + e.message }

// parser reads JSON (RFC 8259) into Values whose strings point into the text. encoding/json neither refuses a name that
// an object has twice, nor says where in the document something is, nor reads a context without an allocation per value.
type parser struct {
	text    string
	pos     int
	depth   int
	strict  bool   // a name twice is refused; else the last one counts, as everywhere in JavaScript
	where   *place // in strict mode, for errors
	err     *syntaxError
	stack   []Attribute // members and items of what is still open
	members []Attribute // what is closed; grown in place, so that a parser that is used again allocates nothing
	items   []Value
}

func parseValue(text []byte) (Value, error) {
	p := parser{text: string(text), strict: true, where: nowhere}
	v := p.value()
	p.end()
	if p.err != nil {
		return Value{}, p.err
	}
	return v, nil
}

func (p *parser) fail(message string) {
	if p.err == nil {
		p.err = &syntaxError{p.where, message}
		p.pos = len(p.text)
	}
}

// failSyntax says what is there and what was wanted, with the byte's offset: a pointer can't point into broken JSON.
func (p *parser) failSyntax(want string) {
	got := "the end"
	if p.pos < len(p.text) {
		got = strconv.QuoteRune(rune(p.text[p.pos]))
	}
	p.fail("not JSON at byte " + strconv.Itoa(p.pos) + ": " + got + "; want " + want)
}

func (p *parser) end() {
	if p.next() != 0 || p.pos < len(p.text) {
		p.failSyntax("nothing after the value")
	}
}

// next skips white space and peeks; 0 at the end.
func (p *parser) next() byte {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

// value reads any value.
func (p *parser) value() Value {
	switch c := p.next(); {
	case c == '"':
		return String(p.string())
	case c == '{':
		return p.objectValue()
	case c == '[':
		return p.listValue()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case p.word("true"):
		return Bool(true)
	case p.word("false"):
		return Bool(false)
	case p.word("null"):
		return Value{}
	}
	p.failSyntax("a JSON value")
	return Value{}
}

func (p *parser) word(w string) bool {
	if len(p.text)-p.pos >= len(w) && p.text[p.pos:p.pos+len(w)] == w {
		p.pos += len(w)
		return true
	}
	return false
}

func (p *parser) enter() bool {
	p.pos++
	if p.depth++; p.depth > MaxDepth {
		p.fail("nested more than " + strconv.Itoa(MaxDepth) + " levels deep")
		return false
	}
	return true
}

// object reads an object, calling each for every member with p at its value.
func (p *parser) object(each func(name string)) {
	if p.next() != '{' {
		p.failSyntax("an object")
		return
	}
	if !p.enter() {
		return
	}
	if p.next() == '}' {
		p.pos++
		p.depth--
		return
	}
	for p.err == nil {
		name, ok := p.name()
		if !ok {
			return
		}
		outer := p.where
		p.where = outer.member(name)
		each(name)
		if p.err == nil {
			p.where = outer
		}
		if !p.more('}') {
			return
		}
	}
}

// array reads an array, calling each for every element with p at it.
func (p *parser) array(each func(i int)) {
	if p.next() != '[' {
		p.failSyntax("an array")
		return
	}
	if !p.enter() {
		return
	}
	if p.next() == ']' {
		p.pos++
		p.depth--
		return
	}
	for i := 0; p.err == nil; i++ {
		outer := p.where
		p.where = outer.item(i)
		each(i)
		if p.err == nil {
			p.where = outer
		}
		if !p.more(']') {
			return
		}
	}
}

func (p *parser) name() (string, bool) {
	if p.next() != '"' {
		p.failSyntax("a name in quotation marks")
		return "", false
	}
	name := p.string()
	if p.next() != ':' {
		p.failSyntax("a colon")
		return "", false
	}
	p.pos++
	return name, p.err == nil
}

func (p *parser) more(closing byte) bool {
	switch p.next() {
	case ',':
		p.pos++
		return p.err == nil
	case closing:
		p.pos++
		p.depth--
	default:
		p.failSyntax("a comma or " + string(rune(closing)))
	}
	return false
}

func (p *parser) objectValue() Value {
	base := len(p.stack)
	var seen names
	p.object(func(name string) {
		if p.strict && !seen.add(name) {
			p.fail(twice)
		}
		value := p.value()
		p.stack = append(p.stack, Attribute{name, value})
	})
	p.members = room(p.members, len(p.stack)-base)
	from := len(p.members)
	p.members = append(p.members, p.stack[base:]...)
	p.stack = p.stack[:base]
	return Object(p.members[from:]...)
}

// room makes sure of n more elements. It begins a new slab and copies nothing: what is in the old one stays where it is.
func room[T any](slab []T, n int) []T {
	if cap(slab)-len(slab) >= n {
		return slab
	}
	return make([]T, 0, max(n, min(1024, 2*cap(slab)+8)))
}

const twice = "this name is there twice; want each once"

// names are an object's, so that one that comes again is seen; a map only from where it pays.
type names struct {
	few  [16]string
	n    int
	many map[string]bool
}

func (s *names) add(name string) bool {
	if s.many != nil {
		isNew := !s.many[name]
		s.many[name] = true
		return isNew
	}
	for i := range s.n {
		if s.few[i] == name {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = map[string]bool{name: true}
	for _, few := range s.few {
		s.many[few] = true
	}
	return true
}

func (p *parser) listValue() Value {
	base := len(p.stack)
	p.array(func(int) {
		value := p.value()
		p.stack = append(p.stack, Attribute{Value: value})
	})
	p.items = room(p.items, len(p.stack)-base)
	from := len(p.items)
	for _, item := range p.stack[base:] {
		p.items = append(p.items, item.Value)
	}
	p.stack = p.stack[:base]
	return List(p.items[from:]...)
}
