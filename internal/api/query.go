package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxCursor is the most bytes that a cursor can have.
const MaxCursor = 1024

// queried are the routes that take parameters, and read them by themselves.
var queried = map[string]bool{
	"GET " + flatRoutes + "/deployments":                  true,
	"GET " + flatRoutes + "/deployments/{id}/logs":        true,
	"GET " + appRoutes + "/deployments":                   true,
	"GET " + appRoutes + "/deployments/{id}/logs":         true,
	"GET " + environmentRoutes + "/deployments":           true,
	"GET " + environmentRoutes + "/deployments/{id}/logs": true,
	"GET /v1/apps": true,
	"GET /v1/apps/{app}/environments/{environment}/flags":                true,
	"PUT /v1/apps/{app}/environments/{environment}/flags":                true,
	"GET /v1/apps/{app}/environments/{environment}/flags.flagd.json":     true,
	"POST /v1/apps/{app}/environments/{environment}/flags.copy":          true,
	"GET /v1/apps/{app}/environments/{environment}/flags/{key}/versions": true,
}

// noQuery refuses every parameter of a route that takes none.
func noQuery(route string, r *http.Request) error {
	if queried[route] || r.URL.RawQuery == "" {
		return nil
	}
	return queryOf(r.URL).err
}

// query reads a URL's parameters. The first that is wrong stays in err.
type query struct {
	values url.Values
	err    error
}

// queryOf takes no parameter but those named, and each only once: a misspelt filter must not pass for none.
func queryOf(u *url.URL, known ...string) *query {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return &query{err: deploy.Errorf(deploy.Invalid, "", "the query can't be read: %w", err)}
	}
	q := &query{values: values}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			q.refuse(deploy.Cut(name, 80), "unknown; %s", wantOf(known))
		case len(given) > 1:
			q.refuse(name, "is there twice")
		case given[0] == "" && name != "cursor": // a script's first page has none
			q.refuse(name, "is empty; want a value, or no %s at all", name)
		}
	}
	return q
}

func wantOf(known []string) string {
	if len(known) == 0 {
		return "this route takes no parameters"
	}
	return "want " + strings.Join(known, ", ")
}

func (q *query) refuse(field, format string, args ...any) {
	if q.err == nil {
		q.err = deploy.FieldErrorf(field, format, args...)
	}
}

// text gives a parameter, "" where it isn't there.
func (q *query) text(name string) string { return q.values.Get(name) }

// truth gives a switch, false where it isn't there.
func (q *query) truth(name string) bool {
	text := q.text(name)
	if q.values.Has(name) && text != "true" && text != "false" {
		q.refuse(name, "%q; want true or false", deploy.Cut(text, 40))
	}
	return text == "true"
}

// limit gives the page's size.
func (q *query) limit(byDefault, most int) int {
	text := q.text("limit")
	if !q.values.Has("limit") {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.refuse("limit", "%q; want 1 to %d", deploy.Cut(text, 40), most)
	}
	return n
}

// cursor gives where to go on. Whoever made it says whether it's right; here it's only bounded.
func (q *query) cursor() string {
	text := q.text("cursor")
	if len(text) > MaxCursor {
		q.refuse("cursor", "%d bytes; want next_cursor of an earlier answer", len(text))
	}
	return text
}
