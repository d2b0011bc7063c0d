package deploy

import "time"

// Request is what is remembered of a request that must count once, however often it comes.
type Request struct {
	Key         string `json:"key"`              // what is the same however often the request comes
	Fingerprint string `json:"fingerprint"`      // of all that it asks for: another one under the same key is another request
	Deployment  string `json:"deployment"`       // what it made
	Answer      string `json:"answer,omitempty"` // what its sender was told, where that is more than the deployment
	Expires     int64  `json:"expires"`          // seconds since 1970; from then on the key is new again
}

// Tip is the last push to a branch that was deployed to an environment, and the pushes to that branch that were told of. A late
// or repeated push is told by them from one that puts an older commit back.
type Tip struct {
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Branch      string    `json:"branch"`
	CommitSHA   string    `json:"commit_sha"`
	Before      string    `json:"before,omitempty"` // what the branch was at
	Pushed      time.Time `json:"pushed"`           // when Slipway or AWS was told of the push
	Deployment  string    `json:"deployment"`
	Started     time.Time `json:"started"` // the deployment's
	Version     int64     `json:"version"`

	Known []KnownPush `json:"known,omitempty"` // in the order in which they were told; the oldest are forgotten
}

// KnownPush is a push to a branch that somebody told of.
type KnownPush struct {
	CommitSHA string               `json:"commit_sha"`       // 40 zeros where the branch was deleted
	Before    string               `json:"before,omitempty"` // what the branch was at; "" where nobody said
	Told      time.Time            `json:"told"`             // by AWS's clock or ours, never by a sender's
	Doors     map[string]time.Time `json:"doors,omitempty"`  // who told of it, each with the time by its own clock
}
