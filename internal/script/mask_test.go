package script_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/internal/script"
)

func masked(t testing.TB, secrets []string, writes ...string) string {
	t.Helper()
	var out bytes.Buffer
	m := script.Mask(&out, secrets)
	for _, w := range writes {
		if n, err := m.Write([]byte(w)); n != len(w) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMask(t *testing.T) {
	pem := "-----BEGIN KEY-----\nQUJDREVGRw==\n-----END KEY-----\n"
	for name, c := range map[string]struct {
		secrets, writes []string
		want            string
	}{
		"nothing":             {nil, nil, ""},
		"passes on":           {nil, []string{"a\n\nb\n"}, "a\n\nb\n"},
		"last line":           {nil, []string{"a\nb"}, "a\nb\n"},
		"everywhere":          {[]string{"s3cret"}, []string{"x=s3cret y=s3crets3cret\ns3cret\n"}, "x=*** y=******\n***\n"},
		"split over writes":   {[]string{"s3cret"}, []string{"x=s3", "cr", "et\n"}, "x=***\n"},
		"byte by byte":        {[]string{"s3cret"}, strings.Split("as3cretb\n", ""), "a***b\n"},
		"at the end":          {[]string{"s3cret"}, []string{"s3cret"}, "***\n"},
		"short ones stay":     {[]string{"no", "abc", ""}, []string{"no abc\n"}, "no abc\n"},
		"overlapping":         {[]string{"abcd1234", "1234efgh"}, []string{"xabcd1234efghx\n"}, "x***x\n"},
		"one inside another":  {[]string{"word", "passwords"}, []string{"passwords word\n"}, "*** ***\n"},
		"itself overlapping":  {[]string{"abab"}, []string{"ababab\n"}, "***\n"},
		"several lines":       {[]string{pem}, []string{"key: " + pem + "done\n"}, "key: ***\n***\n***\ndone\n"},
		"several, indented":   {[]string{pem}, []string{"  QUJDREVGRw== \n"}, "  *** \n"},
		"several, Windows":    {[]string{"line1\r\nline2\r\n"}, []string{"line1\r\nline2\r\n"}, "***\n***\n"},
		"several, by CR":      {[]string{"line1\rline2\r"}, []string{"line1\rline2\r"}, "***\n***\n"},
		"not UTF-8":           {[]string{"s3cret"}, []string{"\xff\xfes3cret\xc3\n"}, "\uFFFD***\uFFFD\n"},
		"a secret not UTF-8":  {[]string{"\xff\xfe\xfd\xfc"}, []string{"a\xff\xfe\xfd\xfcb\n"}, "a***b\n"},
		"character in halves": {nil, []string{"\xe2\x82", "\xac\n"}, "€\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := masked(t, c.secrets, c.writes...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMaskLongLines(t *testing.T) {
	full := strings.Repeat("x", script.MaxLine)
	if got := masked(t, nil, full, "\nnext\n"); got != full+"\nnext\n" {
		t.Errorf("a line of MaxLine: %d bytes", len(got))
	}
	for name, c := range map[string]struct {
		secrets, writes []string
		want            string
	}{
		"one byte more":        {nil, []string{full, "y\nnext\n"}, full + "…\n…y\nnext\n"},
		"no end of line":       {nil, []string{full, "y"}, full + "…\n…y\n"},
		"an end by CR":         {nil, []string{full, "y\rz"}, full + "…\n…y\nz\n"},
		"three parts":          {nil, []string{full, full, "y\n"}, full + "…\n…" + full + "…\n…y\n"},
		"not within a letter":  {nil, []string{full[1:], "éy\n"}, full[1:] + "…\n…éy\n"},
		"a secret in the cut":  {[]string{"s3cret"}, []string{full[3:], "s3c", "ret and more\nnext\n"}, full[3:] + "***…\n… and more\nnext\n"},
		"and nothing behind":   {[]string{"s3cret"}, []string{full[3:], "s3cret\nnext\n"}, full[3:] + "***…\nnext\n"},
		"behind the cut":       {[]string{"s3cret"}, []string{full, "s3cret\n"}, full + "…\n…***\n"},
		"before it":            {[]string{"s3cret"}, []string{full[6:], "s3cret", "y\n"}, full[6:] + "***…\n…y\n"},
		"overlapping over it":  {[]string{"abcd1234", "1234efgh"}, []string{full[5:], "abcd1234efgh!\n"}, full[5:] + "***…\n…!\n"},
		"a longer one inside":  {[]string{"12345", "abcdefgh"}, []string{full, "abcdefgh12345\n"}, full + "…\n…******\n"},
		"nothing but one byte": {[]string{"s3cret"}, append(strings.Split(full, ""), "s3cret\n"), full + "…\n…***\n"},
	} {
		if got := masked(t, c.secrets, c.writes...); got != c.want {
			t.Errorf("%s: %d bytes, %q; want %d, %q", name, len(got), got[max(0, len(got)-30):], len(c.want), c.want[len(c.want)-30:])
		}
	}
	// Masks shorten a line; it is still divided by what came in.
	got := masked(t, []string{"s3cret"}, strings.Repeat("s3cret", 20_000), "\n")
	if n := strings.Count(got, "***"); n != 20_000 || strings.Trim(got, "*…\n") != "" {
		t.Errorf("%d masks, and %q", n, strings.Trim(got, "*"))
	}
}

// TestLineEnds: LF, CR LF and CR end a line, CRs in a row being one; nothing else does. Where the output is cut into writes changes nothing.
func TestLineEnds(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		want   []string
	}{
		"Unix":                      {"a\nb\n", []string{"a", "b"}},
		"Windows":                   {"a\r\nb\r\n", []string{"a", "b"}},
		"old Mac":                   {"a\rb\r", []string{"a", "b"}},
		"mixed":                     {"a\nb\r\nc\rd", []string{"a", "b", "c", "d"}},
		"empty lines":               {"a\n\nb\n\n", []string{"a", "", "b", ""}},
		"empty lines, Windows":      {"a\r\n\r\nb\r\n", []string{"a", "", "b"}},
		"an empty line first":       {"\na\n\r\n", []string{"", "a", ""}},
		"Windows twice":             {"a\r\r\nb\r\r\n", []string{"a", "b"}},
		"a progress bar":            {" 1 %\r 50 %\r100 %\ndone\n", []string{" 1 %", " 50 %", "100 %", "done"}},
		"one that begins with it":   {"\r 1 %\r 50 %\r100 %\ndone\n", []string{" 1 %", " 50 %", "100 %", "done"}},
		"one that ends with both":   {"1 %\r100 %\r\ndone\n", []string{"1 %", "100 %", "done"}},
		"many in a row":             {"a\r\r\r\rb\n", []string{"a", "b"}},
		"a bar, then an empty line": {"1 %\r100 %\r\n\ndone", []string{"1 %", "100 %", "", "done"}},
		"nothing but ends":          {"\r\n\r\r\n\r", []string{"", ""}},
		"not an end":                {"a\u2028b\u2029c\u0085d\ve\ff\n", []string{"a\u2028b\u2029c\u0085d\ve\ff"}},
		"no end":                    {"a", []string{"a"}},
	} {
		want := strings.Join(append(c.want, ""), "\n")
		for size := 1; size <= len(c.output); size++ {
			var writes []string
			for rest := c.output; rest != ""; rest = rest[min(size, len(rest)):] {
				writes = append(writes, rest[:min(size, len(rest))])
			}
			if got := masked(t, nil, writes...); got != want {
				t.Errorf("%s, %d bytes a write: %q, want %q", name, size, got, want)
			}
		}
	}
}

func TestMaskOneLineAWrite(t *testing.T) {
	var lines []string
	m := script.Mask(writer(func(p []byte) (int, error) { lines = append(lines, string(p)); return len(p), nil }), nil)
	_, _ = io.WriteString(m, "a\nb\nc")
	_ = m.Close()
	if strings.Join(lines, "|") != "a\n|b\n|c\n" {
		t.Errorf("got %q", lines)
	}
	m = script.Mask(writer(func([]byte) (int, error) { return 0, io.ErrClosedPipe }), nil)
	if _, err := io.WriteString(m, "a\n"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// FuzzMask holds that no secret of a line's length or less comes through, however the output is cut into writes, and that what
// comes is lines of valid UTF-8.
func FuzzMask(f *testing.F) {
	f.Add("token=s3cret\n", "s3cret", uint8(3))
	f.Add("abcd1234efgh", "1234\nabcd", uint8(1))
	f.Add("\xff\xfe***s3\n", "**s3", uint8(2))
	f.Fuzz(func(t *testing.T, output, secret string, size uint8) {
		step := max(1, int(size))
		var writes []string
		for rest := output; rest != ""; {
			n := min(step, len(rest))
			writes, rest = append(writes, rest[:n]), rest[n:]
		}
		got := masked(t, []string{secret}, writes...)
		if !utf8.ValidString(got) || got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("got %q, no lines of UTF-8", got)
		}
		whole := masked(t, []string{secret}, output)
		if got != whole {
			t.Errorf("in pieces %q, whole %q", got, whole)
		}
		for _, line := range append(strings.Split(secret, "\n"), secret) {
			line = strings.TrimSpace(line)
			if len(line) < script.MinSecret || !utf8.ValidString(line) || strings.ContainsAny(line, "*\uFFFD…\r\n") {
				continue // such a line can come of masks and repairs
			}
			if strings.Contains(got, line) {
				t.Errorf("%q shows %q", got, line)
			}
		}
	})
}
