// Package codepipeline answers the jobs of AWS CodePipeline's Lambda actions: it deploys the source that a pipeline hands over, and
// tells the pipeline how that ended.
package codepipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/strict"
)

// Parameters is the action's UserParameters: JSON, in which a pipeline's variables may stand, as in
// "commit_sha": "#{SourceVariables.CommitId}".
type Parameters struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	CommitSHA   string `json:"commit_sha,omitempty"` // default the artifact's revision
	Branch      string `json:"branch,omitempty"`
	Force       bool   `json:"force_deployment,omitempty"`
}

var userParameters = strict.Form{Name: "UserParameters", Example: `{"app":"shop","environment":"production"}`}

// parameters reads an action's UserParameters strictly. The error is Invalid and names the field.
func parameters(text string) (p Parameters, err error) {
	if err := userParameters.Decode([]byte(text), &p); err != nil {
		return p, err
	}
	switch {
	case !deploy.ValidName(p.App):
		return p, deploy.FieldErrorf("app", "%q is not a name; want %s", deploy.Cut(p.App, 80), deploy.NameRule)
	case !deploy.ValidName(p.Environment):
		return p, deploy.FieldErrorf("environment", "%q is not a name; want %s", deploy.Cut(p.Environment, 80), deploy.NameRule)
	case p.CommitSHA != "" && !deploy.ValidCommit(p.CommitSHA):
		return p, deploy.FieldErrorf("commit_sha", "%q is not a commit; want 40 small hex digits", deploy.Cut(p.CommitSHA, 80))
	}
	return p, deploy.CheckBranch(p.Branch)
}

// revision is the commit that an artifact says it is; "" where it says nothing, or nothing of a commit.
func revision(a events.CodePipelineInputArtifact) string {
	if a.Revision == nil || !deploy.ValidCommit(*a.Revision) {
		return ""
	}
	return *a.Revision
}

// once makes a job count once: CodePipeline and Lambda both send it again when an answer is lost.
func once(job string, p Parameters) launch.Once {
	text, _ := json.Marshal(p) // plain values
	sum := sha256.Sum256(text)
	return launch.Once{Key: "codepipeline/" + job, Fingerprint: hex.EncodeToString(sum[:]), Keep: 30 * 24 * time.Hour}
}

// parse reads the event. A job without an id can't even be refused.
func parse(event json.RawMessage) (*events.CodePipelineJob, error) {
	var e events.CodePipelineJobEvent
	if err := json.Unmarshal(bytes.TrimSpace(event), &e); err != nil {
		return nil, deploy.Errorf(deploy.Invalid, "codepipeline", "the event is no job of CodePipeline's: %w", err)
	}
	if e.CodePipelineJob.ID == "" {
		return nil, deploy.Errorf(deploy.Invalid, "codepipeline", "the event has no job")
	}
	return &e.CodePipelineJob, nil
}
