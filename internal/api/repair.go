package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/akrylysov/algnhsa"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// RepairRequest asks to run the way back again in a dirty environment.
type RepairRequest struct {
	Why string `json:"why"` // the reason, kept on the record
}

// RepairToRequest asks to repair a dirty environment by a release that it names.
type RepairToRequest struct {
	Why string `json:"why"`
	To  string `json:"to"` // the deployment whose release to restore
}

// SkipScriptsRequest asks to run the way back without the scripts and hooks of the commit that it undoes.
type SkipScriptsRequest struct {
	Why string `json:"why"`
	To  string `json:"to,omitempty"` // "" for the release that the way back was to restore
}

// DeclareRequest says that somebody repaired the environment by hand.
type DeclareRequest struct {
	Why string `json:"why"`
	To  string `json:"to,omitempty"` // of a script target, the deployment whose release serves; "" for what the way back was to restore
}

// RepairDeploymentRequest asks to put a commit into a dirty environment.
type RepairDeploymentRequest struct {
	Why       string         `json:"why"`
	CommitSHA string         `json:"commit_sha"`
	Branch    string         `json:"branch,omitempty"`
	Force     bool           `json:"force_deployment,omitempty"`
	Rebuild   bool           `json:"rebuild,omitempty"`
	Metadata  map[string]any `json:"metadata,omitempty"`

	SourceSHA256 string `json:"source_sha256,omitempty"` // as in a DeploymentRequest
}

// repairActions are the ways out of a dirty environment, as a path's end. Each is a route of its own, so that IAM can give out one and
// not another.
func (c *Control) repairActions() map[string]action {
	return map[string]action{
		"repair":              c.repairAgain,
		"repair/to":           c.repairTo,
		"repair/skip-scripts": c.repairWithoutScripts,
		"repair/declare":      c.declareRepaired,
		"repair/deployment":   c.repairByDeployment,
	}
}

func (c *Control) repairAgain(r *http.Request) (int, any, error) {
	var in RepairRequest
	if err := decodeWhy(r, &in, &in.Why); err != nil {
		return 0, nil, err
	}
	return c.repair(r, in, "", deploy.Repair{Why: in.Why})
}

func (c *Control) repairTo(r *http.Request) (int, any, error) {
	var in RepairToRequest
	if err := decodeWhy(r, &in, &in.Why); err != nil {
		return 0, nil, err
	}
	if in.To == "" {
		return 0, nil, deploy.FieldErrorf("to", "is missing; want the deployment whose release to restore")
	}
	return c.repair(r, in, in.To, deploy.Repair{Why: in.Why})
}

func (c *Control) repairWithoutScripts(r *http.Request) (int, any, error) {
	var in SkipScriptsRequest
	if err := decodeWhy(r, &in, &in.Why); err != nil {
		return 0, nil, err
	}
	return c.repair(r, in, in.To, deploy.Repair{Why: in.Why, SkipScripts: true})
}

func (c *Control) declareRepaired(r *http.Request) (int, any, error) {
	var in DeclareRequest
	if err := decodeWhy(r, &in, &in.Why); err != nil {
		return 0, nil, err
	}
	return c.repair(r, in, in.To, deploy.Repair{Why: in.Why, Declared: true})
}

// decodeWhy reads a repair's body, whose reason must be there.
func decodeWhy(r *http.Request, in any, why *string) error {
	if err := decode(r, in); err != nil {
		return err
	}
	return deploy.CheckWhy(*why)
}

// repair starts a rollback that takes over the dirty environment of the deployment that the path names.
func (c *Control) repair(r *http.Request, in any, to string, repairing deploy.Repair) (int, any, error) {
	return c.startOnce(r, in, func(ctx context.Context) (*deploy.Deployment, error) {
		h, dirty, err := c.dirtyEnvironment(r)
		if err != nil {
			return nil, err
		}
		d, err := c.draftRepair(ctx, h, dirty, to, repairing.Declared)
		if err != nil {
			return nil, err
		}
		repairing.Of, repairing.By = dirty.ID, callerOf(ctx)
		d.Repairing = &repairing
		return d, nil
	})
}

