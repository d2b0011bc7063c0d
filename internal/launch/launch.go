// Package launch turns a request into a recorded deployment whose execution runs, once however often the request comes.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Store keeps what a launch reads and writes. App and Deployment are NotFound where there is none; Create is a Conflict
// where the id is taken; Request is nil where the key is new. CreateOnce stores the record and the request together, or
// answers with the request that has the key already, unless that expired or made the deployment that is replaced; where a
// tip is to be moved and another push moved it first, it is Superseded.
type Store interface {
	App(ctx context.Context, name string) (*deploy.App, error)
	Head(ctx context.Context, app, environment string) (*deploy.Head, error)
	Deployment(ctx context.Context, id string) (*deploy.Deployment, error)
	Create(ctx context.Context, d *deploy.Deployment) error
	Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error
	Request(ctx context.Context, key string) (*deploy.Request, error)
	CreateOnce(ctx context.Context, d *deploy.Deployment, r deploy.Request, replaces string, tip *deploy.Tip) (taken *deploy.Request, err error)
}

// Sources tells whether a commit's bundle was uploaded: NotFound where it wasn't.
type Sources interface {
	Stat(ctx context.Context, app, commit string) (*deploy.Bundle, error)
}

// Machine starts the execution of a recorded deployment and gives its ARN. Starting one twice is harmless.
type Machine interface {
	Start(ctx context.Context, id string) (string, error)
}

// Launcher launches deployments. All fields are wanted.
type Launcher struct {
	Store   Store
	Sources Sources
	Machine Machine
	Now     func() time.Time // the clock of ids and records
	Entropy io.Reader        // of ids; crypto/rand.Reader
}

// Request asks to put a commit into an environment. Whoever makes one has checked that each field can be right.
type Request struct {
	App         string
	Environment string
	CommitSHA   string
	Branch      string
	Force       bool // skips the tests
	Rebuild     bool // builds anew, whatever was built of the commit
	Metadata    map[string]any

	// SourceSHA256 is what the uploader says of the commit's bundle, in hex; "" takes the bundle that is there. Source is the bundle itself, which
	// Slipway has made of a pipeline's artifact; nil for every other request.
	SourceSHA256 string
	Source       *deploy.Bundle

	Once      Once
	Repairing *deploy.Repair // lets it into a dirty environment; nil for every other deployment
}

// Deploy launches a request, where the app's owner and the state of the environment allow it. A request that came before
// is answered with its deployment, whatever has changed since.
func (l *Launcher) Deploy(ctx context.Context, r Request) (*deploy.Deployment, error) {
	if d, err := l.Repeated(ctx, r.Once); d != nil || err != nil {
		return d, err
	}
	app, err := l.App(ctx, r.App)
	if err != nil {
		return nil, err
	}
	settings, err := app.Environment(deploy.Cut(r.Environment, 80))
	if err != nil {
		return nil, err
	}
	if err := branchAllowed(r, settings); err != nil {
		return nil, err
	}
	bundle, err := l.bundle(ctx, app, r)
	if err != nil {
		return nil, err
	}
	repairing, err := l.admissible(ctx, r)
	if err != nil {
		return nil, err
	}
	d := deploy.New("", deploy.Deploy, r.App, r.Environment, l.Now())
	d.Repairing = repairing
	d.CommitSHA, d.Branch, d.Force, d.Source, d.Settings = r.CommitSHA, r.Branch, r.Force, bundle, settings
	d.Rebuild, d.Variables = r.Rebuild, app.Variables
	if r.Metadata != nil {
		d.Metadata = r.Metadata
	}
	return l.Start(ctx, d, r.Once)
}

// App finds an app. A name that can't be one isn't looked for.
func (l *Launcher) App(ctx context.Context, name string) (*deploy.App, error) {
	if !deploy.ValidName(name) {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "app", Err: fmt.Errorf("there is no app %q", deploy.Cut(name, 80))}
	}
	return l.Store.App(ctx, name)
}

func branchAllowed(r Request, s *deploy.Settings) error {
	allowed := strings.Join(s.Branches, " or ")
	switch {
	case s.AllowsBranch(r.Branch):
		return nil
	case r.Branch == "":
		return deploy.FieldErrorf("branch", "is missing; %s takes only %s", r.Environment, allowed)
	}
	return deploy.FieldErrorf("branch", "%q may not be deployed to %s; want %s", deploy.Cut(r.Branch, deploy.MaxBranch), r.Environment, allowed)
}

