package apitest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// flags is what a Cloud keeps of them.
type flags struct {
	states   map[string]*board.State
	versions map[string][]board.Version // the oldest first
	seen     map[string]map[string][]board.Seen
	keys     map[string]board.Key
}

func newFlags() flags {
	return flags{states: map[string]*board.State{}, versions: map[string][]board.Version{},
		seen: map[string]map[string][]board.Seen{}, keys: map[string]board.Key{}}
}

// Serve notes that a variant was served from first to last.
func (c *Cloud) Serve(app, environment, flag, variant string, first, last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := app + "#" + environment
	if c.flags.seen[at] == nil {
		c.flags.seen[at] = map[string][]board.Seen{}
	}
	c.flags.seen[at][flag] = append(c.flags.seen[at][flag], board.Seen{Variant: variant, First: first, Last: last})
}

// SetFlags stores an environment's flags as they are.
func (c *Cloud) SetFlags(app, environment string, s *board.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags.states[app+"#"+environment] = s
}

// State implements api.Boards.
func (c *Cloud) State(_ context.Context, app, environment string) (*board.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.flags.states[app+"#"+environment]; s != nil {
		return s, nil
	}
	return board.Empty(), nil
}

// Change implements api.Boards. States are never changed in place.
func (c *Cloud) Change(ctx context.Context, app, environment string, o board.Origin, decide func(*board.Draft) error) (*board.State, error) {
	for {
		s, err := c.State(ctx, app, environment)
		if err != nil {
			return nil, err
		}
		draft := s.Draft(o)
		if err := decide(draft); err != nil {
			return nil, err
		}
		commit, err := draft.Commit()
		if err != nil || commit == nil {
			return s, err
		}
		if c.commit(app, environment, commit) {
			return commit.Next, nil
		}
	}
}

func (c *Cloud) commit(app, environment string, commit *board.Commit) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := app + "#" + environment
	if s := c.flags.states[at]; s != nil && s.Revision != commit.Base.Revision {
		return false
	}
	c.flags.states[at] = commit.Next
	for _, v := range commit.Versions {
		c.flags.versions[at+"#"+v.Key] = append(c.flags.versions[at+"#"+v.Key], clone(v))
	}
	return true
}

// Versions implements api.Versions.
func (c *Cloud) Versions(_ context.Context, app, environment, flag string, limit int, cursor string) ([]board.Version, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.flags.versions[app+"#"+environment+"#"+flag]
	names := make([]string, len(all))
	for i, v := range all {
		names[len(all)-1-i] = strconv.FormatInt(v.Version, 10)
	}
	names, next, err := page(names, cursor, limit)
	found := []board.Version{}
	for _, name := range names {
		n, _ := strconv.Atoi(name)
		found = append(found, clone(all[n-1]))
	}
	return found, next, err
}

// Version implements api.Versions.
func (c *Cloud) Version(_ context.Context, app, environment, flag string, version int64) (*board.Version, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.flags.versions[app+"#"+environment+"#"+flag]
	if version < 1 || version > int64(len(all)) {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "version", Err: fmt.Errorf("there is no version %d of flag %q", version, flag)}
	}
	v := clone(all[version-1])
	return &v, nil
}

// Seen implements api.Evaluations.
func (c *Cloud) Seen(_ context.Context, app, environment, from, to string) (map[string][]board.Seen, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]board.Seen{}
	for flag, seen := range c.flags.seen[app+"#"+environment] {
		if to == "" || flag >= from && flag <= to {
			found[flag] = slices.Clone(seen)
		}
	}
	return found, nil
}

// CreateKey implements api.EvaluationKeys.
func (c *Cloud) CreateKey(_ context.Context, k *board.Key) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags.keys[k.ID] = *k
	return nil
}

// Keys implements api.EvaluationKeys.
func (c *Cloud) Keys(_ context.Context, app, environment string) ([]board.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := []board.Key{}
	for _, k := range c.flags.keys {
		if k.App == app && k.Environment == environment {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b board.Key) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// RevokeKey implements api.EvaluationKeys.
func (c *Cloud) RevokeKey(_ context.Context, app, environment, id, by string, now time.Time) (*board.Key, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.flags.keys[id]
	if !ok || k.App != app || k.Environment != environment {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "id", Err: fmt.Errorf("there is no evaluation key %q", id)}
	}
	if k.RevokedAt == nil {
		k.RevokedAt, k.RevokedBy = &now, by
		c.flags.keys[id] = k
	}
	return &k, nil
}
