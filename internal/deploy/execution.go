package deploy

import "time"

// Execution is one of the state machine's, as Step Functions tells of it.
type Execution struct {
	ARN    string
	Start  time.Time
	Status string // in Step Functions' words; "" where there is no such execution
	Error  string
	Cause  string
}

// Alive tells whether the execution goes on by itself.
func (e Execution) Alive() bool { return e.Status == "RUNNING" || e.Status == "PENDING_REDRIVE" }
