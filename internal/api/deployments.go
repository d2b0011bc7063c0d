package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Summary is a deployment in a list.
type Summary struct {
	ID           string        `json:"id"`
	App          string        `json:"app"`
	Environment  string        `json:"environment"`
	Action       deploy.Action `json:"action"`
	Status       deploy.Status `json:"status"`
	CommitSHA    string        `json:"commit_sha"`
	Branch       string        `json:"branch"`
	StartTime    time.Time     `json:"start_time"`
	EndTime      *time.Time    `json:"end_time"`
	Error        string        `json:"error"`
	Dirty        bool          `json:"dirty,omitempty"`
	RollbackFrom string        `json:"rollback_from,omitempty"`
	SupersededBy string        `json:"superseded_by,omitempty"`
}

// DeploymentPage is a page of deployments, the newest first.
type DeploymentPage struct {
	Deployments []Summary `json:"deployments"`
	NextCursor  string    `json:"next_cursor,omitempty"`
}

// LinePage is a page of a deployment's output, the oldest first. NextCursor is there at the end too: more may come.
type LinePage struct {
	Lines      []deploy.Line `json:"lines"`
	NextCursor string        `json:"next_cursor"`
}

// Where the routes of deployments are. IAM judges a request by its path, so that a right to the flat ones is one to the deployments of
// all apps, and the others can be given out for one app, or for one environment of it.
const (
	flatRoutes        = "/v1"
	appRoutes         = "/v1/apps/{app}"
	environmentRoutes = "/v1/apps/{app}/environments/{environment}"
)

// deploymentActions are the routes of deployments. What changes something is in the flat form and by environment: who may deploy to one
// of an app's environments may not deploy to the next.
func (c *Control) deploymentActions() map[string]action {
	actions := map[string]action{
		"POST " + flatRoutes + "/deployments":        c.createDeployment,
		"POST " + environmentRoutes + "/deployments": c.createDeploymentHere,
	}
	for _, at := range []string{flatRoutes, appRoutes, environmentRoutes} {
		actions["GET "+at+"/deployments"] = c.listDeployments
		actions["GET "+at+"/deployments/{id}"] = c.getDeployment
		actions["GET "+at+"/deployments/{id}/logs"] = c.readLogs
	}
	for _, at := range []string{flatRoutes, environmentRoutes} {
		actions["POST "+at+"/deployments/{id}/cancel"] = c.cancelDeployment
		actions["POST "+at+"/deployments/{id}/rollback"] = c.undoDeployment
		for way, act := range c.repairActions() {
			actions["POST "+at+"/deployments/{id}/"+way] = act
		}
	}
	return actions
}

// listParameters are those of a route that lists deployments: what stands in its path is none.
func listParameters(r *http.Request) []string {
	known := []string{"app", "environment", "status", "limit", "cursor"}
	return slices.DeleteFunc(known, func(name string) bool { return r.PathValue(name) != "" })
}

func (c *Control) listDeployments(r *http.Request) (int, any, error) {
	q := queryOf(r.URL, listParameters(r)...)
	want := deploy.Query{Status: deploy.Status(q.text("status")), Limit: q.limit(DefaultPage, deploy.MaxPage), Cursor: q.cursor(),
		App: cmp.Or(r.PathValue("app"), q.text("app")), Environment: cmp.Or(r.PathValue("environment"), q.text("environment"))}
	if want.Status != "" && !want.Status.Valid() {
		q.refuse("status", "%q is not one; want one of %v", deploy.Cut(string(want.Status), 40), deploy.Statuses)
	}
	if want.Environment != "" && want.App == "" {
		q.refuse("app", "is missing; an environment is one app's")
	}
	if q.err != nil {
		return 0, nil, q.err
	}
	if err := c.known(r.Context(), want); err != nil {
		return 0, nil, err
	}
	found, next, err := c.Store.List(r.Context(), want)
	if err != nil {
		return 0, nil, err
	}
	page := DeploymentPage{Deployments: make([]Summary, len(found)), NextCursor: next}
	for i := range found {
		page.Deployments[i] = summary(&found[i])
	}
	return http.StatusOK, page, nil
}

// known tells a misspelt app or environment from one without deployments.
func (c *Control) known(ctx context.Context, q deploy.Query) error {
	if q.App == "" {
		return nil
	}
	if q.Environment == "" {
		_, err := c.app(ctx, q.App)
		return err
	}
	_, err := c.environment(ctx, q.App, q.Environment)
	return err
}

func (c *Control) getDeployment(r *http.Request) (int, any, error) {
	d, err := c.deploymentOf(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, whole(d), nil
}

func (c *Control) readLogs(r *http.Request) (int, any, error) {
	q := queryOf(r.URL, "limit", "cursor")
	limit, cursor := q.limit(DefaultLines, MaxLines), q.cursor()
	if q.err != nil {
		return 0, nil, q.err
	}
	d, err := c.deploymentOf(r)
	if err != nil {
		return 0, nil, err
	}
	lines, next, err := c.Output.Read(r.Context(), d.ID, cursor, limit)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, LinePage{Lines: append([]deploy.Line{}, lines...), NextCursor: next}, nil
}

func (c *Control) cancelDeployment(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	found, err := c.deploymentOf(r)
	if err != nil {
		return 0, nil, err
	}
	d, err := c.Cancel(r.Context(), found.ID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, whole(d), nil
}

// deploymentOf finds the deployment of a request's path. One of another app or environment than the path names is answered like one
// that doesn't exist.
func (c *Control) deploymentOf(r *http.Request) (*deploy.Deployment, error) {
	id, app, environment := r.PathValue("id"), r.PathValue("app"), r.PathValue("environment")
	d, err := c.deployment(r.Context(), id)
	if err == nil && (app != "" && d.App != app || environment != "" && d.Environment != environment) {
		return nil, noDeployment(id)
	}
	return d, err
}

// deployment finds one. An id that can't be one isn't looked for.
func (c *Control) deployment(ctx context.Context, id string) (*deploy.Deployment, error) {
	if !deploy.ValidID(id) {
		return nil, noDeployment(id)
	}
	d, err := c.Store.Deployment(ctx, id)
	if deploy.KindOf(err) == deploy.NotFound {
		return nil, noDeployment(id)
	}
	return d, err
}

func noDeployment(id string) error {
	return &deploy.Error{Kind: deploy.NotFound, Field: "deployment", Err: fmt.Errorf("there is no deployment %q", deploy.Cut(id, 80))}
}

// whole gives a deployment as clients want it: lists and objects are never null.
func whole(d *deploy.Deployment) *deploy.Deployment {
	out := *d
	out.Scripts = nil
	out.Logs, out.Stages = append([]string{}, d.Logs...), append([]deploy.Stage{}, d.Stages...)
	if out.Artifacts == nil {
		out.Artifacts = map[string]string{}
	}
	if out.Metadata == nil {
		out.Metadata = map[string]any{}
	}
	return &out
}

func summary(d *deploy.Deployment) Summary {
	return Summary{ID: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Status: d.Status,
		CommitSHA: d.CommitSHA, Branch: d.Branch, StartTime: d.StartTime, EndTime: d.EndTime, Error: d.Error,
		Dirty: d.Dirty, RollbackFrom: d.RollbackFrom, SupersededBy: d.SupersededBy}
}
