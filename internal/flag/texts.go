package flag

import (
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// text is what lies in a scratch, which only grows, as a string.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// in says whether a text holds another, or a list an element. A list in the list is a range.
func (m *machine) in(n *node) Value {
	if n.set != nil {
		v := m.eval(&n.args[0])
		if v.kind == kindString {
			_, found := n.set[v.str()]
			return Bool(found)
		}
	}
	if !n.whole && len(n.args) == 2 {
		return m.isIn(m.eval(&n.args[0]), m.eval(&n.args[1]))
	}
	items, isList := m.arguments(n)
	switch {
	case !isList || len(items) == 0:
		return m.fail("\"in\" wants two arguments")
	case len(items) == 1:
		return Bool(false)
	}
	return m.isIn(items[0], items[1])
}

func (m *machine) isIn(a, b Value) Value {
	switch b.kind {
	case kindString:
		if a.kind != kindString {
			return m.fail("\"in\" looks for something that is no string in a string")
		}
		return Bool(strings.Contains(b.str(), a.str()))
	case kindList:
		for _, item := range b.items() {
			if m.isElement(a, item) {
				return Bool(true)
			}
		}
	}
	return Bool(false)
}

func (m *machine) isElement(a, item Value) bool {
	switch {
	case item.kind == kindList:
		return m.inRange(a, item.items())
	case a.kind == kindNumber:
		f, ok := number(item)
		if !ok {
			m.fail("\"in\" compares a number with something that is none")
		}
		return ok && f == a.num() && !isGoInt(a)
	case a.kind == kindString:
		return item.kind == kindString && item.str() == a.str()
	case a.kind >= kindObject && item.kind >= kindObject:
		m.fail("\"in\" compares two objects")
		return false
	}
	return a.kind == item.kind && a.kind <= kindBool && a.n == item.n
}

func (m *machine) inRange(a Value, bounds []Value) bool {
	if len(bounds) < 2 {
		m.fail("\"in\" wants two bounds in a range")
		return false
	}
	f, ok := number(a)
	low, okLow := number(bounds[0])
	if !ok || !okLow {
		m.fail("\"in\" wants numbers in a range")
		return false
	}
	if !(f >= low) {
		return false
	}
	high, okHigh := number(bounds[1])
	if !okHigh {
		m.fail("\"in\" wants numbers in a range")
	}
	return okHigh && high >= f
}

// affix is starts_with and ends_with: null, and not false, for all but two strings.
func (m *machine) affix(n *node) Value {
	var a, b Value
	if !n.whole && len(n.args) == 2 {
		a, b = m.eval(&n.args[0]), m.eval(&n.args[1])
	} else if items, isList := m.arguments(n); isList && len(items) == 2 {
		a, b = items[0], items[1]
	}
	switch {
	case a.kind != kindString || b.kind != kindString:
		return Value{}
	case n.op == opStartsWith:
		return Bool(strings.HasPrefix(a.str(), b.str()))
	}
	return Bool(strings.HasSuffix(a.str(), b.str()))
}

// semver compares versions; null where one is none, or the comparison is unknown.
func (m *machine) semver(n *node) Value {
	var a, comparison, b Value
	if !n.whole && len(n.args) == 3 {
		a, comparison, b = m.eval(&n.args[0]), m.eval(&n.args[1]), m.eval(&n.args[2])
	} else {
		items, isList := m.arguments(n)
		if !isList || len(items) != 3 {
			return Value{}
		}
		a, comparison, b = items[0], items[1], items[2]
	}
	actual, ok := m.version(a)
	if !ok {
		return Value{}
	}
	var target version
	if n.version != nil {
		target = *n.version
	} else if target, ok = m.version(b); !ok {
		return Value{}
	}
	match, ok := actual.matches(comparison.textOf(), target)
	if !ok || comparison.kind != kindString {
		return Value{}
	}
	return Bool(match)
}

// version is a value's as flagd sees it: numbers are versions, too.
func (m *machine) version(v Value) (version, bool) {
	switch v.kind {
	case kindString:
		return parseVersion(v.str())
	case kindNumber:
		s := m.borrow()
		from := len(s.text)
		s.text = appendVersion(s.text, v)
		return parseVersion(text(s.text[from:]))
	}
	return version{}, false
}

func appendVersion(out []byte, v Value) []byte {
	return strconv.AppendFloat(out, v.num(), 'g', -1, 64)
}

// cat joins texts. Two and more are trimmed at the ends: flagd's library does.
func (m *machine) cat(n *node) Value {
	items, isList := m.arguments(n)
	if m.failure != "" {
		return Value{}
	}
	if !isList {
		if items[0].kind == kindString {
			return items[0]
		}
		return m.fail("the argument of \"cat\" is no array")
	}
	s := m.borrow()
	from := len(s.text)
	for _, item := range items {
		var ok bool
		if s.text, ok = appendText(s.text, item); !ok {
			return m.fail("\"cat\" joins something that has no text: " + item.kindName())
		}
	}
	if len(s.text) > maxText {
		return m.fail("the rule builds more than 256 KiB of text")
	}
	joined := text(s.text[from:])
	if len(items) > 1 {
		joined = strings.TrimSpace(joined)
	}
	return String(joined)
}

// substr counts characters. A start that lies outside gives the whole text.
func (m *machine) substr(n *node) Value {
	items, isList := m.arguments(n)
	if m.failure != "" {
		return Value{}
	}
	if !isList || len(items) < 2 {
		return m.fail("\"substr\" wants a text and a start")
	}
	s := m.borrow()
	begin := len(s.text)
	grown, ok := appendText(s.text, items[0])
	start, okStart := number(items[1])
	if !ok || !okStart {
		return m.fail("\"substr\" wants a text and a number")
	}
	s.text = grown
	all := text(s.text[begin:])
	length := utf8.RuneCountInString(all)
	from := floatToInt(start)
	if from < 0 {
		from += length
	}
	if from < 0 || from > length {
		return String(all)
	}
	to := from + length
	if len(items) == 3 {
		size, ok := number(items[2])
		if !ok {
			return m.fail("\"substr\" wants a number as the length")
		}
		if to = from + floatToInt(size); size < 0 && floatToInt(size) < 0 {
			to = length + floatToInt(size)
		}
	}
	to = min(to, length)
	if to < from {
		return m.fail("\"substr\" ends before it begins")
	}
	return String(runes(all, from, to))
}

// floatToInt keeps within what no text reaches.
func floatToInt(f float64) int {
	switch {
	case f != f || f < -1<<40 || f >= 1<<63: // what no int holds is the smallest: Go on amd64, and so flagd there
		return -1 << 40
	case f > 1<<40:
		return 1 << 40
	}
	return int(f)
}

// runes is s[from:to], counted in characters.
func runes(s string, from, to int) string {
	start := len(s)
	count := 0
	for i := range s {
		if count == from {
			start = i
		}
		if count == to {
			return s[start:i]
		}
		count++
	}
	return s[start:]
}
