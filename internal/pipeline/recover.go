package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The ways on which a recovery leaves the machine; Route reads them.
const (
	wayRollback = "rollback" // something was changed: undo it, or go on with a rollback that was asked for
	waySettle   = "settle"   // it reached what it was for, and only its end was not written
	wayFailure  = "failure"  // nothing was changed
)

const recovery = "-recovery-"

// recoveryName is the execution's of a deployment's nth recovery.
func recoveryName(id string, n int) string { return fmt.Sprint(id, recovery, n) }

// deploymentOf gives the id of the deployment that an execution works on, or would work on if it were started by hand.
func deploymentOf(arn string, start time.Time) string {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	if id, _, ok := strings.Cut(name, recovery); ok && deploy.ValidID(id) {
		return id
	}
	return executionID(arn, start)
}

// recover is Prepare for the execution that Sweep gave the deployment: the record says on which way it ends. Any other
// execution, one that somebody started by hand or redrove, is Fenced.
func (p *Prepare) recover(ctx context.Context, id, execution string) (*State, error) {
	d, err := p.Records.Deployment(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case d.Status.Ended():
		return nil, deploy.Errorf(deploy.Fenced, "", "deployment %s has ended: %s", d.ID, d.Status)
	case d.Recovery == nil || d.Execution != execution:
		return nil, deploy.Errorf(deploy.Fenced, "", "deployment %s belongs to execution %q; a recovery is started by Slipway alone", d.ID, d.Execution)
	}
	return &State{
		Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: d.Fence, Way: wayOut(d),
		Error: Failure{string(d.Recovery.Kind), d.Recovery.Cause},
	}, nil
}

func wayOut(d *deploy.Deployment) string {
	switch {
	case live(d):
		return waySettle
	case d.Changed == nil:
		return wayFailure
	}
	return wayRollback
}
