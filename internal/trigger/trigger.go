// Package trigger makes deployments of pushes: it reads the events that tell of one, finds the environments that the pushed
// branch goes to by itself, and launches each once, however often and through whichever door the event comes.
package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
)

// Push is a commit that came to a branch.
type Push struct {
	App        string // whose commit it is, where the sender says; else every app of Repository
	Repository string // owner/name on GitHub, or CodeCommit's name
	Branch     string
	CommitSHA  string
	Before     string    // what the branch was at; "" where the sender doesn't say
	Pushed     time.Time // by the sender's clock
	Door       string    // for the record's metadata
	Meant      bool      // for Slipway: that no app has the repository is then the sender's mistake
}

// Answer says what came of an event: the deployments that it is for, or why there are none.
type Answer struct {
	Deployments []Launched `json:"deployments"`
	Ignored     string     `json:"ignored,omitempty"`
}

// Launched is what came of a push in one environment.
type Launched struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Deployment  string `json:"deployment"`
	Note        string `json:"note,omitempty"` // where it is an earlier one, or that of a later push
}

// Store finds apps and branches' tips. Tip is nil where nothing of the branch was deployed yet, Request where a key is new.
type Store interface {
	App(ctx context.Context, name string) (*deploy.App, error)
	AppsOf(ctx context.Context, repository string) ([]deploy.App, error)
	Tip(ctx context.Context, app, environment, branch string) (*deploy.Tip, error)
	Request(ctx context.Context, key string) (*deploy.Request, error)
}

// Launcher launches a request once.
type Launcher interface {
	Deploy(ctx context.Context, r launch.Request) (*deploy.Deployment, error)
	Repeated(ctx context.Context, once launch.Once) (*deploy.Deployment, error)
}

// Trigger launches what pushes are for. All fields are wanted.
type Trigger struct {
	Store    Store
	Launcher Launcher
}

// Remembered is for how long a push that comes again is known.
const Remembered = 30 * 24 * time.Hour

// maxTries bounds how often a push is judged anew because another one to the same branch came between.
const maxTries = 20

func ignored(format string, args ...any) *Answer {
	return &Answer{Deployments: []Launched{}, Ignored: fmt.Sprintf(format, args...)}
}

// Push launches a push into every environment that its branch deploys to by itself. Where one of them can't be launched,
// the others are all the same; the error then says which could not.
func (t *Trigger) Push(ctx context.Context, p Push) (*Answer, error) {
	if why, err := p.judge(); why != nil || err != nil {
		return why, err
	}
	apps, err := t.apps(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(apps) == 0 && p.Meant {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "repository", Err: fmt.Errorf("no app has %q", p.Repository)}
	}
	if len(apps) == 0 {
		return ignored("no app has the repository %q", p.Repository), nil
	}
	out, failed := &Answer{Deployments: []Launched{}}, []error(nil)
	var names []string
	for _, app := range apps {
		names = append(names, app.Name)
		for _, environment := range app.EnvironmentNames() {
			settings := app.Environments[environment]
			if !settings.DeploysOnPush(p.Branch) {
				continue
			}
			l, err := t.launch(ctx, app.Name, environment, p)
			if err != nil {
				failed = worst(failed, fmt.Errorf("%s/%s: %w", app.Name, environment, err))
				continue
			}
			out.Deployments = append(out.Deployments, *l)
		}
	}
	if len(out.Deployments) == 0 && len(failed) == 0 {
		return ignored("no environment of %s deploys pushes to %q; deploy_on_push says which do", strings.Join(names, ", "), p.Branch), nil
	}
	return out, errors.Join(failed...)
}

// worst puts the failures first that are ours or AWS's: an error has the Kind of its first.
func worst(failed []error, err error) []error {
	if deploy.KindOf(err) == deploy.Internal {
		return append([]error{err}, failed...)
	}
	return append(failed, err)
}

// judge tells the pushes that are none of ours from those that can't be right.
func (p *Push) judge() (*Answer, error) {
	branch := deploy.CheckBranch(p.Branch)
	switch {
	case p.App == "" && p.Repository == "":
		return nil, deploy.FieldErrorf("repository", "is missing; an event names it, or an app")
	case p.App != "" && !deploy.ValidName(p.App):
		return nil, deploy.FieldErrorf("app", "%q is not a name; want %s", deploy.Cut(p.App, 80), deploy.NameRule)
	case p.Repository != "" && !deploy.ValidRepository(p.Repository):
		return nil, deploy.FieldErrorf("repository", "%q is no repository; want owner/name of GitHub, or the name of one in CodeCommit", deploy.Cut(p.Repository, 80))
	case p.Branch == "":
		return nil, deploy.FieldErrorf("branch", "is missing")
	case !utf8.ValidString(p.Branch), strings.ContainsRune(p.Branch, utf8.RuneError):
		return ignored("the branch's name is not UTF-8; no pattern can name it"), nil
	case branch != nil:
		return nil, branch
	case p.CommitSHA == zeroCommit:
		return ignored("the branch %q was deleted; what is live stays", p.Branch), nil
	case !deploy.ValidCommit(p.CommitSHA):
		return nil, deploy.FieldErrorf("commit", "%q is not a commit; want 40 of 0-9 and a-f", deploy.Cut(p.CommitSHA, 80))
	case p.Before != "" && !deploy.ValidCommit(p.Before):
		return nil, deploy.FieldErrorf("before", "%q is not a commit; want 40 of 0-9 and a-f", deploy.Cut(p.Before, 80))
	}
	return nil, nil
}

