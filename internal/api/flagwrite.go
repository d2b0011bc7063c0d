package api

import (
	"net/http"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// Reason is the body of a change that needs nothing else said.
type Reason struct {
	Why string `json:"why,omitempty"`
}

// RolloutRequest asks for a share of the users.
type RolloutRequest struct {
	Percent *float64 `json:"percent"` // 0 to 100
	Why     string   `json:"why,omitempty"`
}

// RestoreRequest asks for an earlier version's definition.
type RestoreRequest struct {
	Version int64  `json:"version"`
	Why     string `json:"why,omitempty"`
}

// change makes one change of the flag that the path names, and answers with the flag as it is then.
func (c *Control) change(r *http.Request, why string, decide func(d *board.Draft, key string, m board.Match) error) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	m, err := match(r)
	if err != nil {
		return 0, nil, err
	}
	key := r.PathValue("key")
	var notes []string
	s, err := c.Flags.Change(r.Context(), at.app, at.environment, c.origin(r, why), func(d *board.Draft) error {
		d.HashVersion = at.hashVersion
		err := decide(d, key, m)
		notes = d.Notes
		return err
	})
	if err != nil {
		return 0, nil, board.Within(key, err)
	}
	f, err := s.Flag(key)
	if err != nil {
		return 0, nil, err
	}
	f.Notes = notes
	return http.StatusOK, tagged{version: f.Version, body: f}, nil
}

func (c *Control) putFlag(r *http.Request) (int, any, error) {
	body, err := text(r, MaxBody, "application/json")
	if err != nil {
		return 0, nil, err
	}
	created := false
	status, answer, err := c.change(r, "", func(d *board.Draft, key string, m board.Match) error {
		_, missing := d.State().Flag(key)
		created = missing != nil
		return d.Put(key, body, m)
	})
	if err == nil && created {
		status = http.StatusCreated
	}
	return status, answer, err
}

func (c *Control) patchFlag(r *http.Request) (int, any, error) {
	body, err := object(r, "application/merge-patch+json", "application/json")
	if err != nil {
		return 0, nil, err
	}
	return c.change(r, "", func(d *board.Draft, key string, m board.Match) error { return d.Patch(key, body, m) })
}

func (c *Control) deleteFlag(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	m, err := match(r)
	if err != nil {
		return 0, nil, err
	}
	key := r.PathValue("key")
	s, err := c.Flags.Change(r.Context(), at.app, at.environment, c.origin(r, ""), func(d *board.Draft) error { return d.Delete(key, m) })
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, board.Flag{Key: key, Tags: []string{}, Entry: s.Index[key]}, nil
}

func (c *Control) enableFlag(r *http.Request) (int, any, error) {
	return c.toggle(r, (*board.Draft).Enable)
}

func (c *Control) disableFlag(r *http.Request) (int, any, error) {
	return c.toggle(r, (*board.Draft).Disable)
}

func (c *Control) toggle(r *http.Request, decide func(d *board.Draft, key string, m board.Match) error) (int, any, error) {
	var in Reason
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	return c.change(r, in.Why, decide)
}

func (c *Control) rollOutFlag(r *http.Request) (int, any, error) {
	var in RolloutRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Percent == nil || *in.Percent < 0 || *in.Percent > 100 {
		return 0, nil, deploy.FieldErrorf("percent", "want a number from 0 to 100")
	}
	return c.change(r, in.Why, func(d *board.Draft, key string, m board.Match) error { return d.RollOut(key, *in.Percent, m) })
}

func (c *Control) restoreFlag(r *http.Request) (int, any, error) {
	var in RestoreRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Version < 1 {
		return 0, nil, deploy.FieldErrorf("version", "want one of the flag's versions, from 1")
	}
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := c.Flags.Version(r.Context(), at.app, at.environment, r.PathValue("key"), in.Version)
	if err != nil {
		return 0, nil, err
	}
	return c.change(r, in.Why, func(d *board.Draft, _ string, m board.Match) error { return d.Restore(v, m) })
}
