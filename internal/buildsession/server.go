// Package buildsession lends each CodeBuild build credentials for its own deployment and for nothing else.
//
// All builds share the project's role, and a commit's scripts run as root beside the runner, so they have that role too. It may do one
// thing of consequence: call the build session route. API Gateway checks the request's signature and names the caller. CodeBuild names
// the sessions of a project's role AWSCodeBuild-UUID, by the UUID of the build, so the caller's name is the build's. The [Server] looks
// the build up, compares it with the deployment's record, and assumes a second role with the deployment's app, commit and id as session
// tags. The policy of that role names objects and the log stream by these tags (docs/adr/0017-a-session-for-each-build.md).
//
// The runner is the client: see [Ask].
package buildsession

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// sessionPrefix begins the names of the sessions that CodeBuild makes of a project's role.
const sessionPrefix = "AWSCodeBuild-"

// Build is what CodeBuild knows of a build.
type Build struct {
	Running   bool
	Variables map[string]string // of its environment, the project's and its own
}

// Builds looks up builds. The error of one that CodeBuild does not know is NotFound.
type Builds interface {
	Build(ctx context.Context, uuid string) (*Build, error)
}

// Roles assumes the role of builds, narrowed to a deployment.
type Roles interface {
	Assume(ctx context.Context, d *deploy.Deployment) (aws.Credentials, error)
}

// Records reads deployments. The error of one that is not there is NotFound.
type Records interface {
	Deployment(ctx context.Context, id string) (*deploy.Deployment, error)
}

// Secrets looks up the values of an app's variables.
type Secrets interface {
	Resolve(ctx context.Context, app string, variables map[string]string) (resolved map[string]string, masked []string, err error)
}

// Server answers builds. All fields are required.
type Server struct {
	Role    string // name of the project's role, whose sessions are builds
	Builds  Builds
	Records Records
	Roles   Roles
	Secrets Secrets
	Log     *slog.Logger
}

// Session is what a build gets.
type Session struct {
	Credentials Credentials       `json:"credentials"`
	Variables   map[string]string `json:"variables"`         // the app's build_variables, references to secrets replaced by their values
	Masked      []string          `json:"masked"`            // values that logs must not show
	Refused     *Refusal          `json:"refused,omitempty"` // why there are no variables
}

// Credentials are temporary ones of AWS.
type Credentials struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	SessionToken    string `json:"session_token"`
}

// Refusal is an error about a variable. The build reports it as the failure of its stage, so it gets its session nevertheless.
type Refusal struct {
	Kind  deploy.Kind `json:"kind"`
	Field string      `json:"field"`
	Error string      `json:"error"`
}

// Open returns the session of a build. The caller is an ARN, as API Gateway names who signed a request. The error is [ErrNotABuild] if
// the caller is no build, NotFound if CodeBuild or the table does not know it, and Conflict if the build or its deployment has ended or
// if the two do not belong together.
func (s *Server) Open(ctx context.Context, caller string) (*Session, error) {
	uuid, ok := buildOf(caller, s.Role)
	if !ok {
		return nil, ErrNotABuild
	}
	b, err := s.Builds.Build(ctx, uuid)
	if err != nil {
		return nil, err
	}
	if !b.Running {
		return nil, deploy.Errorf(deploy.Conflict, "build", "%s has ended", uuid)
	}

	d, err := s.Records.Deployment(ctx, b.Variables["SLIPWAY_DEPLOYMENT"])
	if err != nil {
		return nil, err
	}
	if err := belongs(b, d); err != nil {
		return nil, err
	}

	session := &Session{}
	if session.Variables, session.Masked, err = s.Secrets.Resolve(ctx, d.App, d.Variables); err != nil {
		session.Refused = refusal(err)
	}
	c, err := s.Roles.Assume(ctx, d)
	if err != nil {
		return nil, err
	}
	session.Credentials = Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	return session, nil
}

// ErrNotABuild is the error of a caller that is no build of the project.
var ErrNotABuild = errors.New("only a build of Slipway's CodeBuild project gets a session; the caller is none")

// buildOf returns the UUID of the build that a caller is. A person may choose the name of a session, but not whose role it is.
func buildOf(caller, role string) (uuid string, ok bool) {
	_, assumed, ok := strings.Cut(caller, ":assumed-role/")
	if !ok || !strings.HasPrefix(caller, "arn:") {
		return "", false
	}
	name, session, ok := strings.Cut(assumed, "/")
	if !ok || name != role {
		return "", false
	}
	uuid, ok = strings.CutPrefix(session, sessionPrefix)
	return uuid, ok && uuid != ""
}

// belongs compares a build with the deployment that it says it is for.
func belongs(b *Build, d *deploy.Deployment) error {
	switch {
	case d.Status.Ended():
		return deploy.Errorf(deploy.Conflict, "deployment", "%s has ended: %s", d.ID, d.Status)
	case d.Runner != deploy.RunnerCodeBuild:
		return deploy.Errorf(deploy.Conflict, "deployment", "%s is not built in CodeBuild", d.ID)
	case d.Execution == "" || d.Execution != b.Variables["SLIPWAY_EXECUTION"]:
		return deploy.Errorf(deploy.Conflict, "deployment", "%s belongs to execution %q, and the build to %q", d.ID, d.Execution, b.Variables["SLIPWAY_EXECUTION"])
	}
	if s := d.Stage("build"); s != nil && s.End != nil {
		return deploy.Errorf(deploy.Conflict, "deployment", "%s is past its build", d.ID)
	}
	return nil
}

func refusal(err error) *Refusal {
	r := &Refusal{Kind: deploy.KindOf(err), Field: deploy.FieldOf(err), Error: err.Error()}
	if wrong := (*deploy.Error)(nil); errors.As(err, &wrong) {
		r.Error = wrong.Err.Error()
	}
	return r
}

// Resolve implements the runner's look-up of variables with what came with the session.
func (s *Session) Resolve(context.Context, string, map[string]string) (resolved map[string]string, masked []string, err error) {
	if r := s.Refused; r != nil {
		return nil, nil, &deploy.Error{Kind: r.Kind, Field: r.Field, Err: errors.New(r.Error)}
	}
	return s.Variables, s.Masked, nil
}