// zeroCommit is how git writes that there is none.
const zeroCommit = "0000000000000000000000000000000000000000"

func (t *Trigger) apps(ctx context.Context, p Push) ([]deploy.App, error) {
	if p.App == "" {
		return t.Store.AppsOf(ctx, p.Repository)
	}
	a, err := t.Store.App(ctx, p.App)
	if err != nil {
		return nil, err
	}
	if p.Repository != "" && !strings.EqualFold(a.Source.Repository, p.Repository) {
		return nil, deploy.FieldErrorf("repository", "%q is not %s's, which is %q", p.Repository, p.App, a.Source.Repository)
	}
	return []deploy.App{*a}, nil
}

// launch deploys a push to one environment, or finds what has been launched of it.
func (t *Trigger) launch(ctx context.Context, app, environment string, p Push) (*Launched, error) {
	for range maxTries {
		l, err := t.try(ctx, app, environment, p)
		if deploy.KindOf(err) != deploy.Superseded { // the tip moved between reading and writing
			return l, err
		}
	}
	return nil, deploy.Errorf(deploy.Internal, "push", "%d other pushes to %s came between", maxTries, p.Branch)
}

func (t *Trigger) try(ctx context.Context, app, environment string, p Push) (*Launched, error) {
	tip, err := t.Store.Tip(ctx, app, environment, p.Branch)
	if err != nil {
		return nil, err
	}
	once := launch.Once{Key: strings.Join([]string{"push", app, environment, p.CommitSHA, p.Branch}, "/"), Keep: Remembered, Fingerprint: "push"}
	place := place(tip, p)
	if place == late {
		return t.late(ctx, app, environment, tip, once)
	}
	before, err := t.Store.Request(ctx, once.Key)
	if err != nil {
		return nil, err
	}
	if place == anew && before != nil {
		once.Replaces = before.Deployment
	}
	once.Tip = &deploy.Tip{App: app, Environment: environment, Branch: p.Branch, CommitSHA: p.CommitSHA, Before: p.Before, Pushed: p.Pushed}
	if tip != nil {
		once.Tip.Version, once.Tip.Started = tip.Version, tip.Started
	}
	d, err := t.Launcher.Deploy(ctx, launch.Request{
		App: app, Environment: environment, CommitSHA: p.CommitSHA, Branch: p.Branch, Once: once,
		Metadata: map[string]any{"started_by": "push", "door": p.Door},
	})
	if err != nil {
		return nil, err
	}
	l := &Launched{App: app, Environment: environment, Deployment: d.ID}
	if before != nil && before.Deployment == d.ID {
		l.Note = "launched before"
	}
	return l, nil
}

// late answers a push that a later one has overtaken: by what was launched of it, else by what was of the later one.
func (t *Trigger) late(ctx context.Context, app, environment string, tip *deploy.Tip, once launch.Once) (*Launched, error) {
	l := &Launched{App: app, Environment: environment, Deployment: tip.Deployment, Note: "a later push is deployed: " + tip.CommitSHA}
	d, err := t.Launcher.Repeated(ctx, once)
	if d != nil {
		l.Deployment, l.Note = d.ID, "launched before"
	}
	return l, err
}

// When a push came, seen from the branch's tip.
const (
	next = iota // after it
	anew        // after it for sure: a commit that was there before is put back
	late        // before it
)

// place orders a push against the last one that was deployed. The sender's clock decides, and, where it doesn't tell two
// moments apart, what the push says it replaced. One that doesn't say puts no old commit back, since the same push told
// through two doors has two times.
func place(tip *deploy.Tip, p Push) int {
	if tip == nil || tip.CommitSHA == p.CommitSHA {
		return next
	}
	switch since := compare(p.Pushed, tip.Pushed); {
	case since < 0, since == 0 && p.CommitSHA == tip.Before && p.Before != tip.CommitSHA:
		return late
	case p.Before == tip.CommitSHA, p.Before != "" && since > 0:
		return anew
	}
	return next
}

// compare orders two times of pushes. Some doors have whole seconds, which lie before what another door says of that second.
func compare(a, b time.Time) int {
	if a.Nanosecond() == 0 || b.Nanosecond() == 0 {
		a, b = a.Truncate(time.Second), b.Truncate(time.Second)
	}
	return a.Compare(b)
}
