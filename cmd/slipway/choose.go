package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// chooseApp finds the app that was named, or that a file here names, or else the only one that there is.
func (c *client) chooseApp(ctx context.Context, name string) (*deploy.App, error) {
	if name != "" {
		var a deploy.App
		return &a, c.get(ctx, "/v1/apps/"+url.PathEscape(name), nil, &a)
	}
	if c.app != "" {
		var a deploy.App
		return &a, c.explainApp(c.get(ctx, "/v1/apps/"+url.PathEscape(c.app), nil, &a))
	}
	apps, err := c.apps(ctx, "")
	switch {
	case err != nil:
		return nil, err
	case len(apps) == 0:
		return nil, errors.New("there is no app yet; slipway app apply -f app.yaml makes one")
	case len(apps) > 1:
		names := make([]string, len(apps))
		for i, a := range apps {
			names[i] = a.Name
		}
		return nil, usageError{fmt.Errorf("say which app with --app: %s", strings.Join(names, ", "))}
	}
	return &apps[0], nil
}

// explainApp adds to the error of an app that isn't there that a file names it.
func (c *client) explainApp(err error) error {
	var p problem
	if !errors.As(err, &p) || p.Status != http.StatusNotFound || p.Field != "app" {
		return err
	}
	return fmt.Errorf("%w, which %s names; slipway app apply -f %s makes it, --app names another", err, c.appFile, c.appFile)
}

// destination is what there is to know of an environment before something is uploaded for it.
type destination struct {
	scope
	source   deploy.Source
	settings *deploy.Settings
}

// destination finds the environment that was meant. Where app and environment are both named, the environment alone is read, to which the
// caller may have rights without having them to the app.
func (c *client) destination(ctx context.Context, app, environment string) (destination, error) {
	if name := cmp.Or(app, c.app); name != "" && environment != "" {
		at := scope{app: name, environment: environment}
		var e api.Environment
		err := c.get(ctx, at.path(), nil, &e)
		if app == "" {
			err = c.explainApp(err)
		}
		return destination{at, e.Source, e.Settings}, err
	}

	a, err := c.chooseApp(ctx, app)
	if err != nil {
		return destination{}, err
	}
	if environment, err = chooseEnvironment(a, environment); err != nil {
		return destination{}, err
	}
	settings, err := a.Environment(environment)
	return destination{scope{app: a.Name, environment: environment}, a.Source, settings}, err
}

// chooseEnvironment checks the environment that was named, or else takes the only one that the app has.
func chooseEnvironment(a *deploy.App, name string) (string, error) {
	if name != "" {
		_, err := a.Environment(name)
		return name, errors.Unwrap(err) // without the field, which is the API's word for --env
	}
	names := a.EnvironmentNames()
	if len(names) != 1 {
		return "", usageError{fmt.Errorf("say which environment of %s with --env: %s", a.Name, strings.Join(names, ", "))}
	}
	return names[0], nil
}

// apps reads all of them. advice is for a caller who has no right to that; "" is to name the app.
func (c *client) apps(ctx context.Context, advice string) ([]deploy.App, error) {
	all, query := []deploy.App{}, url.Values{"limit": {"100"}}
	for {
		var page api.AppPage
		if err := c.send(ctx, request{method: http.MethodGet, path: "/v1/apps?" + query.Encode(), advice: advice}, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Apps...)
		if page.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// watched is a deployment that is looked at again and again.
type watched struct {
	*client
	scope
	id   string
	tag  string // of the last answer
	last *deploy.Deployment
}

// look reads the deployment; where nothing has changed the answer is short, and the deployment the one of the last look.
func (w *watched) look(ctx context.Context) (*deploy.Deployment, error) {
	r := request{method: http.MethodGet, path: w.scope.deployment(w.id, ""), header: http.Header{}}
	if w.tag != "" {
		r.header.Set("If-None-Match", w.tag)
	}
	a, err := w.ask(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case a.code == http.StatusNotModified && w.last != nil:
		return w.last, nil
	case a.code != http.StatusOK:
		return nil, w.explain(refused(r, a, w.hint(r, a)))
	}
	var d deploy.Deployment
	if err := json.Unmarshal(a.body, &d); err != nil {
		return nil, fmt.Errorf("the API's answer is not what this version knows: %w", err)
	}
	w.last, w.tag = &d, a.header.Get("ETag")
	return w.last, nil
}

// deployment reads one.
func (c *client) deployment(ctx context.Context, s scope, id string) (*deploy.Deployment, error) {
	var d deploy.Deployment
	return &d, s.explain(c.get(ctx, s.deployment(id, ""), nil, &d))
}
