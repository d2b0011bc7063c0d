package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// DeploymentRequest asks to put a commit, whose bundle was uploaded, into an environment.
type DeploymentRequest struct {
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	CommitSHA   string         `json:"commit_sha"`
	Branch      string         `json:"branch,omitempty"`
	Force       bool           `json:"force_deployment,omitempty"` // skips the tests
	Metadata    map[string]any `json:"metadata,omitempty"`         // kept on the record, at most MaxMetadata bytes
}

// Bounds on a request.
const (
	MaxMetadata      = 16 << 10 // bytes of JSON
	MaxMetadataDepth = 8        // objects and lists within one another
	MaxBranch        = 255      // bytes
	DefaultPage      = 20       // deployments or apps
	MaxLines         = 1000     // of output
	DefaultLines     = 200
)

func (c *Control) createDeployment(r *http.Request) (int, any, error) {
	var in DeploymentRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if err := in.validate(); err != nil {
		return 0, nil, err
	}
	settings, err := c.environment(r.Context(), in.App, in.Environment)
	if err != nil {
		return 0, nil, err
	}
	if allowed := strings.Join(settings.Branches, " or "); !settings.AllowsBranch(in.Branch) && in.Branch == "" {
		return 0, nil, deploy.FieldErrorf("branch", "is missing; %s takes only %s", in.Environment, allowed)
	} else if !settings.AllowsBranch(in.Branch) {
		return 0, nil, deploy.FieldErrorf("branch", "%q may not be deployed to %s; want %s", in.Branch, in.Environment, allowed)
	}
	bundle, err := c.Sources.Stat(r.Context(), in.App, in.CommitSHA)
	if err != nil {
		if deploy.KindOf(err) == deploy.NotFound {
			err = &deploy.Error{Kind: deploy.NotFound, Field: "commit_sha",
				Err: fmt.Errorf("no bundle of commit %s was uploaded for app %q", in.CommitSHA, in.App)}
		}
		return 0, nil, err
	}
	if err := c.clean(r.Context(), in.App, in.Environment); err != nil {
		return 0, nil, err
	}
	d := c.draft(deploy.Deploy, in.App, in.Environment)
	d.CommitSHA, d.Branch, d.Force, d.Source, d.Settings = in.CommitSHA, in.Branch, in.Force, bundle, settings
	if in.Metadata != nil {
		d.Metadata = in.Metadata
	}
	return c.start(r.Context(), d)
}

func (in *DeploymentRequest) validate() error {
	switch {
	case in.App == "":
		return deploy.FieldErrorf("app", "is missing")
	case in.Environment == "":
		return deploy.FieldErrorf("environment", "is missing")
	case in.CommitSHA == "":
		return deploy.FieldErrorf("commit_sha", "is missing")
	case !deploy.ValidCommit(in.CommitSHA):
		return deploy.FieldErrorf("commit_sha", "%q is not a commit; want 40 of 0-9 and a-f", deploy.Cut(in.CommitSHA, 80))
	case len(in.Branch) > MaxBranch || strings.ContainsFunc(in.Branch, unicode.IsControl):
		return deploy.FieldErrorf("branch", "%d bytes; want at most %d, and no control characters", len(in.Branch), MaxBranch)
	}
	if text, err := json.Marshal(in.Metadata); err != nil || len(text) > MaxMetadata {
		return deploy.FieldErrorf("metadata", "%d bytes; want at most %d", len(text), MaxMetadata)
	}
	return storable("metadata", in.Metadata, MaxMetadataDepth)
}

// storable checks for what DynamoDB can't keep in a document: names that are empty, and nesting without end.
func storable(field string, v any, depth int) error {
	if depth < 0 {
		return deploy.FieldErrorf("metadata", "nested deeper than %d", MaxMetadataDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, each := range v {
			if name == "" {
				return deploy.FieldErrorf(field, "has a field without a name")
			}
			if err := storable(field+"."+deploy.Cut(name, 80), each, depth-1); err != nil {
				return err
			}
		}
	case []any:
		for i, each := range v {
			if err := storable(fmt.Sprintf("%s[%d]", field, i), each, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// clean refuses a deployment to a dirty environment, and says how to repair that.
func (c *Control) clean(ctx context.Context, app, environment string) error {
	h, err := c.Store.Head(ctx, app, environment)
	if err != nil || !h.Dirty {
		return err
	}
	repair, err := c.repair(ctx, h)
	if err != nil {
		return err
	}
	return deploy.Errorf(deploy.Conflict, "", "%s is dirty since %s and stays locked until it is repaired: %s",
		environment, h.Holder.Deployment, repair)
}

// start records a deployment and starts its execution. One that can't be started ends failed, so that nobody waits for
// it, and the caller is told why.
func (c *Control) start(ctx context.Context, d *deploy.Deployment) (int, any, error) {
	var entropy [5]byte
	if _, err := io.ReadFull(c.Entropy, entropy[:]); err != nil {
		return 0, nil, deploy.Errorf(deploy.Internal, "api", "read entropy: %w", err)
	}
	d.ID = deploy.NewID(d.StartTime, entropy[:])
	if err := c.Store.Create(ctx, d); err != nil {
		return 0, nil, err
	}
	execution, err := c.Machine.Start(ctx, d.ID)
	if err != nil {
		return c.notStarted(ctx, d, err)
	}
	d.Execution = execution // Prepare writes it down; it has the record from here on
	return http.StatusAccepted, whole(d), nil
}

// draft is a deployment without its id.
func (c *Control) draft(action deploy.Action, app, environment string) *deploy.Deployment {
	return deploy.New("", action, app, environment, c.Now())
}

var errStarted = errors.New("the execution has begun")

// notStarted ends a deployment whose execution could not be started. The error may have come after the fact, though:
// when the execution has taken up the record, it was started.
func (c *Control) notStarted(ctx context.Context, d *deploy.Deployment, cause error) (int, any, error) {
	ctx = context.WithoutCancel(ctx) // the caller may be why it failed
	err := c.Store.Update(ctx, d, func(d *deploy.Deployment) error {
		if d.Status != deploy.Pending {
			return errStarted
		}
		now := c.Now().UTC()
		d.Fail(deploy.Internal, "the execution could not be started: "+cause.Error())
		d.Log(now, "%s", d.Error)
		return d.End(deploy.Failed, now)
	})
	switch {
	case errors.Is(err, errStarted):
		return http.StatusAccepted, whole(d), nil
	case err != nil:
		return 0, nil, deploy.Errorf(deploy.Internal, "api", "start %s: %w; and its record stays pending: %w", d.ID, cause, err)
	}
	return 0, nil, deploy.Errorf(deploy.Internal, "api", "start %s: %w", d.ID, cause)
}
