package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// Bounds on what passes through API Gateway and Lambda at once.
const (
	maxListed = 1000    // changes that an answer lists
	maxAnswer = 4 << 20 // bytes; a function's answer has at most 6 MB, with every quote of it escaped
	maxEvent  = 6 << 20 // bytes; what is longer never reaches a function, and what is too long for a document is said by its reader
)

// Changes is what an import or a copy did, or with a dry run would do.
type Changes struct {
	Revision   int64              `json:"revision"` // of the environment, after it; of a dry run, as it is
	DryRun     bool               `json:"dry_run"`
	Flags      int                `json:"flags"`                // how many were changed
	Changes    []FlagChange       `json:"changes"`              // the first thousand, by their keys
	Difference []board.Difference `json:"difference,omitempty"` // of $evaluators and metadata
	Notes      []Fault            `json:"notes,omitempty"`      // what was left out, and why
}

// FlagChange is what becomes of one flag.
type FlagChange struct {
	Key        string             `json:"key"`
	Action     board.Action       `json:"action"`
	Version    int64              `json:"version"`
	Difference []board.Difference `json:"difference"`
}

// CopyRequest asks to put another environment's flags here. The caller reads them there, by a right to that environment, and sends them
// along: a request has one path, and IAM judges one right by it.
type CopyRequest struct {
	Document board.Document `json:"document"`       // as GET flags.flagd.json?format=slipway has it
	Keys     []string       `json:"keys,omitempty"` // default all that aren't archived
	Why      string         `json:"why,omitempty"`
}

func (c *Control) importFlags(r *http.Request) (int, any, error) {
	q := queryOf(r.URL, "dry_run", "keep")
	dry, keep := q.truth("dry_run"), q.truth("keep")
	if q.err != nil {
		return 0, nil, q.err
	}
	body, err := text(r, maxEvent, "application/json")
	if err != nil {
		return 0, nil, err
	}
	doc, notes, err := flag.ImportDocument(body)
	if err != nil {
		return 0, nil, err
	}
	return c.changeAll(r, "", dry, faults(notes), func(d *board.Draft, m board.Match) error { return d.Import(doc, keep, m) })
}

func (c *Control) copyFlags(r *http.Request) (int, any, error) {
	q := queryOf(r.URL, "dry_run")
	dry := q.truth("dry_run")
	if q.err != nil {
		return 0, nil, q.err
	}
	var in CopyRequest
	if err := decodeUpTo(r, maxEvent, &in); err != nil {
		return 0, nil, err
	}
	if in.Document.Flags == nil {
		return 0, nil, deploy.FieldErrorf("document.flags", "is missing; want what GET flags.flagd.json?format=slipway answers for the environment to copy from")
	}
	status, out, err := c.changeAll(r, in.Why, dry, nil, func(d *board.Draft, m board.Match) error { return d.Copy(&in.Document, in.Keys, m) })
	return status, out, inDocument(err)
}

// inDocument has the places of a copied document that can't be right be places of the request's body.
func inDocument(err error) error {
	var invalid *flag.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	out := &flag.Invalid{}
	for _, p := range invalid.Problems {
		p.Path = "/document" + p.Path
		out.Problems = append(out.Problems, p)
	}
	return out
}

func faults(problems []flag.Problem) []Fault {
	list := make([]Fault, 0, len(problems))
	for _, p := range problems {
		list = append(list, Fault{p.Path, p.Message})
	}
	return list
}

