package script

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// MinSecret is the shortest secret, in bytes, that is masked: to hide every "no" or "80" would only hide the output.
	MinSecret = 4
	// MaxLine is how many bytes of a line are passed on at once, its end not counted.
	MaxLine = 64 << 10
)

// Bounds on the forms of secrets that are looked for besides the secrets themselves.
const (
	maxFormed = 16 << 10 // bytes of a secret whose forms are looked for
	maxForms  = 8 << 20  // bytes of all forms together
)

const (
	mask = "***"
	more = "…" // where a line was divided
)

// Masker is a writer that hides secrets. It is safe for use by several goroutines.
type Masker struct {
	mu      sync.Mutex
	w       io.Writer
	secrets patterns
	line    []byte // not yet ended, at most MaxLine and the longest secret
	covered int    // bytes at its front that a mask stands for already
	divided bool   // a part of it was passed on
	ended   bool   // a CR has just ended a line, so that an LF belongs to it
}

// Mask gives a writer that passes whole lines on to w with *** in the place of each secret, and of each line of a secret with
// several, blanks around it aside; and in the place of a secret's base64 (alone or within something longer, in both alphabets, in one
// line or broken into those of base64(1) and PEM), of the secret escaped for a URL or a form, of its text in JSON, and of what set -x
// makes of it. Any of these that is shorter than MinSecret is left alone. Forms are looked for of secrets of 16 KB at most, and as long
// as they take 8 MB together.
//
// A line ends with LF, CR LF or CR. CRs in a row are one, so that a progress bar is a line for each of its states, and no empty ones;
// no other character ends a line. Lines are passed one in a Write, with LF, as valid UTF-8. One that is longer than MaxLine bytes is
// divided, with … on both sides of the cut. Close passes on the last line where it has no end. Close doesn't close w.
func Mask(w io.Writer, secrets []string) *Masker {
	m := &Masker{w: w}
	for _, secret := range secrets {
		m.hide(secret)
		for line := range strings.FieldsFuncSeq(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			m.hide(strings.TrimSpace(line))
		}
	}
	m.hideForms(secrets)
	return m
}

// hide looks for a text from now on. Lines come without their ends, so a text with one inside is met by its lines alone.
func (m *Masker) hide(text string) {
	if len(text) >= MinSecret && !strings.ContainsAny(text, "\r\n") {
		m.secrets.add(text)
	}
}

func (m *Masker) hideForms(secrets []string) {
	left := maxForms
	for _, secret := range secrets {
		secret = strings.TrimRight(secret, "\r\n") // as $(…) takes it
		if len(secret) < MinSecret || len(secret) > maxFormed {
			continue
		}
		for _, form := range forms(secret) {
			if m.secrets.known[form] {
				continue
			}
			if left -= len(form); left < 0 {
				return
			}
			m.hide(form)
		}
	}
}

// Write implements io.Writer. The error is w's; what came in counts as written.
func (m *Masker) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for rest := p; len(rest) > 0; {
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			return len(p), m.keep(rest)
		}
		if err := m.keep(rest[:end]); err != nil {
			return len(p), err
		}
		if err := m.end(rest[end]); err != nil {
			return len(p), err
		}
		rest = rest[end+1:]
	}
	return len(p), nil
}

// Close passes on what is left.
func (m *Masker) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.line) == 0 {
		return nil
	}
	return m.pass()
}

// keep adds to the line, and passes on what of it is too long. So much more than may be shown at once is held that a secret that begins
// there is seen whole.
func (m *Masker) keep(part []byte) error {
	for len(part) > 0 {
		m.ended = false
		room := MaxLine + m.secrets.longest + 1 - len(m.line)
		n := min(len(part), room)
		m.line, part = append(m.line, part[:n]...), part[n:]
		if n < room {
			continue
		}
		if err := m.divide(); err != nil {
			return err
		}
	}
	return nil
}

// end takes an end of line: an LF ends any line but one that a CR before it has ended, a CR one that has anything in it.
func (m *Masker) end(by byte) error {
	begun := len(m.line) > 0 || m.divided
	if by == '\r' {
		if !begun {
			return nil
		}
		m.ended = true
		return m.pass()
	}

	if m.ended && !begun {
		m.ended = false
		return nil
	}
	return m.pass()
}

// pass passes on the line, in as many parts as it needs.
func (m *Masker) pass() error {
	for len(m.line) > MaxLine {
		if err := m.divide(); err != nil {
			return err
		}
	}

	text, _ := m.masked(len(m.line))
	nothing := m.divided && len(text) == 0
	if m.divided {
		text = append([]byte(more), text...)
	}
	m.line, m.covered, m.divided = m.line[:0], 0, false
	if nothing {
		return nil
	}
	return m.write(text)
}

// divide passes on the first MaxLine bytes of the line, or a little less where that would split a character.
func (m *Masker) divide() error {
	n := MaxLine
	for n > MaxLine-utf8.UTFMax && !utf8.RuneStart(m.line[n]) {
		n--
	}

	text, to := m.masked(n)
	if m.divided {
		text = append([]byte(more), text...)
	}
	m.line = m.line[:copy(m.line, m.line[n:])]
	m.covered, m.divided = max(0, to-n), true
	return m.write(append(text, more...))
}

func (m *Masker) write(text []byte) error {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	_, err := m.w.Write(append(text, '\n'))
	return err
}

// masked copies the first n bytes of the line, with a mask for each stretch that secrets cover, and tells how far the last of these
// goes. Secrets may overlap, so stretches are joined: to replace one after the other would leave the second's rest.
func (m *Masker) masked(n int) (out []byte, to int) {
	out, to = make([]byte, 0, n+2*len(more)+len(mask)+1), m.covered
	if m.secrets.longest == 0 {
		return append(out, m.line[:n]...), n
	}

	from := min(to, n) // of what shows
	for i := range n {
		size := m.secrets.at(m.line, i)
		if size == 0 {
			continue
		}
		if i >= to {
			out = append(append(out, m.line[from:i]...), mask...)
		}
		to = max(to, i+size)
		from = min(to, n)
	}
	return append(out, m.line[from:n]...), to
}
