package script

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// MinSecret is the shortest secret, in bytes, that is masked: to hide every "no" or "80" would only hide the output.
	MinSecret = 4
	// MaxLine is how many bytes of a line are kept, its end of line not counted.
	MaxLine = 64 << 10
)

const mask = "***"

// Masker is a writer that hides secrets. It is safe for use by several goroutines.
type Masker struct {
	mu      sync.Mutex
	w       io.Writer
	secrets [][]byte
	longest int
	line    []byte // not yet ended, without what is beyond any use
	over    bool   // something was beyond it
}

// Mask gives a writer that passes whole lines on to w with *** in the place of each secret, and of each line of a secret with
// several, blanks around it aside. Secrets and lines shorter than MinSecret are left alone, and so is a secret in another form
// (base64, say). Lines are passed one in a Write, as valid UTF-8, cut to MaxLine bytes of what came in; Close passes on the last
// line where it has no end. Close doesn't close w.
func Mask(w io.Writer, secrets []string) *Masker {
	m := &Masker{w: w}
	for _, secret := range secrets {
		m.hide(secret)
		for line := range strings.Lines(secret) {
			m.hide(strings.TrimSpace(line))
		}
	}
	return m
}

func (m *Masker) hide(secret string) {
	// Lines come without their ends, so a secret with one inside is met by its lines alone.
	if len(secret) < MinSecret || strings.ContainsAny(secret, "\n") {
		return
	}
	m.secrets = append(m.secrets, []byte(secret))
	m.longest = max(m.longest, len(secret))
}

// Write implements io.Writer. The error is w's; what came in counts as written.
func (m *Masker) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		m.keep(part)
		if rest = after; !ended {
			break
		}
		if err := m.pass(); err != nil {
			return len(p), err
		}
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

// keep holds as much of a line as may be shown, and so much more that a secret that begins there is seen whole.
func (m *Masker) keep(part []byte) {
	room := MaxLine + m.longest - len(m.line)
	if len(part) > room {
		part, m.over = part[:room], true
	}
	m.line = append(m.line, part...)
}

func (m *Masker) pass() error {
	line := bytes.TrimSuffix(m.line, []byte("\r"))
	if m.over || len(line) > MaxLine {
		line = append(m.masked(line, MaxLine), "…"...)
	} else {
		line = m.masked(line, len(line))
	}
	m.line, m.over = m.line[:0], false
	if !utf8.Valid(line) {
		line = bytes.ToValidUTF8(line, []byte("\uFFFD"))
	}
	_, err := m.w.Write(append(line, '\n'))
	return err
}

// masked copies the first n bytes of line, with a mask for each stretch that secrets cover. Secrets may overlap, so stretches are
// found first and joined: to replace one after the other would leave the second's rest.
func (m *Masker) masked(line []byte, n int) []byte {
	type stretch struct{ from, to int }
	var found []stretch
	for _, secret := range m.secrets {
		for from := 0; ; {
			i := bytes.Index(line[from:], secret)
			if i < 0 {
				break
			}
			found = append(found, stretch{from + i, from + i + len(secret)})
			from += i + 1
		}
	}
	slices.SortFunc(found, func(a, b stretch) int { return a.from - b.from })
	out, at := make([]byte, 0, n+len(mask)+4), 0
	for _, s := range found {
		if s.from >= n {
			break
		}
		if s.from >= at {
			out = append(append(out, line[at:s.from]...), mask...)
		}
		at = max(at, s.to)
	}
	return append(out, line[min(at, n):n]...)
}