// changeAll makes one change of many flags. A dry run decides the same and writes nothing; it needs no If-Match.
func (c *Control) changeAll(r *http.Request, why string, dry bool, notes []Fault,
	decide func(*board.Draft, board.Match) error) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	m, err := match(r)
	if err != nil {
		return 0, nil, err
	}
	if dry {
		return c.rehearse(r, at, notes, decide)
	}
	out := Changes{Changes: []FlagChange{}}
	s, err := c.Flags.Change(r.Context(), at.app, at.environment, c.origin(r, why), func(d *board.Draft) error {
		d.HashVersion = at.hashVersion
		if err := decide(d, m); err != nil {
			return err
		}
		commit, err := d.Commit() // once more in the store: the same, since a draft that is complete changes no more
		out = changesOf(commit, d.Notes, notes)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	out.Revision = s.Revision
	return http.StatusOK, tagged{version: s.Revision, body: out}, nil
}

func (c *Control) rehearse(r *http.Request, at site, notes []Fault,
	decide func(*board.Draft, board.Match) error) (int, any, error) {
	s, err := c.Flags.State(r.Context(), at.app, at.environment)
	if err != nil {
		return 0, nil, err
	}
	d := s.Draft(c.origin(r, ""))
	d.HashVersion = at.hashVersion
	if err := decide(d, board.Is(s.Revision)); err != nil {
		return 0, nil, err
	}
	commit, err := d.Commit()
	if err != nil {
		return 0, nil, err
	}
	out := changesOf(commit, d.Notes, notes)
	out.Revision, out.DryRun = s.Revision, true
	return http.StatusOK, tagged{version: s.Revision, body: out}, nil
}

func changesOf(commit *board.Commit, drafts []string, notes []Fault) Changes {
	out := Changes{Changes: []FlagChange{}, Notes: notes[:len(notes):len(notes)]}
	for _, text := range drafts {
		out.Notes = append(out.Notes, Fault{Detail: text})
	}
	if commit == nil {
		return out
	}
	out.Flags, out.Difference = len(commit.Versions), commit.Audit.Difference
	for _, v := range commit.Versions[:min(maxListed, len(commit.Versions))] {
		out.Changes = append(out.Changes, FlagChange{v.Key, v.Action, v.Version, v.Difference})
	}
	return out
}

// exportFlags gives the environment as a flagd document, or with format=slipway as an import takes it back, archived
// flags and all. What plain flagd can't say is named in the header Slipway-Notes, and with notes=true beside the
// document.
func (c *Control) exportFlags(r *http.Request) (int, any, error) {
	at, err := c.site(r)
	if err != nil {
		return 0, nil, err
	}
	q := queryOf(r.URL, "format", "notes")
	format, beside := q.text("format"), q.truth("notes")
	if format != "" && format != "flagd" && format != "slipway" {
		q.refuse("format", "%q is unknown; want flagd or slipway", deploy.Cut(format, 40))
	}
	if q.err != nil {
		return 0, nil, q.err
	}
	s, err := c.Flags.State(r.Context(), at.app, at.environment)
	if err != nil {
		return 0, nil, err
	}
	document, notes := s.JSON(), []flag.Problem(nil)
	if format != "slipway" {
		document, notes = s.Parsed().Flagd()
		notes = append(s.Broken(), notes...)
	}
	if len(document) > maxAnswer {
		return 0, nil, deploy.Errorf(deploy.TooLarge, "", "the document has %d bytes; one request gives at most %d", len(document), maxAnswer)
	}
	out := Export{Document: document, Notes: faults(notes)}
	if beside {
		return http.StatusOK, tagged{version: s.Revision, body: out}, nil
	}
	return http.StatusOK, tagged{version: s.Revision, body: noted{json.RawMessage(document), header(notes)}}, nil
}

// Export is a document with what it can't say.
type Export struct {
	Document json.RawMessage `json:"document"`
	Notes    []Fault         `json:"notes"`
}

// noted is a body with the header Slipway-Notes.
type noted struct {
	json.RawMessage
	notes string
}

// header words notes for a header: ASCII, on one line, not too long.
func header(notes []flag.Problem) string {
	var all []string
	for _, n := range notes {
		all = append(all, n.Path+": "+n.Message)
	}
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Join(all, "; "))
	return plain[:min(len(plain), 2000)]
}
