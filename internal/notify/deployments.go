package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// hubDeployment is GitHub's (docs.github.com, REST API endpoints for deployments). Its payload may be anything, where others make some.
type hubDeployment struct {
	ID      int64           `json:"id"` // grows
	Payload json.RawMessage `json:"payload"`
}

// payload is ours: by it the deployment is found again.
type payload struct {
	Deployment string `json:"slipway_deployment"`
}

// deploymentStatus is GitHub's (docs.github.com, REST API endpoints for deployment statuses). A success makes GitHub set those before
// it in the environment inactive: auto_inactive is on where nothing is said.
type deploymentStatus struct {
	ID             int64  `json:"id,omitempty"`
	State          string `json:"state"`
	Description    string `json:"description,omitempty"` // 140 characters at most
	LogURL         string `json:"log_url,omitempty"`
	EnvironmentURL string `json:"environment_url,omitempty"`
}

// deployment makes GitHub have one deployment for ours, and say of it what the record says by now. It looks before it creates or sets,
// and again after it did, as status does: whoever sets last looks last. One that is still pending is not told: the change to running
// follows at once, and two calls at a time might create two.
func (n *Notifier) deployment(ctx context.Context, g *deploy.GitHubChannel, c *deploy.Change) error {
	if c.Status == deploy.Pending {
		return nil
	}
	repo, err := n.repository(ctx, g, c)
	if repo == nil {
		return err
	}
	var used int64 // GitHub's id, once this call created or found one: the list may lag behind
	for range rounds {
		d, err := n.Store.Deployment(ctx, c.Deployment)
		if err != nil {
			return err
		}
		if used, err = repo.deploymentFor(ctx, d, used); err != nil {
			return err
		}
		said, err := repo.state(ctx, used)
		if err != nil {
			return err
		}
		want, err := n.deploymentStatusOf(ctx, d)
		if err != nil || said == want.State {
			return err
		}
		if err := repo.setState(ctx, used, want); err != nil {
			return err
		}
	}
	return fmt.Errorf("GitHub: somebody else sets the state of deployment %d too", used)
}

// deploymentStatusOf is what GitHub shall say of a deployment that is no more pending.
func (n *Notifier) deploymentStatusOf(ctx context.Context, d *deploy.Deployment) (deploymentStatus, error) {
	s := deploymentStatus{State: "failure", Description: statusOf(d).Description, LogURL: console(d.Execution)}
	if d.Settings != nil {
		s.EnvironmentURL = d.Settings.URL
	}
	switch {
	case d.Status == deploy.Success:
		head, err := n.Store.Head(ctx, d.App, d.Environment)
		if err != nil {
			return s, err
		}
		s.State = "inactive"
		if head.Live != nil && head.Live.Deployment == d.ID {
			s.State = "success"
		}
	case d.WentLive():
		s.State = "inactive" // a later rollback undid it
	case d.Status == deploy.Aborted:
		s.State = "error"
	case !d.Status.Ended():
		s.State = "in_progress"
	}
	return s, nil
}

// console is where an execution is seen in AWS's console, "" where that is not known.
func console(execution string) string {
	part := strings.SplitN(execution, ":", 5) // arn:aws:states:REGION:…
	if len(part) < 5 || part[1] != "aws" {
		return ""
	}
	return fmt.Sprintf("https://%[1]s.console.aws.amazon.com/states/home?region=%[1]s#/v2/executions/details/%s", part[3], execution)
}

// deploymentFor gives the id of GitHub's deployment for d, and creates it where there is none. Where two calls created one each, the
// older counts for both, and whoever created the other sets it inactive.
func (r *repository) deploymentFor(ctx context.Context, d *deploy.Deployment, used int64) (int64, error) {
	oldest, err := r.oldest(ctx, d)
	switch {
	case err != nil:
		return 0, err
	case oldest == 0 && used == 0:
		return r.create(ctx, d)
	case oldest == 0:
		return used, nil
	case used > oldest:
		return oldest, r.setState(ctx, used, deploymentStatus{State: "inactive", Description: "created twice - " + d.ID})
	}
	return oldest, nil
}

func (r *repository) oldest(ctx context.Context, d *deploy.Deployment) (id int64, err error) {
	all, err := pages[hubDeployment](ctx, r, "/deployments", url.Values{"sha": {d.CommitSHA}, "environment": {place(d)}}, "list the deployments")
	for _, each := range all {
		var p payload
		if json.Unmarshal(each.Payload, &p) == nil && p.Deployment == d.ID && (id == 0 || each.ID < id) {
			id = each.ID
		}
	}
	return id, err
}

// place names the environment at GitHub: apps of one repository have each its own, or a success of one would set the other's inactive.
func place(d *deploy.Deployment) string { return d.App + "/" + d.Environment }

// create has GitHub neither merge anything nor wait for statuses, of which one is Slipway's own.
func (r *repository) create(ctx context.Context, d *deploy.Deployment) (int64, error) {
	body := map[string]any{"ref": d.CommitSHA, "environment": place(d), "auto_merge": false, "required_contexts": []string{},
		"description": fmt.Sprintf("Slipway, %s in %s", d.Action, d.Environment), "payload": payload{d.ID}}
	var made hubDeployment
	err := r.notifier.send(ctx, r.request(http.MethodPost, "/deployments", body, "create the deployment"), &made)
	if err == nil && made.ID == 0 {
		err = refusef("GitHub, create the deployment: the answer has no id")
	}
	return made.ID, err
}

// state gives what GitHub says of its deployment, "" where nothing was said yet.
func (r *repository) state(ctx context.Context, id int64) (string, error) {
	all, err := pages[deploymentStatus](ctx, r, fmt.Sprintf("/deployments/%d/statuses", id), url.Values{}, "read the deployment's statuses")
	var last deploymentStatus
	for _, s := range all {
		if s.ID > last.ID {
			last = s
		}
	}
	return last.State, err
}

func (r *repository) setState(ctx context.Context, id int64, s deploymentStatus) error {
	return r.notifier.send(ctx, r.request(http.MethodPost, fmt.Sprintf("/deployments/%d/statuses", id), s, "set the deployment's status"), nil)
}
