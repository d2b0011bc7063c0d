package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Sweep is the second door: it ends deployments whose execution is gone. It shuts the dead execution out, and has another
// one take the deployment out of the machine by the states that any failure takes. It may run beside itself.
type Sweep struct {
	Desk
	Heads      Heads
	Open       func(ctx context.Context) (ids []string, err error) // of the deployments that have not ended
	Executions Executions
}

// Executions are the state machine's.
type Executions interface {
	ARN(name string) string
	Running(ctx context.Context) ([]deploy.Execution, error)
	Describe(ctx context.Context, arn string) (deploy.Execution, error)
	Start(ctx context.Context, name string, input any) error // nil where an execution of that name exists
}

const (
	// grace is how long after a record an execution may not be there yet.
	grace = 2 * time.Minute
	// A recovery that failed is tried again after a minute, two, four, and then each hour: what it lacks, a function or a
	// permission, somebody has to bring back.
	firstAgain, lastAgain = time.Minute, time.Hour
)

// executionChanged is the detail-type of the events that Step Functions sends.
const executionChanged = "Step Functions Execution Status Change"

// event is what the function is called with: Step Functions' about one execution, or the minute's, which has none.
type event struct {
	DetailType string `json:"detail-type"`
	Detail     struct {
		ExecutionARN string `json:"executionArn"`
		StartDate    int64  `json:"startDate"` // ms since 1970
	} `json:"detail"`
}

// Run looks after the deployment whose execution the event is about, or after all that are open. One that it can't help now
// doesn't keep it from the others.
func (s *Sweep) Run(ctx context.Context, raw json.RawMessage) error {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return deploy.Errorf(deploy.Invalid, "sweep", "the event is none of EventBridge's: %w", err)
	}
	if e.DetailType == executionChanged {
		return s.one(ctx, deploymentOf(e.Detail.ExecutionARN, time.UnixMilli(e.Detail.StartDate)))
	}
	return s.all(ctx)
}

func (s *Sweep) all(ctx context.Context) error {
	open, err := s.Open(ctx)
	if err != nil || len(open) == 0 {
		return err
	}
	running, err := s.Executions.Running(ctx)
	if err != nil {
		return err
	}
	runs := map[string]bool{}
	for _, r := range running {
		runs[deploymentOf(r.ARN, r.Start)] = true
	}
	var failed []error
	for _, id := range open {
		if runs[id] && !s.overdue(id) {
			continue
		}
		if err := s.one(ctx, id); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", id, err))
		}
	}
	return errors.Join(failed...)
}

// overdue tells whether a deployment is old enough for its turn to have run out.
func (s *Sweep) overdue(id string) bool { return s.Now().Sub(deploy.IDTime(id)) > deploy.Lease }

func (s *Sweep) one(ctx context.Context, id string) error {
	d, err := s.Records.Deployment(ctx, id)
	if deploy.KindOf(err) == deploy.NotFound {
		return nil // it died before it had a record
	}
	if err != nil || d.Status.Ended() {
		return err
	}
	why, err := s.gone(ctx, d)
	if err != nil || why == nil {
		return err
	}
	if r := d.Recovery; r != nil && s.Now().Sub(r.Time) < again(r.Number) {
		return nil
	}
	return s.recover(ctx, d, why)
}

// again is how long after its begin the nth recovery may be followed by another.
func again(n int) time.Duration { return min(firstAgain<<min(n-1, 10), lastAgain) }

// gone asks Step Functions whether the deployment's execution is no more, and says why; nil where it lives.
func (s *Sweep) gone(ctx context.Context, d *deploy.Deployment) (*deploy.Recovery, error) {
	arn := d.Execution
	if arn == "" {
		arn = s.Executions.ARN(d.ID) // Prepare has not begun; the API names executions so
	}
	e, err := s.Executions.Describe(ctx, arn)
	switch {
	case err != nil:
		return nil, err
	case e.Alive():
		return s.ranOut(ctx, d)
	case e.Status != "":
		return &deploy.Recovery{Kind: kindOf(d, e), Cause: tell(e)}, nil
	case d.Recovery != nil:
		return nil, s.start(ctx, d) // whoever wrote the recovery down did not get round to it
	case s.Now().Sub(d.StartTime) < grace:
		return nil, nil
	}
	return &deploy.Recovery{Kind: deploy.Internal, Cause: "its execution never started"}, nil
}

// ranOut looks at the lease of one whose execution lives: it hangs if its turn has run out.
func (s *Sweep) ranOut(ctx context.Context, d *deploy.Deployment) (*deploy.Recovery, error) {
	if d.Fence == 0 || !s.overdue(d.ID) {
		return nil, nil
	}
	h, err := s.Heads.Head(ctx, d.App, d.Environment)
	if err != nil || h.Holder == nil || h.Holder.Deployment != d.ID || s.Now().Before(h.Holder.Expires) {
		return nil, err
	}
	return &deploy.Recovery{Kind: deploy.Internal, Cause: "not heard of until its turn ran out"}, nil
}

func kindOf(d *deploy.Deployment, e deploy.Execution) deploy.Kind {
	if e.Status == "ABORTED" || d.CancelTime != nil {
		return deploy.Cancelled
	}
	return deploy.Internal
}

func tell(e deploy.Execution) string {
	text := "its execution ended " + e.Status
	if e.Status == "ABORTED" {
		text = "its execution was stopped"
	}
	for _, more := range []string{e.Error, e.Cause} {
		if more != "" {
			text += ": " + more
		}
	}
	return deploy.Cut(text, deploy.MaxErrorText)
}

// errOther: another one was faster.
var errOther = errors.New("the deployment has ended or has another execution")

// recover shuts the dead execution out and gives the deployment another, in one transaction; only then that is started.
// Whoever finds it written down and not started, starts it.
func (s *Sweep) recover(ctx context.Context, d *deploy.Deployment, why *deploy.Recovery) error {
	dead, id := d.Execution, d.ID
	err := s.Heads.Change(ctx, d.App, d.Environment, func(h *deploy.Head, record func(string) (*deploy.Deployment, error)) (err error) {
		if d, err = record(id); err != nil {
			return err
		}
		if d.Status.Ended() || d.Execution != dead {
			return errOther
		}
		r := *why
		if r.Number, r.Time = 1, s.Now().UTC(); d.Recovery != nil {
			r.Number = d.Recovery.Number + 1
		}
		d.Fence, d.Recovery = h.Recover(id, r.Time), &r
		d.Execution = s.Executions.ARN(recoveryName(id, r.Number))
		d.Log(r.Time, "%s; recovery %d begins", r.Cause, r.Number)
		return nil
	}, nil)
	if errors.Is(err, errOther) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Log.Warn("recovery", "deployment", id, "number", d.Recovery.Number, "cause", d.Recovery.Cause, "execution", dead)
	return s.start(ctx, d)
}

func (s *Sweep) start(ctx context.Context, d *deploy.Deployment) error {
	return s.Executions.Start(ctx, recoveryName(d.ID, d.Recovery.Number), Input{Deployment: d.ID, Action: Recover})
}
