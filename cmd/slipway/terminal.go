package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// terminal is a writer to a terminal that shows control characters as text: what scripts print, and what commits, files and people
// are called, moves no cursor, sets no title and hides nothing. Newline and tab stay. Slipway's own control sequences begin with
// mark in place of ESC: a random text that no other output can hold.
type terminal struct {
	w      io.Writer
	mark   string
	colors bool   // others' colours stay too
	rest   []byte // a mark or a character whose end has not been written
}

// sgr matches what sets colours and other attributes of text (ECMA-48, SELECT GRAPHIC RENDITION), and changes nothing else.
var sgr = regexp.MustCompile(`^\x1b\[[0-9;:]*m`)

// Write implements io.Writer.
func (t *terminal) Write(text []byte) (int, error) {
	shown := t.show(append(t.rest, text...))
	if _, err := t.w.Write(shown); err != nil {
		return 0, err
	}
	return len(text), nil
}

func (t *terminal) show(text []byte) []byte {
	shown, mark := make([]byte, 0, len(text)), []byte(t.mark)
	for len(text) > 0 {
		if text[0] == '\x1b' {
			if bytes.HasPrefix(text, mark) {
				shown, text = append(shown, '\x1b'), text[len(mark):]
				continue
			}
			if bytes.HasPrefix(mark, text) {
				break
			}
			if color := sgr.Find(text); color != nil && t.colors {
				shown, text = append(shown, color...), text[len(color):]
				continue
			}
		}
		if !utf8.FullRune(text) {
			break
		}

		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			shown = fmt.Appendf(shown, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Bidi_Control):
			shown = append(shown, text[:size]...)
		default:
			shown = fmt.Appendf(shown, `\u%04x`, r) // as JSON spells it
		}
		text = text[size:]
	}
	t.rest = bytes.Clone(text)
	return shown
}

// guardTerminals has p write to terminals by a terminal. Colours are for both if the output is one.
func (p *program) guardTerminals() {
	mark := "\x1b" + rand.Text()
	if p.terminal {
		p.screen = &terminal{w: p.out, mark: mark}
		p.out = p.screen
	}
	if p.terminal || p.errTerminal {
		p.err = &terminal{w: p.err, mark: mark}
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
