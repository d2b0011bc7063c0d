package api

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// AppPage is a page of apps in the order of their names.
type AppPage struct {
	Apps       []deploy.App `json:"apps"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

// Environment is the state of an app's environment.
type Environment struct {
	App         string           `json:"app"`
	Environment string           `json:"environment"`
	Live        *deploy.Live     `json:"live"`     // null before the first deployment
	Previous    *deploy.Live     `json:"previous"` // what Live replaced
	Holder      *Turn            `json:"holder"`   // who has the environment's lock
	Waiting     *Turn            `json:"waiting"`  // who has it next
	Dirty       bool             `json:"dirty"`    // Holder ended without putting the environment right
	Repair      string           `json:"repair,omitempty"`
	Settings    *deploy.Settings `json:"settings"`
	Source      deploy.Source    `json:"source"` // the app's, its type and bucket alone: where to upload a commit
}

// Turn is deploy.Turn without its task token, which would let its reader answer for the lock.
type Turn struct {
	Deployment string        `json:"deployment"`
	Action     deploy.Action `json:"action"`
	Since      time.Time     `json:"since"`
	Expires    time.Time     `json:"expires,omitzero"` // of a holder: when it may be taken over if nothing was heard of it
}

func turn(t *deploy.Turn) *Turn {
	if t == nil {
		return nil
	}
	return &Turn{Deployment: t.Deployment, Action: t.Action, Since: t.Since, Expires: t.Expires}
}

func (c *Control) putApp(r *http.Request) (int, any, error) {
	var a deploy.App
	if err := decode(r, &a); err != nil {
		return 0, nil, err
	}
	name := r.PathValue("app")
	switch {
	case a.Name == "":
		a.Name = name
	case a.Name != name:
		return 0, nil, deploy.FieldErrorf("name", "%q is not the path's %q", deploy.Cut(a.Name, 80), deploy.Cut(name, 80))
	}
	if err := a.Validate(); err != nil {
		return 0, nil, err
	}
	if a.Source.Bucket != "" && a.Source.Bucket != c.Bucket {
		return 0, nil, deploy.FieldErrorf("source.bucket", "is ours to fill in; leave it out")
	}
	a.Source.Bucket = "" // another bucket later is then another for all apps
	if err := c.Store.PutApp(r.Context(), &a); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.filled(a), nil
}

func (c *Control) getApp(r *http.Request) (int, any, error) {
	a, err := c.app(r.Context(), r.PathValue("app"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.filled(*a), nil
}

func (c *Control) listApps(r *http.Request) (int, any, error) {
	q := queryOf(r.URL, "limit", "cursor")
	limit, cursor := q.limit(DefaultPage, deploy.MaxPage), q.cursor()
	if q.err != nil {
		return 0, nil, q.err
	}
	apps, next, err := c.Store.Apps(r.Context(), limit, cursor)
	if err != nil {
		return 0, nil, err
	}
	page := AppPage{Apps: make([]deploy.App, len(apps)), NextCursor: next}
	for i, a := range apps {
		page.Apps[i] = c.filled(a)
	}
	return http.StatusOK, page, nil
}

// filled adds to an app where its bundles go, and makes its lists and objects such that none is null.
func (c *Control) filled(a deploy.App) deploy.App {
	a.Source.Bucket = c.Bucket
	a.Environments = maps.Clone(a.Environments)
	for name, s := range a.Environments {
		a.Environments[name] = settled(s)
	}
	return a
}

func settled(s deploy.Settings) deploy.Settings {
	if s.Branches == nil {
		s.Branches = []string{}
	}
	if s.Variables == nil {
		s.Variables = map[string]string{}
	}
	return s
}

func (c *Control) getEnvironment(r *http.Request) (int, any, error) {
	app, environment := r.PathValue("app"), r.PathValue("environment")
	a, err := c.app(r.Context(), app)
	if err != nil {
		return 0, nil, err
	}
	settings, err := a.Environment(deploy.Cut(environment, 80))
	if err != nil {
		return 0, nil, err
	}
	h, err := c.Store.Head(r.Context(), app, environment)
	if err != nil {
		return 0, nil, err
	}
	*settings = settled(*settings)
	e := Environment{App: app, Environment: environment, Live: h.Live, Previous: h.Previous,
		Holder: turn(h.Holder), Waiting: turn(h.Waiting), Dirty: h.Dirty, Settings: settings,
		Source: deploy.Source{Type: a.Source.Type, Bucket: c.Bucket}}
	if h.Dirty {
		if e.Repair, err = c.launcher().Repair(r.Context(), h); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, e, nil
}

// environment finds an environment's settings. A name that can't be one isn't looked for.
func (c *Control) environment(ctx context.Context, app, environment string) (*deploy.Settings, error) {
	a, err := c.app(ctx, app)
	if err != nil {
		return nil, err
	}
	return a.Environment(deploy.Cut(environment, 80))
}

func (c *Control) app(ctx context.Context, name string) (*deploy.App, error) {
	return c.launcher().App(ctx, name)
}
