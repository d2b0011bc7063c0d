package trigger

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/strict"
)

// OwnSource and OwnType mark the event by which anybody who may put events tells of a commit.
const (
	OwnSource = "slipway"
	OwnType   = deploy.EventPushed
)

// Event is what EventBridge sends.
type Event struct {
	ID     string          `json:"id"`
	Source string          `json:"source"`
	Type   string          `json:"detail-type"`
	Time   time.Time       `json:"time"`
	Detail json.RawMessage `json:"detail"`
}

// ownDetail is what our own event says. An app or a repository is there; before and pushed_at need not be.
type ownDetail struct {
	App        string          `json:"app"`
	Repository string          `json:"repository"`
	Branch     string          `json:"branch"`
	Commit     string          `json:"commit"`
	Before     string          `json:"before"`
	PushedAt   json.RawMessage `json:"pushed_at"`
}

// ownForm lets a sender add fields of its own, but not write one of ours in another way or twice.
var ownForm = strict.Form{Name: "the event's detail", Example: `{"app":"shop","commit":"<40 hex digits>","branch":"main"}`, Open: true}

func own(e Event) (Push, *Answer, error) {
	var d ownDetail
	if err := ownForm.Decode(e.Detail, &d); err != nil {
		return Push{}, nil, err
	}
	p := Push{App: d.App, Repository: d.Repository, Branch: branchOf(d.Branch), CommitSHA: d.Commit, Before: d.Before, Told: e.Time, Sent: e.Time,
		Door: doorEvent, Meant: true}
	if sent, ok := clock(d.PushedAt); ok {
		p.Sent, p.HasTime = sent, true
	}
	return p, nil, nil
}

// Commit handles commit events. All fields are wanted.
type Commit struct {
	Trigger *Trigger
	Log     *slog.Logger
}

// Handle takes one event. Its error sends the event to the dead letters, once Lambda has tried it again.
func (c *Commit) Handle(ctx context.Context, raw json.RawMessage) (*Answer, error) {
	e, answer, err := c.handle(ctx, raw)
	attrs := []slog.Attr{slog.String("event", e.ID), slog.String("source", e.Source), slog.Any("answer", answer)}
	if err != nil {
		c.Log.LogAttrs(ctx, slog.LevelError, "event", append(attrs, slog.String("error", err.Error()))...)
		return nil, err
	}
	c.Log.LogAttrs(ctx, slog.LevelInfo, "event", attrs...)
	return answer, nil
}

func (c *Commit) handle(ctx context.Context, raw json.RawMessage) (Event, *Answer, error) {
	e, p, answer, err := parse(raw)
	if answer != nil || err != nil {
		return e, answer, err
	}
	answer, err = c.Trigger.Push(ctx, p)
	return e, answer, err
}

// parse reads an event of either kind.
func parse(raw json.RawMessage) (Event, Push, *Answer, error) {
	var e Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, Push{}, nil, deploy.Errorf(deploy.Invalid, "event", "can't be read: %w", err)
	}
	if e.Time.IsZero() {
		return e, Push{}, nil, deploy.FieldErrorf("time", "is missing; want the event as EventBridge sends it")
	}
	read := map[[2]string]func(Event) (Push, *Answer, error){
		{CodeCommitSource, CodeCommitType}: codeCommit, {OwnSource, OwnType}: own,
	}[[2]string{e.Source, e.Type}]
	if read == nil {
		return e, Push{}, nil, deploy.Errorf(deploy.Invalid, "event", "%q of %q is none that tells of a commit", deploy.Cut(e.Type, 80), deploy.Cut(e.Source, 80))
	}
	p, answer, err := read(e)
	return e, p, answer, err
}
