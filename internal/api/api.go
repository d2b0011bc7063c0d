// Package api is the control API over HTTP: it decodes a request, checks it, calls one thing, and renders the answer.
package api

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Apps keeps the apps. App's error is NotFound where there is none of that name; PutApp raises the stored Version and
// leaves in its argument what was stored; Apps answers with a cursor where there may be more.
type Apps interface {
	App(ctx context.Context, name string) (*deploy.App, error)
	Apps(ctx context.Context, limit int, cursor string) ([]deploy.App, string, error)
	PutApp(ctx context.Context, app *deploy.App) error
}

// Records keeps the deployments. Create is a Conflict where the id is taken, Deployment NotFound where it isn't; Update
// calls change with the record as it is, again where another write came between, and writes nothing on its error.
// Request and CreateOnce are as package launch wants them.
type Records interface {
	Request(ctx context.Context, key string) (*deploy.Request, error)
	CreateOnce(ctx context.Context, d *deploy.Deployment, r deploy.Request, replaces string, tip *deploy.Tip) (*deploy.Request, error)
	Create(ctx context.Context, d *deploy.Deployment) error
	Deployment(ctx context.Context, id string) (*deploy.Deployment, error)
	Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error
}

// Environments tells what is in them, and what was. The head of one that nothing was deployed to is empty; List is
// Invalid about the field cursor where it didn't make that.
type Environments interface {
	Head(ctx context.Context, app, environment string) (*deploy.Head, error)
	List(ctx context.Context, q deploy.Query) ([]deploy.Deployment, string, error)
}

// Store is everything that is kept of apps, deployments and environments.
type Store interface {
	Apps
	Records
	Environments
}

// Sources tells whether a commit's bundle was uploaded: NotFound where it wasn't.
type Sources interface {
	Stat(ctx context.Context, app, commit string) (*deploy.Bundle, error)
}

// Output reads back what a deployment's scripts printed, at most limit lines from behind cursor on. A stream that
// nothing was written to is empty. The cursor that it gives is where the next read goes on, at the end too.
type Output interface {
	Read(ctx context.Context, stream, cursor string, limit int) ([]deploy.Line, string, error)
}

// Machine starts the execution of a recorded deployment and gives its ARN. Starting one twice is harmless.
type Machine interface {
	Start(ctx context.Context, id string) (string, error)
}

// Control is the control API. All fields are wanted.
type Control struct {
	Store   Store
	Sources Sources
	Output  Output
	Machine Machine
	Flags   Flags
	Bucket  string           // where clients upload bundles
	Now     func() time.Time // the clock of ids and records
	Entropy io.Reader        // of ids; crypto/rand.Reader
	Log     *slog.Logger     // a line a request

	// Cancel marks a deployment as cancelled, so that its execution takes its way out, and gives the marked record. The
	// error is NotFound, or Conflict with its status where it has ended.
	Cancel func(ctx context.Context, id string) (*deploy.Deployment, error)
}

// action serves one route: the status and the body to render, or an error for problem to render.
type action func(r *http.Request) (int, any, error)

// Routes lists the API's routes as ServeMux has them, in order.
func (c *Control) Routes() []string { return slices.Sorted(maps.Keys(c.actions())) }

func (c *Control) actions() map[string]action {
	actions := map[string]action{
		"GET /v1/openapi.json": c.readDocument,
		"GET /v1/apps":         c.listApps,
		"PUT /v1/apps/{app}":   c.putApp,
		"GET /v1/apps/{app}":   c.getApp,
		"GET /v1/apps/{app}/environments/{environment}":           c.getEnvironment,
		"POST /v1/apps/{app}/environments/{environment}/rollback": c.rollBackEnvironment,
	}
	maps.Copy(actions, c.deploymentActions())
	maps.Copy(actions, c.flagActions())
	return actions
}

// Handler gives the API's routes, with everything around them: errors as problem+json, a log line a request.
func (c *Control) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, act := range c.actions() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			x := w.(*exchange)
			if x.err = cmp.Or(allowed(pattern, r), noQuery(pattern, r)); x.err == nil {
				x.status, x.body, x.err = act(r)
			}
		})
	}
	return &server{mux: mux, now: c.Now, entropy: c.Entropy, log: c.Log}
}
