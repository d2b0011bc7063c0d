package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// scope says by which routes deployments are asked for. A permission names a route, so that who has rights to one app alone is let in by
// that app's routes, and who has rights to one environment by that environment's. The zero scope is all apps.
type scope struct {
	app, environment string
	file             string // that named the app; "" where the caller did
}

// path is what the routes of deployments are below.
func (s scope) path() string {
	switch {
	case s.app == "":
		return "/v1"
	case s.environment == "":
		return "/v1/apps/" + url.PathEscape(s.app)
	}
	return "/v1/apps/" + url.PathEscape(s.app) + "/environments/" + url.PathEscape(s.environment)
}

// deployment is the path of one, and of what follows it.
func (s scope) deployment(id, rest string) string {
	return s.path() + "/deployments/" + url.PathEscape(id) + rest
}

// of narrows the scope to a deployment's own environment. All apps stay all apps: who asks by the routes of all has rights to those.
func (s scope) of(d *deploy.Deployment) scope {
	if s.app == "" {
		return s
	}
	s.app, s.environment = d.App, d.Environment
	return s
}

// explain adds to the error of what isn't there that the app was not the caller's word.
func (s scope) explain(err error) error {
	var p problem
	if s.file == "" || !errors.As(err, &p) || p.Status != http.StatusNotFound {
		return err
	}
	return fmt.Errorf("%w in app %s, which %s names; --app names another", err, s.app, s.file)
}

// scopeOptions are the flags of a command about one deployment.
type scopeOptions struct{ app, env string }

func (o *scopeOptions) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.app, "app", "", "the deployment's app, whose own routes are asked (default the one of "+config.AppFile+" here, else those of all apps)")
	cmd.Flags().StringVar(&o.env, "env", "", "the deployment's environment, where your permissions are for that one alone")
}

// scope finds the routes to ask by.
func (c *client) scope(ctx context.Context, o scopeOptions) (scope, error) {
	s := scope{app: o.app, environment: o.env}
	if s.app == "" {
		s.app, s.file = c.app, c.appFile
	}
	if s.environment != "" && s.app == "" {
		a, err := c.chooseApp(ctx, "")
		if err != nil {
			return scope{}, err
		}
		s.app = a.Name
	}
	return s, nil
}

// scopeOf is scope for a command that changes a deployment: an app's are changed by their environment's routes alone.
func (c *client) scopeOf(ctx context.Context, o scopeOptions, id string) (scope, error) {
	s, err := c.scope(ctx, o)
	if err != nil || s.app == "" || s.environment != "" {
		return s, err
	}
	d, err := c.deployment(ctx, s, id)
	if err != nil {
		return scope{}, err
	}
	return s.of(d), nil
}

// findApp reads the name in the first app.yaml here or above, within the repository. One that can't be read, or is
// no regular file, names nothing.
func (p *program) findApp() (name, file string) {
	for dir := p.dir; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, config.AppFile)
		text, err := readRegular(path, maxAppFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", ""
		}
		if err == nil {
			a, err := config.ParseApp(text)
			if err != nil {
				return "", ""
			}
			if shown, err := filepath.Rel(p.dir, path); err == nil {
				path = shown
			}
			return a.Name, path
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil || dir == filepath.Dir(dir) {
			return "", ""
		}
	}
}
