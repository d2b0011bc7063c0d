package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Jobs takes deployments to CodeBuild.
type Jobs interface {
	PutJob(ctx context.Context, d *deploy.Deployment) error
}

// Built looks up what was built of a commit.
type Built interface {
	Release(ctx context.Context, app, commit string) (*deploy.Release, error)
}

// chooseRunner says what runs the tests and the build. A build is worth its minute where there is something to run: a release
// that was tested before it was built is taken as it is, and Build looks at its digests (docs/adr/0010-one-build.md).
func (p *Prepare) chooseRunner(ctx context.Context, d *deploy.Deployment) error {
	if d.Runner = d.Settings.Runner; d.Runner == "" {
		d.Runner = p.Runner
	}
	if d.Runner != deploy.RunnerCodeBuild {
		return nil
	}
	r, _, err := taken(ctx, p.Built, d)
	if err != nil {
		return err
	}
	tests := d.Config.Scripts.Test != "" && !d.Force
	if r != nil && tests {
		d.TestedBy = r.TestedBy
	}
	if (r != nil || !builds(d.Config)) && (d.TestedBy != "" || !tests) {
		d.Runner = deploy.RunnerFunction
		return nil
	}
	job, settings := *d, *d.Settings
	settings.Variables = nil // which a build has nothing to do with, and whose plain values it could read
	job.Release, job.Settings = r, &settings
	return p.Jobs.PutJob(ctx, &job)
}

// Answer is what CodeBuild says of a build, in the names that startBuild.sync gives them.
type Answer struct {
	ID     string  `json:"Id"`
	Status string  `json:"BuildStatus"` // SUCCEEDED, FAILED, FAULT, TIMED_OUT or STOPPED; "" where there was no build
	Phases []Phase `json:"Phases,omitempty"`
	Logs   struct {
		Group  string `json:"GroupName,omitempty"`
		Stream string `json:"StreamName,omitempty"`
	} `json:"Logs,omitzero"`

	refusal string // why there was no build, or nothing is known of it
}

// Phase is a part of a build as CodeBuild divides it.
type Phase struct {
	Type     string `json:"PhaseType"`
	Status   string `json:"PhaseStatus"`
	Contexts []struct {
		Message string `json:"Message"`
	} `json:"Contexts"`
}

// answer reads what the machine says of the build: in the state where it went well, else as the cause of an error.
func (st *State) answer() Answer {
	if st.Error.Error == "" {
		return st.Build
	}
	var told struct {
		Build *Answer `json:"Build"`
		Answer
	}
	_ = json.Unmarshal([]byte(st.Error.Cause), &told)
	if told.Build != nil {
		told.Answer = *told.Build
	}
	if told.Status == "" {
		told.refusal = st.Error.Error + ": " + st.Error.Cause
	}
	return told.Answer
}

// where says where CodeBuild's own log of the build is, for people.
func (a *Answer) where() string {
	if a.Logs.Group == "" {
		return ""
	}
	return fmt.Sprintf(" (its own log: %s in %s)", a.Logs.Stream, a.Logs.Group)
}

// wrong gives the first phase that did not go well, with what CodeBuild says about it.
func (a *Answer) wrong() (phase, message string) {
	for _, p := range a.Phases {
		if p.Status == "" || p.Status == "SUCCEEDED" {
			continue
		}
		var said []string
		for _, c := range p.Contexts {
			if text := strings.TrimSpace(c.Message); text != "" {
				said = append(said, text)
			}
		}
		return p.Type, strings.Join(said, "; ")
	}
	return "", ""
}

// phases are those of the build specification that run our stages.
var phases = map[string]string{"PRE_BUILD": "test", "BUILD": "build"}

// failed gives each stage's own Kind of failure.
var failed = map[string]deploy.Kind{"test": deploy.TestFailed, "build": deploy.BuildFailed}

// stage tells which stage a build was in when it ended: the one that the result has open, else the one of the phase that went
// wrong; "" before the first.
func (a *Answer) stage(result *deploy.Deployment) string {
	for _, name := range []string{"test", "build"} {
		if result.Stage(name).Open() {
			return name
		}
	}
	phase, _ := a.wrong()
	return phases[phase]
}

// verdict is the error of a build; nil where CodeBuild and the result agree that it went well. A failure inside of a script is
// told by the result, whatever stopped the build from outside by CodeBuild.
func (a *Answer) verdict(result *deploy.Deployment) error {
	switch a.Status {
	case "STOPPED":
		return deploy.Errorf(deploy.Cancelled, "", "its build %s was stopped in CodeBuild", a.ID)
	case "TIMED_OUT":
		return a.outside(result, "CodeBuild ended %s at its time limit", a.ID)
	case "FAULT":
		phase, message := a.wrong()
		return deploy.Errorf(deploy.Internal, "codebuild", "%s ended by a fault of CodeBuild's own in phase %s: %s%s", a.ID, phase, message, a.where())
	case "SUCCEEDED":
		if result.ErrorKind != "" || !went(result, "test") || !went(result, "build") {
			return deploy.Errorf(deploy.Internal, "codebuild", "%s says that it succeeded and left no result of both stages%s", a.ID, a.where())
		}
		return nil
	case "FAILED":
		return a.inside(result)
	}
	if strings.HasPrefix(a.refusal, "States.Timeout:") {
		return a.outside(result, "CodeBuild had not ended the build when the machine's time for it was over")
	}
	if strings.HasPrefix(a.refusal, "States.TaskFailed:") && result.Error != "" {
		return a.inside(result) // a cause that Step Functions cut is no JSON any more
	}
	return deploy.Errorf(deploy.Internal, "codebuild", "the build could not be run: %s", a.refusal)
}

// went tells whether a stage ended, and well.
func went(result *deploy.Deployment, stage string) bool {
	s := result.Stage(stage)
	return s != nil && s.End != nil && (s.Outcome == deploy.Passed || s.Outcome == deploy.Skipped)
}

// outside words an end that came over a stage; before the first it is nobody's fault but ours.
func (a *Answer) outside(result *deploy.Deployment, format string, args ...any) error {
	stage := a.stage(result)
	if stage == "" {
		return deploy.Errorf(deploy.Internal, "codebuild", format+", before the tests began"+"%s", append(args, a.where())...)
	}
	return deploy.Errorf(failed[stage], stage+" script", format, args...)
}

// inside words a failure of a stage. Only Kinds that a stage's own work has are taken from the result.
func (a *Answer) inside(result *deploy.Deployment) error {
	for _, name := range []string{"test", "build"} {
		s := result.Stage(name)
		if s == nil || s.Outcome != deploy.StageFailed || result.Error == "" {
			continue
		}
		switch kind := result.ErrorKind; kind {
		case deploy.Invalid, deploy.NotFound, deploy.TooLarge, deploy.Internal:
			return deploy.Errorf(kind, "", "%s", result.Error)
		}
		return deploy.Errorf(failed[name], "", "%s", result.Error)
	}
	phase, message := a.wrong()
	if stage := a.stage(result); stage != "" {
		return deploy.Errorf(failed[stage], stage+" script", "%s ended in phase %s without a result: %s%s", a.ID, phase, message, a.where())
	}
	return deploy.Errorf(deploy.Internal, "codebuild", "%s failed in phase %s, before the tests began: %s%s", a.ID, phase, message, a.where())
}
