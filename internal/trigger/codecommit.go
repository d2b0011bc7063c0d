package trigger

import (
	"encoding/json"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// CodeCommit is the source and the detail-type of CodeCommit's events about branches and tags.
const (
	CodeCommitSource = "aws.codecommit"
	CodeCommitType   = "CodeCommit Repository State Change"
)

// codeCommitDetail is what EventBridge's event says ("Monitoring CodeCommit events in Amazon EventBridge", user guide).
type codeCommitDetail struct {
	Event         string `json:"event"`
	Repository    string `json:"repositoryName"`
	ReferenceType string `json:"referenceType"`
	ReferenceName string `json:"referenceName"`
	CommitID      string `json:"commitId"`
	OldCommitID   string `json:"oldCommitId"`
}

// codeCommit reads an event of CodeCommit: a push, or why it is none.
func codeCommit(e Event) (Push, *Answer, error) {
	var d codeCommitDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Push{}, nil, deploy.FieldErrorf("detail", "can't be read: %v", err)
	}
	switch {
	case d.ReferenceType == "tag":
		return Push{}, ignored("%q of %s is a tag; branches alone deploy", d.ReferenceName, d.Repository), nil
	case d.Event != "referenceCreated" && d.Event != "referenceUpdated" && d.Event != "referenceDeleted":
		return Push{}, ignored("the event %q of %s is no push", deploy.Cut(d.Event, 80), d.Repository), nil
	case d.Repository == "":
		return Push{}, nil, deploy.FieldErrorf("detail.repositoryName", "is missing")
	}

	before, commit := d.OldCommitID, d.CommitID
	switch d.Event {
	case "referenceCreated":
		before = zeroCommit
	case "referenceDeleted":
		commit = zeroCommit
	}
	return Push{Repository: d.Repository, Branch: d.ReferenceName, CommitSHA: commit, Before: before, Told: e.Time, Sent: e.Time, HasTime: true,
		Door: doorCodeCommit}, nil, nil
}
