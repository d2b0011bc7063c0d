package script

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
)

// forms lists the ways in which programs write a secret that isn't there as it is: base64 of it and of what holds it, escaped for a
// URL, and as text in JSON. Those that are the secret itself may be among them.
func forms(secret string) (found []string) {
	found = append(found, base64Forms(secret)...)
	found = append(found, urlForms(secret)...)
	found = append(found, jsonForms(secret)...)
	return append(found, strings.ReplaceAll(secret, "'", `'\''`)) // as set -x shows it
}

// base64Widths are where programs break base64 into lines: base64(1), and PEM as openssl writes it.
var base64Widths = []int{76, 64}

// base64Forms lists what of a secret's base64 depends on it alone, whatever stands before and behind it: three alignments, in both
// alphabets. Where it was encoded by itself, with or without an end of line, the padding and the last letter belong to it too.
func base64Forms(secret string) (found []string) {
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			text := encoding.EncodeToString(append(make([]byte, shift), secret...))
			from, to := (8*shift+5)/6, 8*(shift+len(secret))/6
			found = append(found, text[from:to])
		}

		for _, whole := range []string{secret, secret + "\n"} {
			text := encoding.EncodeToString([]byte(whole))
			found = append(found, text, strings.TrimRight(text, "="))
			for _, width := range base64Widths {
				found = append(found, broken(text, width)...)
			}
		}
	}
	return found
}

// broken cuts a text that is longer than width into lines.
func broken(text string, width int) (lines []string) {
	if len(text) <= width {
		return nil
	}
	for ; len(text) > width; text = text[width:] {
		lines = append(lines, text[:width])
	}
	return append(lines, text)
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// urlForms lists a secret as it stands in a URL or a form. What is left as it is differs: by RFC 3986 and Go, by Python's quote, by
// JavaScript's encodeURIComponent and encodeURI, by Go's PathEscape, and by the standard of HTML forms.
func urlForms(secret string) (found []string) {
	for _, keep := range []string{"~", "~/", "~!*'()", "~!*'();/?:@&=+$,#", "~$&+=:@", "*"} {
		for _, hex := range []string{"%%%02X", "%%%02x"} {
			var text strings.Builder
			for i := range len(secret) {
				if c := secret[i]; strings.IndexByte(unreserved, c) >= 0 || strings.IndexByte(keep, c) >= 0 {
					text.WriteByte(c)
				} else {
					fmt.Fprintf(&text, hex, c)
				}
			}
			found = append(found, text.String(), strings.ReplaceAll(text.String(), "%20", "+"))
		}
	}
	return found
}

// jsonForms lists a secret as text in JSON, without the quotes. Some programs escape what isn't ASCII (Python), what could be HTML (Go),
// or slashes (PHP); and logs hold JSON as text in JSON.
func jsonForms(secret string) (found []string) {
	const html = "<>&\u2028\u2029"
	for _, escape := range []func(r rune) bool{
		func(rune) bool { return false },
		func(r rune) bool { return strings.ContainsRune("\u2028\u2029", r) },
		func(r rune) bool { return strings.ContainsRune(html, r) },
		func(r rune) bool { return r > 0x7e },
		func(r rune) bool { return r > 0x7e || strings.ContainsRune(html+"'", r) },
	} {
		for _, hex := range []string{`\u%04x`, `\u%04X`} {
			text := jsonText(secret, hex, escape)
			found = append(found, text, strings.ReplaceAll(text, "/", `\/`), jsonText(text, hex, escape))
		}
	}
	return found
}

var jsonShort = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

func jsonText(text, hex string, escape func(rune) bool) string {
	var out strings.Builder
	for _, r := range text {
		short, ok := jsonShort[r]
		switch {
		case ok:
			out.WriteString(short)
		case r >= 0x20 && !escape(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, hex+hex, high, low)
		default:
			fmt.Fprintf(&out, hex, r)
		}
	}
	return out.String()
}
