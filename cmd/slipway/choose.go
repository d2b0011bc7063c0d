package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// chooseApp finds the app that was named, or else the only one that there is.
func (c *client) chooseApp(ctx context.Context, name string) (*deploy.App, error) {
	if name != "" {
		var a deploy.App
		return &a, c.get(ctx, "/v1/apps/"+url.PathEscape(name), nil, &a)
	}
	apps, err := c.apps(ctx)
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

// apps reads all of them.
func (c *client) apps(ctx context.Context) ([]deploy.App, error) {
	all, query := []deploy.App{}, url.Values{"limit": {"100"}}
	for {
		var page api.AppPage
		if err := c.get(ctx, "/v1/apps", query, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Apps...)
		if page.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// deployment reads one.
func (c *client) deployment(ctx context.Context, id string) (*deploy.Deployment, error) {
	var d deploy.Deployment
	return &d, c.get(ctx, "/v1/deployments/"+url.PathEscape(id), nil, &d)
}
