package deploy

import "time"

// ChangeVersion is that of Change's form. Fields may be added within it; one that goes or changes its meaning makes a new one.
const ChangeVersion = 1

// Change is one change of a deployment's status, as events tell it (docs/events.md).
type Change struct {
	Version        int        `json:"version"`
	Deployment     string     `json:"deployment"`
	App            string     `json:"app"`
	Environment    string     `json:"environment"`
	Action         Action     `json:"action"`
	CommitSHA      string     `json:"commit_sha,omitempty"`
	Branch         string     `json:"branch,omitempty"`
	PreviousStatus Status     `json:"previous_status,omitempty"` // "" where the deployment is new
	Status         Status     `json:"status"`
	Sequence       int64      `json:"sequence"` // of a deployment's changes the later one's is greater
	Time           time.Time  `json:"time"`     // when it was written, to the second
	StartTime      time.Time  `json:"start_time"`
	EndTime        *time.Time `json:"end_time,omitempty"`
	Error          string     `json:"error,omitempty"`
	ErrorKind      Kind       `json:"error_kind,omitempty"`
	Dirty          bool       `json:"dirty"`
	RollbackFrom   string     `json:"rollback_from,omitempty"`
	SupersededBy   string     `json:"superseded_by,omitempty"`
	Repairs        string     `json:"repairs,omitempty"`      // the deployment whose dirty environment it repairs, or was asked to
	RequestedBy    string     `json:"requested_by,omitempty"` // of a repair: the caller's ARN
	Why            string     `json:"why,omitempty"`          // of a repair: the caller's reason
}
