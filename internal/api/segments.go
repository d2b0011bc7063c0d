package api

import (
	"net/http"

	"github.com/slipway-cd/slipway/internal/board"
)

// SegmentPage is all segments of an environment.
type SegmentPage struct {
	Segments []board.Segment `json:"segments"`
	Revision int64           `json:"revision"` // of the environment: what a change of a segment must match
}

// Segment is one with the environment's revision.
type Segment struct {
	board.Segment
	Revision int64 `json:"revision"`
}

func (c *Control) listSegments(r *http.Request) (int, any, error) {
	s, err := c.state(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, tagged{version: s.Revision, body: SegmentPage{s.Segments(), s.Revision}}, nil
}

func (c *Control) getSegment(r *http.Request) (int, any, error) {
	s, err := c.state(r)
	if err != nil {
		return 0, nil, err
	}
	return segmentOf(s, r.PathValue("segment"))
}

func segmentOf(s *board.State, name string) (int, any, error) {
	found, err := s.Segment(name)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, tagged{version: s.Revision, body: Segment{*found, s.Revision}}, nil
}

func (c *Control) state(r *http.Request) (*board.State, error) {
	at, err := c.site(r)
	if err != nil {
		return nil, err
	}
	return c.Flags.State(r.Context(), at.app, at.environment)
}

func (c *Control) putSegment(r *http.Request) (int, any, error) {
	rule, err := object(r, "application/json")
	if err != nil {
		return 0, nil, err
	}
	name, created := r.PathValue("segment"), false
	s, err := c.changeSegment(r, func(d *board.Draft, m board.Match) error {
		_, missing := d.State().Segment(name)
		created = missing != nil
		return d.PutSegment(name, rule, m)
	})
	if err != nil {
		return 0, nil, board.WithinSegment(name, err)
	}
	status, answer, err := segmentOf(s, name)
	if created && err == nil {
		status = http.StatusCreated
	}
	return status, answer, err
}

func (c *Control) deleteSegment(r *http.Request) (int, any, error) {
	var gone Segment
	s, err := c.changeSegment(r, func(d *board.Draft, m board.Match) error {
		if was, err := d.State().Segment(r.PathValue("segment")); err == nil {
			gone.Segment = *was
		}
		return d.DeleteSegment(r.PathValue("segment"), m)
	})
	if err != nil {
		return 0, nil, err
	}
	gone.Revision = s.Revision
	return http.StatusOK, gone, nil
}

func (c *Control) changeSegment(r *http.Request, decide func(*board.Draft, board.Match) error) (*board.State, error) {
	at, err := c.site(r)
	if err != nil {
		return nil, err
	}
	m, err := match(r)
	if err != nil {
		return nil, err
	}
	return c.Flags.Change(r.Context(), at.app, at.environment, c.origin(r, ""), func(d *board.Draft) error { return decide(d, m) })
}
