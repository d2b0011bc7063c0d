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

// The doors, as deployments' metadata and what is known of a branch name them.
const (
	doorEvent      = "event"
	doorCodeCommit = "codecommit"
	doorGitHub     = "github"
)

// Push is a commit that came to a branch, or a branch that was deleted.
type Push struct {
	App        string // whose commit it is, where the sender says; else every app of Repository
	Repository string // owner/name on GitHub, or CodeCommit's name
	Branch     string
	CommitSHA  string    // 40 zeros where the branch was deleted
	Before     string    // what the branch was at; "" where the sender doesn't say
	Told       time.Time // when Slipway or AWS was told, by their clock
	Sent       time.Time // by the sender's clock; Told where it has none
	HasTime    bool      // the sender gave Sent: it is the same however often the push is told
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
	// MoveTip stores what is known of a branch over the version before, without a deployment; Superseded where it has moved.
	MoveTip(ctx context.Context, tip deploy.Tip) error
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
	Now      func() time.Time
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
	if now := t.Now(); p.Told.After(now) { // a sender may set an event's time
		p.Told = now
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

	out, deleted, failed := t.launchAll(ctx, apps, p)
	switch {
	case len(failed) > 0:
		return out, errors.Join(failed...)
	case len(out.Deployments) > 0:
		return out, nil
	case deleted || p.CommitSHA == zeroCommit:
		return ignored("the branch %q was deleted; what is live stays", p.Branch), nil
	}
	return ignored("no environment of %s deploys pushes to %q; deploy_on_push says which do", namesOf(apps), p.Branch), nil
}

// launchAll launches a push in every environment that takes it. It reports whether one of them was told that the branch is deleted.
func (t *Trigger) launchAll(ctx context.Context, apps []deploy.App, p Push) (out *Answer, deleted bool, failed []error) {
	out = &Answer{Deployments: []Launched{}}
	for _, app := range apps {
		for _, environment := range app.EnvironmentNames() {
			settings := app.Environments[environment]
			if !settings.DeploysOnPush(p.Branch) {
				continue
			}

			l, err := t.launch(ctx, app.Name, environment, p)
			switch {
			case err != nil:
				failed = worst(failed, fmt.Errorf("%s/%s: %w", app.Name, environment, err))
			case l.Deployment == "":
				deleted = true
			default:
				out.Deployments = append(out.Deployments, *l)
			}
		}
	}
	return out, deleted, failed
}

func namesOf(apps []deploy.App) string {
	names := make([]string, len(apps))
	for i, app := range apps {
		names[i] = app.Name
	}
	return strings.Join(names, ", ")
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
	switch {
	case p.App == "" && p.Repository == "":
		return nil, deploy.FieldErrorf("repository", "is missing; an event names it, or an app")
	case p.App != "" && !deploy.ValidName(p.App):
		return nil, deploy.FieldErrorf("app", "%q is not a name; want %s", deploy.Cut(p.App, 80), deploy.NameRule)
	case p.Repository != "" && !deploy.ValidRepository(p.Repository):
		return nil, deploy.FieldErrorf("repository", "%q is no repository; want owner/name of GitHub, or the name of one in CodeCommit", deploy.Cut(p.Repository, 80))
	case !utf8.ValidString(p.Branch), strings.ContainsRune(p.Branch, utf8.RuneError):
		return ignored("the branch's name is not UTF-8; no pattern can name it"), nil
	case checkBranch(p.Branch) != nil:
		return nil, checkBranch(p.Branch)
	case !deploy.ValidCommit(p.CommitSHA):
		return nil, deploy.FieldErrorf("commit", "%q is not a commit; want 40 of 0-9 and a-f", deploy.Cut(p.CommitSHA, 80))
	case p.Before != "" && !deploy.ValidCommit(p.Before):
		return nil, deploy.FieldErrorf("before", "%q is not a commit; want 40 of 0-9 and a-f", deploy.Cut(p.Before, 80))
	}
	return nil, nil
}

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

// try adds the push to what is known of the branch, and deploys the newest push where that is another one than was deployed
// last: this push, or one that was told of before and that this one connects with the others.
func (t *Trigger) try(ctx context.Context, app, environment string, p Push) (*Launched, error) {
	tip, err := t.Store.Tip(ctx, app, environment, p.Branch)
	if err != nil {
		return nil, err
	}
	known, changed := historyOf(tip).add(p)
	newest := known.head()

	next := deploy.Tip{App: app, Environment: environment, Branch: p.Branch}
	if tip != nil {
		next = *tip
	}
	next.Known = known

	putBack := newest.CommitSHA != next.CommitSHA || known.createdAgain(next, newest) // if its commit was deployed before
	overtaken := !putBack && newest.CommitSHA != p.CommitSHA
	if overtaken {
		if overtaken, err = t.ran(ctx, next); err != nil {
			return nil, err
		}
	}
	if newest.CommitSHA == zeroCommit || overtaken {
		if changed {
			err = t.Store.MoveTip(ctx, next)
		}
		if err != nil || p.CommitSHA == zeroCommit {
			return &Launched{}, err
		}
		return t.late(ctx, newest, next, p.CommitSHA)
	}
	return t.deploy(ctx, next, newest, p, changed, putBack)
}

// onceOf returns what makes the launch of a branch's commit the same as one before.
func onceOf(tip deploy.Tip, commit string) launch.Once {
	return launch.Once{Key: strings.Join([]string{"push", tip.App, tip.Environment, commit, tip.Branch}, "/"), Keep: Remembered, Fingerprint: "push"}
}

// ran reports whether the branch's last deployment was started. It starts one that is still pending. If its start failed, no event of
// its own push may come again: the event at hand has to launch it.
func (t *Trigger) ran(ctx context.Context, tip deploy.Tip) (bool, error) {
	once := onceOf(tip, tip.CommitSHA)
	r, err := t.Store.Request(ctx, once.Key)
	if err != nil || r == nil || r.Expires <= t.Now().Unix() {
		return true, err
	}
	d, err := t.Launcher.Repeated(ctx, once)
	return d != nil, err
}

// deploy launches the newest push. tip is what was deployed of the branch before. changed says that p is new in the history, and putBack
// that a deployment of the newest push's commit from before doesn't count.
func (t *Trigger) deploy(ctx context.Context, tip deploy.Tip, newest deploy.KnownPush, p Push, changed, putBack bool) (*Launched, error) {
	once := onceOf(tip, newest.CommitSHA)
	before, err := t.Store.Request(ctx, once.Key)
	if err != nil {
		return nil, err
	}
	if before != nil && putBack {
		once.Replaces = before.Deployment
	}

	next := tip
	next.CommitSHA, next.Before, next.Pushed = newest.CommitSHA, newest.Before, newest.Told
	once.Tip = &next
	d, err := t.Launcher.Deploy(ctx, launch.Request{
		App: tip.App, Environment: tip.Environment, CommitSHA: newest.CommitSHA, Branch: tip.Branch, Once: once,
		Metadata: map[string]any{"started_by": "push", "door": p.Door},
	})
	if err != nil {
		return nil, err
	}

	l := &Launched{App: tip.App, Environment: tip.Environment, Deployment: d.ID}
	launchedBefore := before != nil && before.Deployment == d.ID
	switch {
	case newest.CommitSHA != p.CommitSHA:
		l.Note = laterNote(newest)
	case launchedBefore:
		l.Note = "launched before"
	}

	switch {
	case changed && launchedBefore:
		return l, t.Store.MoveTip(ctx, tip)
	case changed:
		return l, t.stored(ctx, tip, p)
	}
	return l, nil
}

// stored returns nil if the launch has stored the push in the branch's history. It is Superseded if the launch was another event's,
// which ran at the same time and didn't know of this push.
func (t *Trigger) stored(ctx context.Context, tip deploy.Tip, p Push) error {
	now, err := t.Store.Tip(ctx, tip.App, tip.Environment, tip.Branch)
	if err != nil {
		return err
	}
	if _, missing := historyOf(now).add(p); missing {
		return deploy.Errorf(deploy.Superseded, "", "another push to %s was launched meanwhile", tip.Branch)
	}
	return nil
}

func laterNote(newest deploy.KnownPush) string {
	if newest.CommitSHA == zeroCommit {
		return "the branch was deleted later"
	}
	return "a later push is deployed: " + newest.CommitSHA
}

// late answers a push that a later one has overtaken: by what was launched of it, else by what was of the later one.
func (t *Trigger) late(ctx context.Context, newest deploy.KnownPush, tip deploy.Tip, commit string) (*Launched, error) {
	l := &Launched{App: tip.App, Environment: tip.Environment, Deployment: tip.Deployment, Note: laterNote(newest)}
	d, err := t.Launcher.Repeated(ctx, onceOf(tip, commit))
	if d != nil {
		l.Deployment, l.Note = d.ID, "launched before"
	}
	return l, err
}
