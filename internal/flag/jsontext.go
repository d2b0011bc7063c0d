package flag

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// number reads a number as encoding/json does: what is too large for a float64 is no number.
func (p *parser) number() Value {
	start := p.pos
	if p.text[p.pos] == '-' {
		p.pos++
	}
	whole := p.pos
	p.digits()
	leading := p.pos > whole+1 && p.text[whole] == '0'
	plain := p.pos-whole < 16
	if p.pos < len(p.text) && p.text[p.pos] == '.' {
		plain = false
		p.pos++
		p.digits()
	}
	if p.pos < len(p.text) && (p.text[p.pos] == 'e' || p.text[p.pos] == 'E') {
		plain = false
		if p.pos++; p.pos < len(p.text) && (p.text[p.pos] == '+' || p.text[p.pos] == '-') {
			p.pos++
		}
		p.digits()
	}
	if leading {
		p.pos = whole
		p.failSyntax("a number without a leading zero")
	}
	if p.err != nil {
		return Value{}
	}
	if plain {
		return Number(smallInteger(p.text[start:p.pos]))
	}
	f, err := strconv.ParseFloat(p.text[start:p.pos], 64)
	if err != nil {
		p.fail("the number " + p.text[start:p.pos] + " is too large; want one that a float64 holds")
	}
	return Number(f)
}

// smallInteger is exact below 2^53, and so for 15 digits.
func smallInteger(text string) float64 {
	n := uint64(0)
	for i := range len(text) {
		if c := text[i]; c != '-' {
			n = n*10 + uint64(c-'0')
		}
	}
	if text[0] == '-' {
		return math.Copysign(float64(n), -1)
	}
	return float64(n)
}

func (p *parser) digits() {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' {
		p.pos++
	}
	if p.pos == start {
		p.failSyntax("a digit")
	}
}

// string reads a string; one without an escape is a part of the text.
func (p *parser) string() string {
	p.pos++
	start := p.pos
	ascii := true
	for ; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '"':
			s := p.text[start:p.pos]
			p.pos++
			if !ascii && !utf8.ValidString(s) {
				return string([]rune(s)) // U+FFFD for what isn't UTF-8, as encoding/json
			}
			return s
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			p.failSyntax("no bare control character in a string")
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	p.failSyntax("a quotation mark at the string's end")
	return ""
}

func (p *parser) escaped(start int) string {
	out := append(make([]byte, 0, p.pos-start+16), p.text[start:p.pos]...)
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			if !utf8.Valid(out) {
				return string([]rune(string(out)))
			}
			return unsafe.String(unsafe.SliceData(out), len(out))
		case c == '\\':
			p.pos++
			out = p.escape(out)
		case c < 0x20:
			p.failSyntax("no bare control character in a string")
			return ""
		default:
			out = append(out, c)
			p.pos++
		}
	}
	p.failSyntax("a quotation mark at the string's end")
	return ""
}

func (p *parser) escape(out []byte) []byte {
	if p.pos >= len(p.text) {
		return out
	}
	c := p.text[p.pos]
	p.pos++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := p.hex()
		if utf16.IsSurrogate(r) {
			r = p.pair(r)
		}
		return utf8.AppendRune(out, r)
	}
	p.pos--
	p.failSyntax("an escape that JSON knows")
	return out
}

// pair reads the second half of a surrogate pair; half a pair is U+FFFD.
func (p *parser) pair(first rune) rune {
	if p.pos+1 < len(p.text) && p.text[p.pos] == '\\' && p.text[p.pos+1] == 'u' {
		back := p.pos
		p.pos += 2
		if r := utf16.DecodeRune(first, p.hex()); r != utf8.RuneError {
			return r
		}
		p.pos = back
	}
	return utf8.RuneError
}

func (p *parser) hex() rune {
	if p.pos+4 > len(p.text) {
		p.pos = len(p.text)
		p.failSyntax("four hexadecimal digits")
		return 0
	}
	n, err := strconv.ParseUint(p.text[p.pos:p.pos+4], 16, 16)
	if err != nil {
		p.failSyntax("four hexadecimal digits")
		return 0
	}
	p.pos += 4
	return rune(n)
}
