package trigger

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// githubPush is what Slipway reads of the payload of GitHub's event push ("Webhook events and payloads").
type githubPush struct {
	Ref        string `json:"ref"`
	Before     string `json:"before"`
	After      string `json:"after"`
	Deleted    bool   `json:"deleted"`
	Repository struct {
		FullName string          `json:"full_name"`
		PushedAt json.RawMessage `json:"pushed_at"` // seconds since 1970, as clock reads it
	} `json:"repository"`
}

// github reads a push's payload: a push, or why it is none.
func github(body []byte, now time.Time) (Push, *Answer, error) {
	var g githubPush
	if err := json.Unmarshal(body, &g); err != nil {
		return Push{}, nil, deploy.Errorf(deploy.Invalid, "", "the body is no push that GitHub sends: %w", err)
	}

	branch, isBranch := strings.CutPrefix(g.Ref, "refs/heads/")
	switch {
	case g.Ref == "":
		return Push{}, nil, deploy.FieldErrorf("ref", "is missing; want the payload of GitHub's event push")
	case strings.HasPrefix(g.Ref, "refs/tags/"):
		return Push{}, ignored("%q is a tag; branches alone deploy", deploy.Cut(strings.TrimPrefix(g.Ref, "refs/tags/"), 80)), nil
	case !isBranch:
		return Push{}, ignored("%q is no branch", deploy.Cut(g.Ref, 80)), nil
	case g.Repository.FullName == "":
		return Push{}, nil, deploy.FieldErrorf("repository.full_name", "is missing")
	}

	sent, ok := clock(g.Repository.PushedAt)
	if ok && now.Sub(sent) > Remembered {
		return Push{}, ignored("the push is of %s; one of more than %d days ago may be a recording, and deploys nothing",
			sent.UTC().Format(time.DateOnly), Remembered/(24*time.Hour)), nil
	}

	p := Push{Repository: g.Repository.FullName, Branch: branch, CommitSHA: g.After, Before: g.Before, Told: now, Sent: now, Door: doorGitHub}
	if g.Deleted {
		p.CommitSHA = zeroCommit
	}
	if ok {
		p.Sent, p.HasTime = sent, true
	}
	return p, nil, nil
}
