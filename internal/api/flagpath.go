package api

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/akrylysov/algnhsa"
)

// withNames returns the request with the path that API Gateway matched, where the path as it came would lose a name: a
// flag that is called .. is a folder in it. The resource and its parameters are what the gateway asked IAM about.
func withNames(r *http.Request) *http.Request {
	event, _ := algnhsa.APIGatewayV1RequestFromContext(r.Context())
	if path.Clean(r.URL.Path) == r.URL.Path || !strings.Contains(event.Resource, "{") {
		return r
	}
	parts := strings.Split(event.Resource, "/")
	for i, part := range parts {
		if name, isName := strings.CutPrefix(part, "{"); isName {
			parts[i] = escapeName(event.PathParameters[strings.TrimSuffix(name, "}")])
		}
	}
	raw := strings.Join(parts, "/")
	plain, err := url.PathUnescape(raw)
	if err != nil {
		return r
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = plain, raw
	return r
}

// escapeName escapes a name for a path, dots alone too. Gateways differ in whether they have unescaped it.
func escapeName(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// plainNames refuses a path with an escape that its name doesn't need. IAM may compare the path as it was sent: a policy that denies
// environments/production would let environments/%70roduction pass.
func plainNames(r *http.Request) error {
	event, _ := algnhsa.APIGatewayV1RequestFromContext(r.Context())
	for _, sent := range strings.Split(cmp.Or(event.Path, r.URL.EscapedPath()), "/") {
		name, err := url.PathUnescape(sent)
		if isDots := name == "." || name == ".."; err == nil && !isDots && sent != name && url.PathEscape(name) == name {
			return noRoute(r)
		}
	}
	return nil
}
