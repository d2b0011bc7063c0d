package flag

import (
	"math"
	"strconv"
	"strings"
)

// Coercions as flagd has them, which are its JSONLogic library's (diegoholiveira/jsonlogic v3.9.1): comparisons coerce as
// JavaScript does, with exceptions that are kept to the letter; arithmetic coerces otherwise, and where that library
// panics, flagd answers PARSE_ERROR and the machine fails.

// truthy differs from JavaScript in an empty list and an empty object: both are false.
func truthy(v Value) bool {
	switch v.kind {
	case kindBool:
		return v.isTrue()
	case kindNumber:
		return v.num() != 0
	case kindString, kindList, kindObject:
		return v.n > 0
	}
	return v.kind == kindContext
}

// jsNumber is the number that a comparison sees: null is 0, a list or an object NaN.
func jsNumber(v Value) float64 {
	switch v.kind {
	case kindNull:
		return 0
	case kindNumber:
		return v.num()
	case kindBool:
		return float64(v.n)
	case kindString:
		s := v.str()
		if f, ok := parseNumber(s); ok {
			return f
		}
		if strings.TrimSpace(s) == "" {
			return 0
		}
	}
	return math.NaN()
}

// parseNumber is strconv.ParseFloat without the allocation of its error for what doesn't look like a number at all.
func parseNumber(s string) (float64, bool) {
	if !looksNumeric(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// looksNumeric says no to what ParseFloat is sure to refuse, and yes to all else.
func looksNumeric(s string) bool {
	if s == "" {
		return false
	}
	rest := s
	if rest[0] == '+' || rest[0] == '-' {
		rest = rest[1:]
	}
	if rest == "" {
		return false
	}
	switch c := rest[0]; {
	case c == 'i' || c == 'I':
		return len(rest) == 3 || len(rest) == 8 // inf, infinity
	case c == 'n' || c == 'N':
		return len(rest) == 3
	case c != '.' && (c < '0' || c > '9'):
		return false
	case len(rest) > 1 && c == '0' && (rest[1] == 'x' || rest[1] == 'X'):
		return true
	}
	digits, dots := 0, 0
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		case c == 'e' || c == 'E':
			return digits > 0 && dots < 2 && exponent(rest[i+1:])
		default:
			return false
		}
	}
	return digits > 0 && dots < 2
}

func exponent(s string) bool {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// looseEqual is ==: null equals only null.
func looseEqual(a, b Value) bool {
	switch {
	case a.kind == kindNull || b.kind == kindNull:
		return a.kind == b.kind
	case a.kind == kindString && b.kind == kindString:
		return a.str() == b.str()
	}
	return jsNumber(a) == jsNumber(b)
}

// strictEqual is ===; lists and objects equal nothing, not even themselves.
func strictEqual(a, b Value) bool {
	return a.kind == b.kind && isGoInt(a) == isGoInt(b) && looseEqual(a, b)
}

// less is <.
func less(a, b Value) bool {
	if a.kind == kindString && b.kind == kindString {
		return a.str() < b.str()
	}
	return jsNumber(a) < jsNumber(b)
}

// number is what arithmetic sees: a string that is none is 0, one that is out of range infinite; and only numbers and
// strings have one.
func number(v Value) (float64, bool) {
	switch v.kind {
	case kindNumber:
		return v.num(), true
	case kindString:
		if s := v.str(); looksNumeric(s) {
			f, _ := strconv.ParseFloat(s, 64)
			return f, true
		}
		return 0, true
	}
	return 0, false
}

// appendText appends what cat sees: null is nothing, and neither booleans nor lists have a text.
func appendText(out []byte, v Value) ([]byte, bool) {
	switch v.kind {
	case kindNull:
		return out, true
	case kindNumber:
		return strconv.AppendFloat(out, v.num(), 'f', -1, 64), true
	case kindString:
		return append(out, v.str()...), true
	}
	return out, false
}

// appendJSONNumber writes f as encoding/json does: the name of a variant that a rule gives as a number.
func appendJSONNumber(out []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	out = strconv.AppendFloat(out, f, format, -1, 64)
	if n := len(out); format == 'e' && n >= 4 && out[n-4] == 'e' && out[n-3] == '-' && out[n-2] == '0' {
		out[n-2] = out[n-1] // e-09 is e-9
		out = out[:n-1]
	}
	return out
}
