package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
)

// DeploymentRequest asks to put a commit, whose bundle was uploaded, into an environment.
type DeploymentRequest struct {
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	CommitSHA   string         `json:"commit_sha"`
	Branch      string         `json:"branch,omitempty"`
	Force       bool           `json:"force_deployment,omitempty"` // skips the tests
	Rebuild     bool           `json:"rebuild,omitempty"`          // builds anew, whatever was built of the commit
	Metadata    map[string]any `json:"metadata,omitempty"`         // kept on the record, at most MaxMetadata bytes

	// SourceSHA256 is the SHA-256 of the commit's bundle as it was uploaded, in hex: the deployment takes no other. "" takes what is there.
	SourceSHA256 string `json:"source_sha256,omitempty"`
}

// Bounds on a request.
const (
	MaxMetadata      = 16 << 10 // bytes of JSON
	MaxMetadataDepth = 8        // objects and lists within one another
	DefaultPage      = 20       // deployments or apps
	MaxLines         = 1000     // of output
	DefaultLines     = 200
)

func (c *Control) createDeployment(r *http.Request) (int, any, error) {
	var in DeploymentRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	return c.create(r, in)
}

func (c *Control) create(r *http.Request, in DeploymentRequest) (int, any, error) {
	if err := in.validate(); err != nil {
		return 0, nil, err
	}
	once, err := once(r, in)
	if err != nil {
		return 0, nil, err
	}
	return launched(c.launcher().Deploy(r.Context(), in.launch(once)))
}

// EnvironmentDeploymentRequest asks to put a commit into the environment that the path names.
type EnvironmentDeploymentRequest struct {
	CommitSHA string         `json:"commit_sha"`
	Branch    string         `json:"branch,omitempty"`
	Force     bool           `json:"force_deployment,omitempty"`
	Rebuild   bool           `json:"rebuild,omitempty"`
	Metadata  map[string]any `json:"metadata,omitempty"`

	SourceSHA256 string `json:"source_sha256,omitempty"` // these all as in a DeploymentRequest
}

// in returns the request with the app and the environment that it doesn't name itself.
func (in *EnvironmentDeploymentRequest) in(app, environment string) DeploymentRequest {
	return DeploymentRequest{App: app, Environment: environment, CommitSHA: in.CommitSHA, Branch: in.Branch, Force: in.Force, Rebuild: in.Rebuild,
		Metadata: in.Metadata, SourceSHA256: in.SourceSHA256}
}

func (c *Control) createDeploymentHere(r *http.Request) (int, any, error) {
	var in EnvironmentDeploymentRequest
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	return c.create(r, in.in(r.PathValue("app"), r.PathValue("environment")))
}

// launch returns the request as it is launched.
func (in *DeploymentRequest) launch(once launch.Once) launch.Request {
	return launch.Request{
		App: in.App, Environment: in.Environment, CommitSHA: in.CommitSHA, Branch: in.Branch, Force: in.Force, Rebuild: in.Rebuild,
		SourceSHA256: in.SourceSHA256, Metadata: in.Metadata, Once: once,
	}
}

func (c *Control) launcher() *launch.Launcher {
	return &launch.Launcher{Store: c.Store, Sources: c.Sources, Machine: c.Machine, Now: c.Now, Entropy: c.Entropy}
}

// launched renders what a launch came to.
func launched(d *deploy.Deployment, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, whole(d), nil
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
	}
	if in.SourceSHA256 != "" && !deploy.ValidSHA256(in.SourceSHA256) {
		return deploy.FieldErrorf("source_sha256", "%q is not a SHA-256; want 64 of 0-9 and a-f", deploy.Cut(in.SourceSHA256, 80))
	}
	if err := deploy.CheckBranch(in.Branch); err != nil {
		return err
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
