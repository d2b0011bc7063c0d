package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/akrylysov/algnhsa"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
)

// keyKept is how long a request is known again by its Idempotency-Key.
const keyKept = 24 * time.Hour

// keyForm is a structured string (RFC 8941) without escapes, as draft-ietf-httpapi-idempotency-key-header has it, or the
// same bare, as most clients send it.
var keyForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^("[ !#-\[\]-~]{1,128}"|[A-Za-z0-9._~:+/=-]{1,128})$`)
})

// once reads what makes the request the same as one before: its key among its caller's, and all that it asks for.
func once(r *http.Request, in any) (launch.Once, error) {
	given := r.Header.Values("Idempotency-Key")
	switch {
	case len(given) == 0:
		return launch.Once{}, nil
	case len(given) > 1:
		return launch.Once{}, deploy.FieldErrorf("Idempotency-Key", "is there twice")
	case !keyForm().MatchString(given[0]):
		return launch.Once{}, deploy.FieldErrorf("Idempotency-Key", `%q; want 1 to 128 characters of ASCII in quotes, like "8e03978e-40d5-43dd-bc93-6894a57f9324"`,
			deploy.Cut(given[0], 140))
	}
	asked, err := json.Marshal(in)
	if err != nil {
		return launch.Once{}, deploy.Errorf(deploy.Internal, "api", "fingerprint: %w", err)
	}
	return launch.Once{
		Key:         "api-" + digest(identity(r.Context()), strings.Trim(given[0], `"`)),
		Fingerprint: digest(r.Method, r.URL.Path, string(asked)), Keep: keyKept,
	}, nil
}

// digest is of texts, and of where each ends.
func digest(texts ...string) string {
	text, _ := json.Marshal(texts) // of strings: there is one
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// identity is who calls, as IAM's policies know it: a role whatever its session is called, so that the next session may
// ask again.
func identity(ctx context.Context) string {
	event, _ := algnhsa.APIGatewayV1RequestFromContext(ctx)
	arn := event.RequestContext.Identity.UserArn
	if prefix, role, ok := strings.Cut(arn, ":assumed-role/"); ok {
		role, _, _ = strings.Cut(role, "/")
		return prefix + ":assumed-role/" + role
	}
	return arn
}

// startOnce starts the deployment that draft gives, unless the request came before: then what it started is the answer,
// whatever has changed since.
func (c *Control) startOnce(r *http.Request, in any, draft func(context.Context) (*deploy.Deployment, error)) (int, any, error) {
	once, err := once(r, in)
	if err != nil {
		return 0, nil, err
	}
	l := c.launcher()
	if d, err := l.Repeated(r.Context(), once); d != nil || err != nil {
		return launched(d, err)
	}
	d, err := draft(r.Context())
	if err != nil {
		return 0, nil, err
	}
	return launched(l.Start(r.Context(), d, once))
}
