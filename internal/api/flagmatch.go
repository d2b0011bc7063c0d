package api

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/akrylysov/algnhsa"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// match reads If-Match and If-None-Match before a change, as RFC 9110 has them: *, or a list of entity tags. If-Match
// compares strongly, so that a weak tag matches nothing; If-None-Match compares weakly. A tag that ETag never gave is
// another version's.
func match(r *http.Request) (board.Match, error) {
	var m board.Match
	given, isAny, err := entityTags(r, "If-Match")
	if err != nil {
		return m, err
	}
	not, isNone, err := entityTags(r, "If-None-Match")
	if err != nil {
		return m, err
	}
	m.Any, m.None = isAny, isNone
	if given != nil {
		m.Versions = []int64{}
	}
	for _, tag := range given {
		if n, ok := tag.version(); ok && !tag.isWeak {
			m.Versions = append(m.Versions, n)
		}
	}
	for _, tag := range not {
		if n, ok := tag.version(); ok {
			m.Not = append(m.Not, n)
		}
	}
	return m, nil
}

// entityTag is one of a list.
type entityTag struct {
	opaque string // without its quotation marks
	isWeak bool
}

// version returns the version that the tag names. It reports false unless etag makes just that tag of it.
func (t entityTag) version() (int64, bool) {
	n, err := strconv.ParseInt(t.opaque, 10, 64)
	return n, err == nil && n >= 0 && etag(n) == `"`+t.opaque+`"`
}

// maxTags bounds how many tags a header lists.
const maxTags = 100

// entityTags reads a header of entity tags, on one line or on several. It returns nil where the header is not there, and
// reports whether it is *.
func entityTags(r *http.Request, name string) (tags []entityTag, isAny bool, err error) {
	lines := r.Header.Values(name)
	if len(lines) == 0 {
		return nil, false, nil
	}
	text := strings.Join(lines, ",")
	rest := strings.Trim(text, " \t")
	if rest == "*" {
		return nil, true, nil
	}
	for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		var tag entityTag
		rest, tag.isWeak = strings.CutPrefix(rest, "W/")
		opaque, opened := strings.CutPrefix(rest, `"`)
		value, after, closed := strings.Cut(opaque, `"`)
		after = strings.TrimLeft(after, " \t")
		isLast := after == "" || after[0] == ','
		if !opened || !closed || !isLast || strings.ContainsFunc(value, isNoTag) || len(tags) == maxTags {
			return nil, false, wrongTags(name, text)
		}
		tag.opaque, rest = value, after
		tags = append(tags, tag)
	}
	if tags == nil {
		return nil, false, wrongTags(name, text)
	}
	return tags, false, nil
}

func wrongTags(name, text string) error {
	return deploy.FieldErrorf(name, `%q; want *, or ETags as they were given, like "7"`, deploy.Cut(text, 40))
}

// isNoTag reports whether a character can't stand in an entity tag.
func isNoTag(r rune) bool { return r <= ' ' || r == 0x7f }

// MaxReason is the most bytes of a reason that are kept.
const MaxReason = 500

// origin says who asks, from where, and why: as the body has it, else the header X-Slipway-Reason, which may be
// percent-encoded.
func (c *Control) origin(r *http.Request, why string) board.Origin {
	o := board.Origin{Time: c.Now().UTC(), By: "unknown", UserAgent: deploy.Cut(r.UserAgent(), 200), Why: why}
	o.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	if event, ok := algnhsa.APIGatewayV1RequestFromContext(r.Context()); ok {
		identity := event.RequestContext.Identity
		o.By, o.SourceIP, o.UserAgent = identity.UserArn, identity.SourceIP, deploy.Cut(identity.UserAgent, 200)
	}
	if o.Why == "" {
		o.Why = r.Header.Get("X-Slipway-Reason")
		if text, err := url.PathUnescape(o.Why); err == nil {
			o.Why = text
		}
	}
	o.Why = deploy.Cut(strings.ToValidUTF8(o.Why, "?"), MaxReason)
	return o
}
