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

// Tip is the last push to a branch that was deployed to an environment. Pushes are told from one another by it: a late or
// repeated one from one that puts an older commit back.
type Tip struct {
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Branch      string    `json:"branch"`
	CommitSHA   string    `json:"commit_sha"`
	Before      string    `json:"before,omitempty"` // what the branch was at
	Pushed      time.Time `json:"pushed"`           // as whoever told of the push says
	Deployment  string    `json:"deployment"`
	Started     time.Time `json:"started"` // the deployment's
	Version     int64     `json:"version"`
}
