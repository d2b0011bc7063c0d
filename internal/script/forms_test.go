package script_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/script"
)

// secretsOfAllKinds are such as people have.
var secretsOfAllKinds = map[string]string{
	"a password":           "hunter2!",
	"of special letters":   `p@ss/w+rd&"<x>'=\ ~*%`,
	"of other letters":     "pässwört-€-𝄞-日本",
	"of four letters":      "a9Z_",
	"of five":              "a9Z_b",
	"of six":               "a9Z_bc",
	"a token":              "ghp_0123456789abcdefghijklmnopqrstuvwxyzABCD",
	"a key of AWS":         "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY+",
	"a key in PEM":         "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4\nMC4CAQAwBQYDK2VwBCIEIHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4\n-----END KEY-----\n",
	"JSON":                 `{"user":"shop","password":"a/b c"}`,
	"a URL":                "postgres://shop:p%40ss@db.example.com:5432/shop?sslmode=require&x=1",
	"of control letters":   "ab\tcd\x01\x7fef",
	"of two lines, by CR":  "first line\r\nsecond line",
	"with a dollar":        "$HOME-is-`no`-$(good)",
	"with separators":      "line\u2028separator\u2029here",
	"with blanks at front": "  padded  ",
}

// TestMaskForms: a secret shows in none of the forms that programs write it in, by what those programs really write, alone and
// among other text.
func TestMaskForms(t *testing.T) {
	for kind, secret := range secretsOfAllKinds {
		trimmed := strings.TrimRight(secret, "\r\n")
		for form, write := range map[string]func(s string) string{
			"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			"base64 unpadded":  func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
			"base64 for URLs":  func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
			"base64 of echo":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s + "\n")) },
			"a query":          url.QueryEscape,
			"a query, small":   func(s string) string { return lower(url.QueryEscape(s)) },
			"a path":           url.PathEscape,
			"a query with %20": func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
			"JSON by Go":       func(s string) string { return quoted(t, s, true) },
			"JSON by JavaScript": func(s string) string {
				return strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(quoted(t, s, false))
			},
			"JSON in JSON":        func(s string) string { return quoted(t, quoted(t, s, false), false) },
			"JSON with its slash": func(s string) string { return strings.ReplaceAll(quoted(t, s, false), "/", `\/`) },
		} {
			for place, text := range map[string]string{"alone": write(trimmed), "among others": "x: [" + write(trimmed) + "] y"} {
				got := masked(t, []string{secret}, text+"\n")
				if want := strings.Replace(text, write(trimmed), "***", 1) + "\n"; got != want {
					t.Errorf("%s as %s, %s: %q came of %q", kind, form, place, got, text)
				}
			}
		}
	}
}

// TestMaskBase64Within: what holds a secret shows none of it as base64, wherever in that it stands.
func TestMaskBase64Within(t *testing.T) {
	for kind, secret := range secretsOfAllKinds {
		trimmed := strings.TrimRight(secret, "\r\n")
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			for front := range 4 {
				for back := range 4 {
					text := encoding.EncodeToString([]byte(strings.Repeat("u", front) + trimmed + strings.Repeat(":", back)))
					got := strings.TrimSuffix(masked(t, []string{secret}, text+"\n"), "\n")
					left := strings.Split(got, "***")
					// A letter on each side may hold up to four bits of the secret besides those of its neighbour.
					if len(left) != 2 || len(left[0]) > (8*front+5)/6 || len(strings.TrimRight(left[1], "=")) > (8*back+5)/6+1 {
						t.Errorf("%s behind %d and before %d: %q of %q", kind, front, back, got, text)
					}
				}
			}
		}
	}
}

// TestMaskBase64Lines: base64(1) breaks its lines, and openssl and PEM at another place.
func TestMaskBase64Lines(t *testing.T) {
	secret := strings.Repeat("0123456789abcdefghij", 10)
	for _, width := range []int{76, 64} {
		for _, behind := range []string{"", "\n"} {
			text, lines := base64.StdEncoding.EncodeToString([]byte(secret+behind)), 0
			var out strings.Builder
			for ; text != ""; lines++ {
				n := min(width, len(text))
				out.WriteString(text[:n] + "\n")
				text = text[n:]
			}
			if got := masked(t, []string{secret}, out.String()); got != strings.Repeat("***\n", lines) {
				t.Errorf("at %d, with %q: %q", width, behind, got)
			}
		}
	}
}