// bundle finds the commit's source, where somebody has to upload it. Else it is fetched later.
func (l *Launcher) bundle(ctx context.Context, app *deploy.App, r Request) (*deploy.Bundle, error) {
	switch {
	case r.Source != nil:
		return r.Source, nil
	case !app.Source.Uploaded() && r.SourceSHA256 != "":
		return nil, deploy.FieldErrorf("source_sha256", "is of an uploaded bundle, and app %q fetches its commits from a git server; leave it out", app.Name)
	case !app.Source.Uploaded():
		return nil, nil
	}
	b, err := l.Sources.Stat(ctx, app.Name, r.CommitSHA)
	if deploy.KindOf(err) == deploy.NotFound {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "commit_sha",
			Err: fmt.Errorf("no bundle of commit %s was uploaded for app %q", r.CommitSHA, app.Name)}
	}
	if err != nil || r.SourceSHA256 == "" {
		return b, err
	}
	if b.SHA256 != "" && b.SHA256 != r.SourceSHA256 {
		return nil, &deploy.Error{Kind: deploy.Conflict, Field: "source_sha256",
			Err: fmt.Errorf("the bundle of commit %s that was uploaded first has SHA-256 %s, not %s, and it stays", r.CommitSHA, b.SHA256, r.SourceSHA256)}
	}
	b.SHA256 = r.SourceSHA256 // Prepare compares the content with it
	return b, nil
}

// admissible refuses a deployment to a dirty environment, and says how to repair that; and one that repairs what isn't dirty. It
// returns the repair with the deployment that really is to be repaired.
func (l *Launcher) admissible(ctx context.Context, r Request) (*deploy.Repair, error) {
	h, err := l.Store.Head(ctx, r.App, r.Environment)
	switch {
	case err != nil:
		return nil, err
	case r.Repairing != nil:
		repairing := *r.Repairing
		repairing.Of, err = l.DirtyHolder(ctx, h, r.Repairing.Of)
		return &repairing, err
	case !h.Dirty:
		return nil, nil
	}
	repair, err := l.Repair(ctx, h)
	if err != nil {
		return nil, err
	}
	return nil, deploy.Errorf(deploy.Conflict, "", "%s is dirty since %s and stays locked until it is repaired: %s",
		r.Environment, h.Holder.Deployment, repair)
}

// DirtyHolder finds the deployment to repair where the caller names any of a chain of failed repairs.
func (l *Launcher) DirtyHolder(ctx context.Context, h *deploy.Head, id string) (string, error) {
	return h.DirtyHolder(id, func(id string) (*deploy.Deployment, error) { return l.Store.Deployment(ctx, id) })
}

// Repair finds the commands that repair a dirty environment.
func (l *Launcher) Repair(ctx context.Context, h *deploy.Head) (string, error) {
	d, err := l.Store.Deployment(ctx, h.Holder.Deployment)
	if err != nil {
		return "", err
	}
	if d.Repair == "" {
		return deploy.RepairCommands(d.ID), nil
	}
	return d.Repair, nil
}

// Start records a deployment, gives it its id, and starts its execution. One that can't be started ends failed, so that
// nobody waits for it, and the caller is told why. A request that came before is answered with its deployment.
func (l *Launcher) Start(ctx context.Context, d *deploy.Deployment, once Once) (*deploy.Deployment, error) {
	var entropy [5]byte
	if _, err := io.ReadFull(l.Entropy, entropy[:]); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "launch", "read entropy: %w", err)
	}
	if once.Tip != nil && !d.StartTime.After(once.Tip.Started) { // clocks differ; what is pushed later has the later id
		d.StartTime = once.Tip.Started.Add(time.Millisecond)
	}
	d.ID = deploy.NewID(d.StartTime, entropy[:])
	if earlier, err := l.create(ctx, d, once); earlier != nil || err != nil {
		return earlier, err
	}
	execution, err := l.Machine.Start(ctx, d.ID)
	if err != nil {
		return l.notStarted(ctx, d, err)
	}
	d.Execution = execution // Prepare writes it down; it has the record from here on
	return d, nil
}

var errStarted = errors.New("the execution has begun")

// notStarted ends a deployment whose execution could not be started. The error may have come after the fact, though:
// when the execution has taken up the record, it was started.
func (l *Launcher) notStarted(ctx context.Context, d *deploy.Deployment, cause error) (*deploy.Deployment, error) {
	ctx = context.WithoutCancel(ctx) // the caller may be why it failed
	err := l.Store.Update(ctx, d, func(d *deploy.Deployment) error {
		if d.Status != deploy.Pending {
			return errStarted
		}
		now := l.Now().UTC()
		d.Fail(deploy.Internal, "the execution could not be started: "+cause.Error())
		d.Log(now, "%s", d.Error)
		return d.End(deploy.Failed, now)
	})
	switch {
	case errors.Is(err, errStarted):
		return d, nil
	case err != nil:
		return nil, deploy.Errorf(deploy.Internal, "launch", "start %s: %w; and its record stays pending: %w", d.ID, cause, err)
	}
	return nil, deploy.Errorf(deploy.Internal, "launch", "start %s: %w", d.ID, cause)
}
