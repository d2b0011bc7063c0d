package api

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// tagged is a body whose version is its ETag: what If-Match takes. It says nothing of a flag's usage, which If-None-Match passes
// over, too, unless the usage decides which flags are there.
type tagged struct {
	version int64
	body    any
	byUsage bool // so that If-None-Match has no say
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// tagOf is the strong ETag of any other body: of its bytes, so that it holds whatever they are made of.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// tags tells whether If-None-Match names a tag, in RFC 9110's weak comparison: in a list, with W/ before it, or by *. What
// can't be read names nothing.
func tags(header []string, tag string) bool {
	list := strings.Join(header, ",")
	if strings.Trim(list, " \t") == "*" {
		return true
	}
	found := false
	for {
		if list = strings.TrimLeft(list, " \t,"); list == "" {
			return found
		}
		opaque, ok := strings.CutPrefix(strings.TrimPrefix(list, "W/"), `"`)
		value, rest, closed := strings.Cut(opaque, `"`)
		if rest = strings.TrimLeft(rest, " \t"); !ok || !closed || rest != "" && rest[0] != ',' {
			return false
		}
		found = found || `"`+value+`"` == tag
		list = rest
	}
}