// dirtyEnvironment finds the environment of a request's deployment, and what is to be repaired there.
func (c *Control) dirtyEnvironment(r *http.Request) (*deploy.Head, *deploy.Deployment, error) {
	ctx := r.Context()
	d, err := c.deploymentOf(r)
	if err != nil {
		return nil, nil, err
	}
	h, err := c.Store.Head(ctx, d.App, d.Environment)
	if err != nil {
		return nil, nil, err
	}
	dirty, err := c.dirtyHolder(ctx, h, d.ID)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.environment(ctx, d.App, d.Environment); deploy.KindOf(err) == deploy.NotFound {
		return nil, nil, &deploy.Error{Kind: deploy.NotFound, Field: deploy.FieldOf(err), Err: fmt.Errorf("%w; put it back into app.yaml and run "+
			"slipway app apply, then repair it", err)}
	} else if err != nil {
		return nil, nil, err
	}
	return h, dirty, nil
}

func (c *Control) draftRepair(ctx context.Context, h *deploy.Head, dirty *deploy.Deployment, to string, declared bool) (*deploy.Deployment, error) {
	switch {
	case declared:
		return c.declared(ctx, h, dirty, to)
	case to == "":
		return c.repairBy(ctx, h, dirty)
	}
	settings, err := c.environment(ctx, h.App, h.Environment)
	if err != nil {
		return nil, err
	}
	return c.rollBackTo(ctx, h, to, settings.Target)
}

// declared drafts the record of a repair by hand. Only of a script target the caller may say what serves: a Lambda target says it.
func (c *Control) declared(ctx context.Context, h *deploy.Head, dirty *deploy.Deployment, to string) (*deploy.Deployment, error) {
	if to == "" {
		return c.restore(h, dirty.ID, "", &deploy.Deployment{})
	}
	settings, err := c.environment(ctx, h.App, h.Environment)
	if err != nil {
		return nil, err
	}
	if settings.Target.Type == deploy.TargetLambda {
		return nil, deploy.FieldErrorf("to", "a Lambda target says itself what it serves; leave it out")
	}
	serves, err := c.named(ctx, h, to)
	if err != nil {
		return nil, err
	}
	if serves.Release == nil {
		return nil, &deploy.Error{Kind: deploy.Conflict, Field: "to", Err: fmt.Errorf("%s has no release that could serve", serves.ID)}
	}
	return c.restore(h, dirty.ID, serves.ID, serves)
}

// repairByDeployment lets a commit into a dirty environment.
func (c *Control) repairByDeployment(r *http.Request) (int, any, error) {
	var in RepairDeploymentRequest
	if err := decodeWhy(r, &in, &in.Why); err != nil {
		return 0, nil, err
	}
	again, err := once(r, in)
	if err != nil {
		return 0, nil, err
	}
	d, err := c.deploymentOf(r)
	if err != nil {
		return 0, nil, err
	}
	request := DeploymentRequest{App: d.App, Environment: d.Environment, CommitSHA: in.CommitSHA, Branch: in.Branch, Force: in.Force, Rebuild: in.Rebuild, Metadata: in.Metadata,
		SourceSHA256: in.SourceSHA256}
	if err := request.validate(); err != nil {
		return 0, nil, err
	}
	repair := request.launch(again)
	repair.Repairing = &deploy.Repair{Of: d.ID, By: callerOf(r.Context()), Why: in.Why}
	return launched(c.launcher().Deploy(r.Context(), repair))
}

// callerOf returns the ARN of who signed the request, its session included; "" without API Gateway.
func callerOf(ctx context.Context) string {
	event, _ := algnhsa.APIGatewayV1RequestFromContext(ctx)
	return event.RequestContext.Identity.UserArn
}
