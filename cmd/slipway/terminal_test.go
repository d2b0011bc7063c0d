package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
)

// TestTerminal: what was not written with the mark reaches a terminal as text.
func TestTerminal(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		colors     bool
	}{
		"text":                    {"ok  ä 漢 🚢\n\tindented", "ok  ä 漢 🚢\n\tindented", false},
		"colours, not asked for":  {"\x1b[31mred\x1b[0m", `\u001b[31mred\u001b[0m`, false},
		"colours":                 {"\x1b[1;38;5;208mred\x1b[0m", "\x1b[1;38;5;208mred\x1b[0m", true},
		"a cursor's move":         {"\x1b[2Aup\x1b[31", `\u001b[2Aup\u001b[31`, true},
		"a title":                 {"\x1b]0;hello\a", `\u001b]0;hello\u0007`, true},
		"a return":                {"passed\rfailed", `passed\u000dfailed`, false},
		"a backspace and a rub":   {"a\bb\x7f", `a\u0008b\u007f`, false},
		"a control of eight bits": {"\u009b31m", `\u009b31m`, false},
		"the other direction":     {"a\u202eb\u2066c", `a\u202eb\u2066c`, false},
		"no UTF-8":                {"\xff\x9b31m", `\xff\x9b31m`, false},
		"a mark of another":       {"\x1bAAAAAAAAAAAAAAAAAAAAAAAAAA[31m", `\u001bAAAAAAAAAAAAAAAAAAAAAAAAAA[31m`, false},
	} {
		for _, at := range []int{1, 3, 1000} { // bytes a write
			var out bytes.Buffer
			w := &terminal{w: &out, mark: "\x1bMARK", colors: c.colors && at == 1000}
			if c.colors && at != 1000 {
				continue // a colour is known where it is written at once
			}
			for rest := []byte(c.text + "\n"); len(rest) > 0; {
				n := min(at, len(rest))
				if wrote, err := w.Write(rest[:n]); wrote != n || err != nil {
					t.Fatal(wrote, err)
				}
				rest = rest[n:]
			}
			if out.String() != c.want+"\n" {
				t.Errorf("%s, %d bytes at a time: %q, want %q", name, at, out.String(), c.want)
			}
		}
	}

	var out bytes.Buffer
	w := &terminal{w: &out, mark: "\x1bMARK"}
	for _, part := range []string{"\x1b", "MA", "RK[31mred\x1bMARK", "[0m\n"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "\x1b[31mred\x1b[0m\n" {
		t.Errorf("a mark in parts: %q", out.String())
	}
}

// TestTerminalTakesAnything: for any text in any pieces, nothing but newline and tab controls the terminal.
func TestTerminalTakesAnything(t *testing.T) {
	alphabet := []string{"a", "\x1b", "[", "31m", "\r", "\n", "\t", "\u009b", "\xc2", "\x9b", "\u202e", "MARK", "\x00", "ä", "\xf0\x9f"}
	for range 2000 {
		var out bytes.Buffer
		w := &terminal{w: &out, mark: "\x1bMARKED"}
		for range rand.N(8) {
			var text strings.Builder
			for range rand.N(6) {
				text.WriteString(alphabet[rand.N(len(alphabet))])
			}
			if _, err := w.Write([]byte(text.String())); err != nil {
				t.Fatal(err)
			}
		}
		bad := strings.ContainsFunc(out.String(), func(r rune) bool {
			return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control) || r == unicode.ReplacementChar
		})
		if bad {
			t.Fatalf("%q", out.String())
		}
	}
}