// TestMaskByPrograms: what the machine's own programs make of secrets.
func TestMaskByPrograms(t *testing.T) {
	var kinds, values []string
	for kind, secret := range secretsOfAllKinds {
		kinds, values = append(kinds, kind), append(values, strings.TrimRight(secret, "\r\n"))
	}
	shell := func(command string) []string {
		return []string{"/bin/bash", "-c", `for s in "$@"; do ` + command + "; echo --8--; done", "bash"}
	}
	python := func(value string) []string {
		return []string{"python3", "-c", "import json,sys,urllib.parse as u\nfor s in sys.argv[1:]: print(" + value + "); print('--8--')"}
	}
	node := func(value string) []string {
		return []string{"node", "-e", "for (const s of process.argv.slice(1)) { console.log(" + value + "); console.log('--8--') }", "--"} // a secret may begin with a hyphen
	}

	for program, command := range map[string][]string{
		"base64":           shell(`printf %s "$s" | base64`),
		"base64 of echo":   shell(`printf '%s\n' "$s" | base64`),
		"set -x":           shell(`(set -x; : "$s") 2>&1`),
		"json.dumps":       python("json.dumps(s)"),
		"json, not ASCII":  python("json.dumps(s, ensure_ascii=False)"),
		"quote":            python("u.quote(s)"),
		"quote, no safe":   python("u.quote(s, safe='')"),
		"quote_plus":       python("u.quote_plus(s)"),
		"encodeURI":        node("encodeURI(s)"),
		"component":        node("encodeURIComponent(s)"),
		"a form":           node("new URLSearchParams({s}).toString()"),
		"JSON.stringify":   node("JSON.stringify({s})"),
		"base64 by node":   node("Buffer.from('user:' + s).toString('base64')"),
		"base64 for a URL": node("Buffer.from(s).toString('base64url')"),
	} {
		cmd := exec.Command(command[0], append(command[1:], values...)...)
		cmd.Env = append(cmd.Environ(), "PYTHONIOENCODING=utf-8", "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		wrote := strings.Split(string(out), "--8--\n")
		if err != nil || len(wrote) != len(values)+1 {
			t.Fatalf("%s: %v: %s", program, err, out)
		}
		for i, secret := range values {
			if program == "set -x" && strings.ContainsAny(secret, "\u2028\x01") {
				continue // bash has digits of its own for these
			}
			got := masked(t, []string{secretsOfAllKinds[kinds[i]]}, wrote[i])
			if !strings.Contains(got, "***") || shows(got, secret, 6) {
				t.Errorf("%s by %s: %q came of %q", kinds[i], program, got, wrote[i])
			}
		}
	}
}

// shows reports whether n letters of a secret in a row are in a text, as they are or as base64.
func shows(text, secret string, n int) bool {
	for _, s := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
		for i := 0; i+n <= len(s); i++ {
			if part := s[i : i+n]; strings.Contains(text, part) && strings.TrimSpace(part) != "" {
				return true
			}
		}
	}
	return false
}

func quoted(t *testing.T, s string, html bool) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(html)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(out.String(), "\n")
	return text[1 : len(text)-1]
}

// lower writes the digits of escapes small.
func lower(escaped string) string {
	parts := strings.Split(escaped, "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

// TestMaskIsQuick: a hundred secrets in all their forms don't hold up what is loud, and a secret as long as they get doesn't either.
func TestMaskIsQuick(t *testing.T) {
	var secrets []string
	for i := range 100 {
		secrets = append(secrets, fmt.Sprintf("%03d_live/&=%s", i, strings.Repeat("ab\"c", 10)))
	}
	secrets = append(secrets, strings.Repeat("long & \"dull\"\n", 1200), strings.Repeat("x", 64<<10))
	begun := time.Now()
	m := script.Mask(io.Discard, secrets)
	made := time.Since(begun)
	line := []byte(strings.Repeat("001_live but none of them, as long as lines are ", 3) + "\n")
	for range (16 << 20) / len(line) {
		if _, err := m.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("16 MB took %s, %s of them to begin", took, made)
	} else {
		t.Logf("16 MB took %s, %s of them to begin", took, made)
	}
}
