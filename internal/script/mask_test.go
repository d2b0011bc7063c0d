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
		"carriage return":     {nil, []string{"a\r\nb\r\r\n"}, "a\nb\r\n"},
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
	if got := masked(t, nil, full, "y\nnext\n"); got != full+"…\nnext\n" {
		t.Errorf("one byte more: %d bytes", len(got))
	}
	// The cut falls into a secret: none of it may show.
	got := masked(t, []string{"s3cret"}, full[3:], "s3c", "ret and more", strings.Repeat("z", 1<<20), "\nnext\n")
	if want := full[3:] + "***…\nnext\n"; got != want {
		t.Errorf("ends in %q, want %q", got[len(got)-20:], want[len(want)-20:])
	}
	// Many secrets shorten a line; it is still cut by what came in.
	got = masked(t, []string{"s3cret"}, strings.Repeat("s3cret", 20_000), "\n")
	if strings.Contains(got, "s3c") || !strings.HasSuffix(got, "…\n") {
		t.Errorf("ends in %q", got[len(got)-20:])
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
