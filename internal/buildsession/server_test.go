package buildsession_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/slipway-cd/slipway/internal/buildsession"
	"github.com/slipway-cd/slipway/internal/deploy"
)

const (
	id        = "deploy-20260101-000000000-aaaaaaaa"
	execution = "arn:aws:states:eu-west-1:123456789012:execution:slipway:" + id
	caller    = "arn:aws:sts::123456789012:assumed-role/Slipway-BuildsRole1/AWSCodeBuild-f442b71c"
)

// scene is all that a server asks, as a test has it.
type scene struct {
	build    *buildsession.Build
	record   *deploy.Deployment
	resolve  error
	assume   error
	assumed  *deploy.Deployment
	resolved string // the app whose variables were looked up
}

func newScene() *scene {
	d := deploy.New(id, deploy.Deploy, "shop", "production", time.Now())
	d.Status, d.Execution, d.Runner = deploy.Running, execution, deploy.RunnerCodeBuild
	d.Variables = map[string]string{"KEY": "ssm:key"}
	return &scene{record: d, build: &buildsession.Build{Running: true, Variables: map[string]string{"SLIPWAY_DEPLOYMENT": id, "SLIPWAY_EXECUTION": execution}}}
}

func (s *scene) Build(_ context.Context, uuid string) (*buildsession.Build, error) {
	if s.build == nil || uuid != "f442b71c" {
		return nil, deploy.Errorf(deploy.NotFound, "build", "CodeBuild does not know slipway:%s", uuid)
	}
	return s.build, nil
}

func (s *scene) Deployment(_ context.Context, id string) (*deploy.Deployment, error) {
	if id != s.record.ID {
		return nil, deploy.Errorf(deploy.NotFound, "deployment", "there is no deployment %q", id)
	}
	return s.record, nil
}

func (s *scene) Resolve(_ context.Context, app string, _ map[string]string) (map[string]string, []string, error) {
	s.resolved = app
	if s.resolve != nil {
		return nil, nil, s.resolve
	}
	return map[string]string{"KEY": "hidden"}, []string{"hidden"}, nil
}

func (s *scene) Assume(_ context.Context, d *deploy.Deployment) (aws.Credentials, error) {
	s.assumed = d
	return aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret", SessionToken: "token"}, s.assume
}

// ask calls the server as API Gateway does.
func (s *scene) ask(t *testing.T, caller string) (int, string) {
	t.Helper()
	server := &buildsession.Server{Role: "Slipway-BuildsRole1", Builds: s, Records: s, Roles: s, Secrets: s, Log: slog.New(slog.DiscardHandler)}
	request := events.APIGatewayProxyRequest{}
	request.RequestContext.Identity.UserArn = caller
	answer, err := server.Lambda(t.Context(), request)
	if err != nil { // which API Gateway answers so, and Lambda counts
		return 502, err.Error()
	}
	if answer.Headers["Cache-Control"] != "no-store" {
		t.Errorf("headers %v: an answer with credentials may be kept", answer.Headers)
	}
	return answer.StatusCode, answer.Body
}

func TestSession(t *testing.T) {
	s := newScene()
	status, body := s.ask(t, caller)
	var session buildsession.Session
	if err := json.Unmarshal([]byte(body), &session); err != nil || status != 200 {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	want := buildsession.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret", SessionToken: "token"}
	if session.Credentials != want || s.assumed.ID != id || s.resolved != "shop" {
		t.Errorf("%+v, of %+v, with the variables of %q", session.Credentials, s.assumed, s.resolved)
	}
	if got, masked, err := session.Resolve(t.Context(), "", nil); err != nil || got["KEY"] != "hidden" || len(masked) != 1 {
		t.Errorf("variables %v, masked %v, %v", got, masked, err)
	}
}

// TestMissingSecret: the build gets its session, and the error of the variable as its own to report.
func TestMissingSecret(t *testing.T) {
	s := newScene()
	s.resolve = &deploy.Error{Kind: deploy.NotFound, Field: "environment_variables.KEY", Err: errors.New("there is no parameter")}
	status, body := s.ask(t, caller)
	var session buildsession.Session
	if err := json.Unmarshal([]byte(body), &session); err != nil || status != 200 || session.Credentials.AccessKeyID == "" {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	_, _, err := session.Resolve(t.Context(), "", nil)
	if deploy.KindOf(err) != deploy.NotFound || err.Error() != s.resolve.Error() {
		t.Errorf("%v, want %v", err, s.resolve)
	}
}

func TestNoSession(t *testing.T) {
	for name, c := range map[string]struct {
		caller string
		change func(s *scene)
		status int
		says   string
	}{
		"nobody":                 {"", nil, 403, "only a build"},
		"an account's user":      {"arn:aws:iam::123456789012:user/AWSCodeBuild-f442b71c", nil, 403, "only a build"},
		"a person's role":        {"arn:aws:sts::123456789012:assumed-role/operators/AWSCodeBuild-f442b71c", nil, 403, "only a build"},
		"a role's name in front": {"arn:aws:sts::123456789012:assumed-role/Slipway-BuildsRole1x/AWSCodeBuild-f442b71c", nil, 403, "only a build"},
		"another session":        {"arn:aws:sts::123456789012:assumed-role/Slipway-BuildsRole1/f442b71c", nil, 403, "only a build"},
		"no build":               {"arn:aws:sts::123456789012:assumed-role/Slipway-BuildsRole1/AWSCodeBuild-", nil, 403, "only a build"},
		"an unknown build":       {"arn:aws:sts::123456789012:assumed-role/Slipway-BuildsRole1/AWSCodeBuild-0", nil, 404, "does not know slipway:0"},
		"a build that ended":     {caller, func(s *scene) { s.build.Running = false }, 409, "f442b71c has ended"},
		"a build by hand":        {caller, func(s *scene) { s.build.Variables = map[string]string{} }, 404, `no deployment ""`},
		"another execution":      {caller, func(s *scene) { s.build.Variables["SLIPWAY_EXECUTION"] = "other" }, 409, "belongs to execution"},
		"no execution":           {caller, func(s *scene) { s.record.Execution, s.build.Variables["SLIPWAY_EXECUTION"] = "", "" }, 409, "belongs to execution"},
		"the other runner":       {caller, func(s *scene) { s.record.Runner = deploy.RunnerFunction }, 409, "not built in CodeBuild"},
		"an ended deployment":    {caller, func(s *scene) { s.record.Status = deploy.Failed }, 409, "has ended: failed"},
		"after the build": {caller, func(s *scene) {
			s.record.Begin("build", time.Now())
			s.record.Finish("build", deploy.Passed, time.Now())
		}, 409, "past its build"},
		"a role that refuses": {caller, func(s *scene) { s.assume = errors.New("no: secret words") }, 502, "the log line before has the cause"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			if c.change != nil {
				c.change(s)
			}
			status, body := s.ask(t, c.caller)
			if status != c.status || !strings.Contains(body, strings.ReplaceAll(c.says, `"`, `\"`)) || strings.Contains(body, "secret") {
				t.Errorf("%d %s; want %d with %q", status, body, c.status, c.says)
			}
			if c.status != 502 && s.assumed != nil {
				t.Error("a role was assumed")
			}
		})
	}
}
