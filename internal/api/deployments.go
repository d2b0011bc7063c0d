package api

import (
	"context"
	"fmt"
	"net/http"
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

func (c *Control) listDeployments(r *http.Request) (int, any, error) {
	q := queryOf(r.URL, "app", "environment", "status", "limit", "cursor")
	want := deploy.Query{App: q.text("app"), Environment: q.text("environment"), Status: deploy.Status(q.text("status")),
		Limit: q.limit(DefaultPage, deploy.MaxPage), Cursor: q.cursor()}
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
	d, err := c.deployment(r.Context(), r.PathValue("id"))
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
	d, err := c.deployment(r.Context(), r.PathValue("id"))
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
	id := r.PathValue("id")
	if !deploy.ValidID(id) {
		return 0, nil, noDeployment(id)
	}
	d, err := c.Cancel(r.Context(), id)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, whole(d), nil
}

// deployment finds one. An id that can't be one isn't looked for.
func (c *Control) deployment(ctx context.Context, id string) (*deploy.Deployment, error) {
	if !deploy.ValidID(id) {
		return nil, noDeployment(id)
	}
	return c.Store.Deployment(ctx, id)
}

func noDeployment(id string) error {
	return &deploy.Error{Kind: deploy.NotFound, Field: "deployment", Err: fmt.Errorf("there is no deployment %q", deploy.Cut(id, 80))}
}

// whole gives a deployment as clients want it: lists and objects are never null.
func whole(d *deploy.Deployment) *deploy.Deployment {
	out := *d
	out.Seal, out.Scripts = "", nil
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
