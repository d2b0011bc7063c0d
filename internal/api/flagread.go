package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// staleDays is how long a flag must have been one-sided or silent where nobody says how long.
const staleDays = 30

// MaxFlagPage is the most flags that one page holds.
const MaxFlagPage = 1000

// FlagPage is a page of flags by their keys, without definitions.
type FlagPage struct {
	Flags      []board.Flag `json:"flags"`
	Revision   int64        `json:"revision"` // of the environment: what If-Match on all flags wants
	NextCursor string       `json:"next_cursor,omitempty"`
}

// VersionPage is a page of a flag's versions, the newest first.
type VersionPage struct {
	Versions   []board.Version `json:"versions"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

// ExplainRequest asks what a context is answered, and why.
type ExplainRequest struct {
	Context map[string]any `json:"context"`
}

// flagFilter is what a list shows.
type flagFilter struct {
	state, tag string
	days       int // since when a flag must be stale; 0 for any
	after      string
	limit      int
}

func (c *Control) listFlags(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	want, err := filterOf(r)
	if err != nil {
		return 0, nil, err
	}
	s, err := c.Flags.State(r.Context(), at.app, at.environment)
	if err != nil {
		return 0, nil, err
	}
	found := want.choose(s)
	page := FlagPage{Flags: []board.Flag{}, Revision: s.Revision}
	if len(found) == 0 {
		return http.StatusOK, tagged{version: s.Revision, body: page, byUsage: want.days != 0}, nil
	}
	seen, err := c.Flags.Seen(r.Context(), at.app, at.environment, found[0].Key, found[len(found)-1].Key)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range found {
		f.Usage = board.UsageOf(f.Entry, seen[f.Key], c.Now(), want.since())
		if want.days != 0 && f.Usage.Stale == "" {
			continue
		}
		if len(page.Flags) == want.limit {
			page.NextCursor = pageCursor(page.Flags[want.limit-1].Key)
			break
		}
		page.Flags = append(page.Flags, *f)
	}
	return http.StatusOK, tagged{version: s.Revision, body: page, byUsage: want.days != 0}, nil
}

func filterOf(r *http.Request) (flagFilter, error) {
	q := queryOf(r.URL, "state", "tag", "stale", "limit", "cursor")
	f := flagFilter{state: q.text("state"), tag: q.text("tag"), limit: q.limit(DefaultPage, MaxFlagPage)}
	if states := []string{"", "enabled", "disabled", "archived", "all"}; !slices.Contains(states, f.state) {
		q.refuse("state", "%q is unknown; want enabled, disabled, archived or all", deploy.Cut(f.state, 40))
	}
	if text := q.text("stale"); q.values.Has("stale") {
		var err error
		if f.days, err = strconv.Atoi(text); err != nil || f.days < 1 || f.days > board.MaxStaleDays {
			q.refuse("stale", "%q; want how many days, 1 to %d", deploy.Cut(text, 40), board.MaxStaleDays)
		}
	}
	if text := q.cursor(); text != "" {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		key, ok := strings.CutPrefix(string(raw), "1.")
		if err != nil || !ok || !flag.ValidKey(key) {
			q.refuse("cursor", "%q is none of ours; want next_cursor of an earlier answer", deploy.Cut(text, 80))
		}
		f.after = key
	}
	return f, q.err
}

// since is over how many days the list judges what is stale.
func (f flagFilter) since() int {
	if f.days == 0 {
		return staleDays
	}
	return f.days
}

func pageCursor(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("1." + key)) }

// choose gives the flags that a list may show, in order, without their definitions: where nothing else is asked of them,
// one more than a page has, to know that there is more.
func (f flagFilter) choose(s *board.State) []*board.Flag {
	var found []*board.Flag
	for _, key := range s.Keys() {
		if key <= f.after {
			continue
		}
		each, err := s.Flag(key)
		if err != nil || !f.takes(each) {
			continue
		}
		each.Definition = nil
		if found = append(found, each); f.days == 0 && len(found) > f.limit {
			break
		}
	}
	return found
}

func (f flagFilter) takes(each *board.Flag) bool {
	switch {
	case f.tag != "" && !slices.Contains(each.Tags, f.tag):
		return false
	case f.state == "all":
		return true
	case f.state == "archived" || each.Archived:
		return each.Archived == (f.state == "archived")
	case f.state == "":
		return true
	}
	return each.Enabled == (f.state == "enabled")
}

func (c *Control) getFlag(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	key := r.PathValue("key")
	s, err := c.Flags.State(r.Context(), at.app, at.environment)
	if err != nil {
		return 0, nil, err
	}
	f, err := s.Flag(key)
	if err != nil {
		return 0, nil, err
	}
	seen, err := c.Flags.Seen(r.Context(), at.app, at.environment, key, key)
	if err != nil {
		return 0, nil, err
	}
	f.Usage = board.UsageOf(f.Entry, seen[key], c.Now(), staleDays)
	return http.StatusOK, tagged{version: f.Version, body: f}, nil
}

func (c *Control) listVersions(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	q := queryOf(r.URL, "limit", "cursor")
	limit, cursor := q.limit(DefaultPage, deploy.MaxPage), q.cursor()
	if q.err != nil {
		return 0, nil, q.err
	}
	key := r.PathValue("key")
	found, next, err := c.Flags.Versions(r.Context(), at.app, at.environment, key, limit, cursor)
	if err != nil {
		return 0, nil, err
	}
	if len(found) == 0 && cursor == "" {
		_, err := board.Empty().Flag(key) // its words for what never was
		return 0, nil, err
	}
	return http.StatusOK, VersionPage{found, next}, nil
}

func (c *Control) explainFlag(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	var in ExplainRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if text, err := json.Marshal(in.Context); err != nil || len(text) > flag.MaxContext {
		return 0, nil, deploy.Errorf(deploy.TooLarge, "", "the context has %d bytes; want at most %d", len(text), flag.MaxContext)
	}
	s, err := c.Flags.State(r.Context(), at.app, at.environment)
	if err != nil {
		return 0, nil, err
	}
	if _, err := s.Flag(r.PathValue("key")); err != nil {
		return 0, nil, err
	}
	set, _ := flag.CompileLenient(s.JSON())
	return http.StatusOK, set.Explain(r.PathValue("key"), flag.ContextOf(in.Context)), nil
}
