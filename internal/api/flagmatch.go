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

// match reads If-Match and If-None-Match as they may stand before a change: one version that ETag gave, or *.
func match(r *http.Request) (board.Match, error) {
	given, not := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	switch {
	case len(given) == 0 && len(not) == 0:
		return board.Match{}, nil
	case len(given)+len(not) > 1:
		return board.Match{}, deploy.FieldErrorf("If-Match", "there is more than one; want one of If-Match and If-None-Match")
	case len(not) == 1 && strings.TrimSpace(not[0]) == "*":
		return board.Match{None: true}, nil
	case len(not) == 1:
		return board.Match{}, deploy.FieldErrorf("If-None-Match", "%q; want *, for what isn't there yet", deploy.Cut(not[0], 40))
	}
	text := strings.TrimSpace(given[0])
	if text == "*" {
		return board.Match{Any: true}, nil
	}
	digits, opened := strings.CutPrefix(text, `"`)
	digits, closed := strings.CutSuffix(digits, `"`)
	n, err := strconv.ParseInt(digits, 10, 64)
	if !opened || !closed || err != nil || n < 1 || etag(n) != text {
		return board.Match{}, deploy.FieldErrorf("If-Match", `%q; want * or one ETag as it was given, like "7"`, deploy.Cut(text, 40))
	}
	return board.Match{Version: n}, nil
}

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
