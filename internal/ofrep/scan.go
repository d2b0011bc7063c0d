package ofrep

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// scanner walks over JSON (RFC 8259) without decoding it. What is asked of a request are one or two of its members, as
// they stand there; encoding/json would take longer for that than an evaluation takes.
type scanner struct {
	text []byte
	at   int
}

// maxDepth is how deep values may nest, so that a body can't use up the stack. encoding/json would stop at 10,000.
const maxDepth = 512

// members calls each for every member of the object that text is, with its name as it's written and its value; both are
// parts of text. It tells whether text is one JSON object and nothing else.
func members(text []byte, each func(name, value []byte)) bool {
	s := scanner{text: text}
	s.space()
	ok := s.object(maxDepth, each)
	s.space()
	return ok && s.at == len(text)
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next consumes c, with the space before it.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) object(depth int, each func(name, value []byte)) bool {
	if depth == 0 || !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	for {
		s.space()
		start := s.at
		if !s.string() {
			return false
		}
		name := s.text[start+1 : s.at-1]
		if !s.next(':') {
			return false
		}
		s.space()
		start = s.at
		if !s.value(depth - 1) {
			return false
		}
		if each != nil {
			each(name, s.text[start:s.at])
		}
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scanner) array(depth int) bool {
	if depth == 0 || !s.next('[') {
		return false
	}
	if s.next(']') {
		return true
	}
	for {
		if !s.value(depth - 1) {
			return false
		}
		if s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scanner) value(depth int) bool {
	s.space()
	if s.at >= len(s.text) {
		return false
	}
	switch s.text[s.at] {
	case '{':
		return s.object(depth, nil)
	case '[':
		return s.array(depth)
	case '"':
		return s.string()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

func (s *scanner) string() bool {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return false
	}
	text := s.text
	for i := s.at + 1; i < len(text); i++ {
		if !special[text[i]] {
			continue
		}
		switch text[i] {
		case '"':
			s.at = i + 1
			return true
		case '\\':
			s.at = i
			if !s.escape() {
				return false
			}
			i = s.at
		default: // a control character
			return false
		}
	}
	return false
}

// escape stops at its last byte.
func (s *scanner) escape() bool {
	if s.at++; s.at >= len(s.text) {
		return false
	}
	switch s.text[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if s.at++; s.at >= len(s.text) || !isHex(s.text[s.at]) {
				return false
			}
		}
		return true
	}
	return false
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) number() bool {
	if s.at < len(s.text) && s.text[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return false
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		if s.at++; !s.digits() {
			return false
		}
	}
	if s.at < len(s.text) && s.text[s.at]|0x20 == 'e' {
		if s.at++; s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	return s.at > start
}

// unquote decodes a JSON string. What has neither escapes nor other than ASCII is only copied.
func unquote(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	inner := value[1 : len(value)-1]
	for _, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			var s string
			err := json.Unmarshal(value, &s)
			return s, err == nil
		}
	}
	return string(inner), true
}

const hexDigits = "0123456789abcdef"

// quote appends s, which is UTF-8, as a JSON string.
func quote(to []byte, s string) []byte { return append(escape(append(to, '"'), s), '"') }

// special marks the bytes that can't stand in a JSON string as they are.
var special = func() (t [256]bool) {
	for c := range ' ' {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// escape appends what stands between the quotes.
func escape[T string | []byte](to []byte, s T) []byte {
	to = slices.Grow(to, len(s)+len(s)/4)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !special[c] {
			to = append(to, c)
			continue
		}
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, '\\', 'n')
		default:
			to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return to
}
