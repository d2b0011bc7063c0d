// Package pipeline holds the state machine's handlers, a file a state. Each reads the deployment's record, does its part
// once however often it is called, and writes down what happened.
package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// State is all that passes between the machine's states: ids and small decisions. Every field is always there, so that
// no path in the ASL reads what isn't.
type State struct {
	Deployment  string         `json:"deployment"`
	App         string         `json:"app"`
	Environment string         `json:"environment"`
	Action      deploy.Action  `json:"action"`
	Runner      deploy.Runner  `json:"runner"`       // of test and build; "" for a rollback
	Build       Answer         `json:"build"`        // of CodeBuild, where it ran them and they went well
	Way         string         `json:"way"`          // of a recovery: one of the ways out; "" for the straight way
	Fence       int64          `json:"fence"`        // 0 before Admit
	Step        int            `json:"step"`         // of the plan, from 0
	Back        bool           `json:"back"`         // on the way back to the release before
	Again       bool           `json:"again"`        // Rollback died, and is run once more
	Verdict     deploy.Verdict `json:"verdict"`      // of the last health check
	WaitSeconds int            `json:"wait_seconds"` // that Bake shall wait
	Status      deploy.Status  `json:"status"`       // set by Settle
	Error       Failure        `json:"error"`        // as Catch writes it, or as Settle words it for Fail

	execution string    // ARN, as the machine says: of the caller
	attempt   int       // of the stage at work; 0 until its record says that it began
	run       string    // of the stage at work, as the script slot names it; "" until it claimed the slot
	claiming  string    // what run will be, once the claim is written
	emptied   bool      // the stage has emptied the folder for temporary files
	seen      time.Time // begin of the last read or write of the record that found the slot this run's
}

// Failure is an error as Step Functions hands it on: its name, and a cause that is text, or JSON from a function.
type Failure struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}

// Call is what the machine sends a handler.
type Call struct {
	State     json.RawMessage `json:"state"`
	Execution string          `json:"execution,omitempty"` // ARN
	StartTime time.Time       `json:"start_time,omitzero"` // the execution's
	Token     string          `json:"token,omitempty"`     // for Admit
	Back      bool            `json:"back,omitempty"`      // for CheckRollback: the state can't tell where Rollback died
}

// Stage is one handler.
type Stage interface {
	Run(ctx context.Context, call Call) (*State, error)
}

// Records keeps deployments.
type Records interface {
	Deployment(ctx context.Context, id string) (*deploy.Deployment, error)
	Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error
}

// Heads keeps environments. Place reads a head together with a deployment's record; Change is a compare-and-swap over the
// head and the records that decide asks for, and begins with what was read already where that is given.
type Heads interface {
	Head(ctx context.Context, app, environment string) (*deploy.Head, error)
	Place(ctx context.Context, app, environment, id string) (*deploy.Place, error)
	Change(ctx context.Context, app, environment string, decide func(h *deploy.Head, record func(id string) (*deploy.Deployment, error)) error, at *deploy.Place) error
}

// Desk is what every stage works with.
type Desk struct {
	Records Records
	Now     func() time.Time
	Log     *slog.Logger
}

// open reads the state and its record, and refuses to go on for an execution that has lost the deployment or the
// environment: one that was redriven, or is late.
func (k *Desk) open(ctx context.Context, call Call) (*State, *deploy.Deployment, error) {
	st, err := read(call)
	if err != nil {
		return nil, nil, err
	}
	d, err := k.Records.Deployment(ctx, st.Deployment)
	if err != nil {
		return nil, nil, err
	}
	return st, d, errors.Join(begun(d), mine(st, d))
}

// openPlace is open for a stage that looks at the environment too.
func openPlace(ctx context.Context, heads Heads, call Call) (*State, *deploy.Place, error) {
	st, err := read(call)
	if err != nil {
		return nil, nil, err
	}
	p, err := heads.Place(ctx, st.App, st.Environment, st.Deployment)
	if err != nil {
		return nil, nil, err
	}
	return st, p, errors.Join(begun(p.Deployment), mine(st, p.Deployment))
}

// read takes the state out of a call.
func read(call Call) (*State, error) {
	var st State
	if err := json.Unmarshal(call.State, &st); err != nil {
		return nil, deploy.Errorf(deploy.Invalid, "state", "%w", err)
	}
	st.execution = call.Execution
	return &st, nil
}

// begun is the error of a deployment that Prepare has not taken up: no other stage has anything to do with it yet.
func begun(d *deploy.Deployment) error {
	if d.Execution != "" {
		return nil
	}
	return deploy.Errorf(deploy.Conflict, "", "deployment %s has no execution yet", d.ID)
}

// mine returns the error of an execution that may not write to d, or not any more. Of a caller's state only the ids are taken for true, and
// these have to be the record's: its environment, its execution, its turn.
func mine(st *State, d *deploy.Deployment) error {
	if err := checkIDs(st, d); err != nil {
		return err
	}
	switch {
	case d.Execution != "" && d.Execution != st.execution:
		return lost(d)
	case d.Status.Ended():
		return deploy.Errorf(deploy.Fenced, "", "deployment %s has ended: %s", d.ID, d.Status)
	case d.Fence != st.Fence:
		return deploy.Errorf(deploy.Fenced, "", "deployment %s has turn %d by now, not %d", d.ID, d.Fence, st.Fence)
	}
	return nil
}

// comesAfter returns the error of a deployment whose stage of that name did not end well, by its record. The machine calls no stage before
// that, but whoever may invoke a function could, and so could a script that answers in its function's place.
func comesAfter(d *deploy.Deployment, name string) error {
	if s := d.Stage(name); s != nil && s.End != nil && s.Outcome != deploy.StageFailed {
		return nil
	}
	return deploy.Errorf(deploy.Conflict, "", "%s of deployment %s has not ended well", name, d.ID)
}

// checkIDs returns the error of a state whose app, environment or action are not the deployment's. A state from before Prepare, and a
// build's, has none of them.
func checkIDs(st *State, d *deploy.Deployment) error {
	if st.App == "" && st.Environment == "" && st.Action == "" {
		return nil
	}
	if st.App == d.App && st.Environment == d.Environment && st.Action == d.Action {
		return nil
	}
	return deploy.Errorf(deploy.Invalid, "state", "%q in environment %q of app %q is not what deployment %s is: %s in %s of %s",
		st.Action, st.Environment, st.App, d.ID, d.Action, d.Environment, d.App)
}

// lost is the error of an execution whose deployment was given another one.
func lost(d *deploy.Deployment) error {
	return deploy.Errorf(deploy.Fenced, "", "deployment %s belongs to execution %s by now", d.ID, d.Execution)
}

// cancelled is the error of a deployment that somebody cancelled; nil where nobody did.
func cancelled(d *deploy.Deployment) error {
	if d.CancelTime == nil {
		return nil
	}
	return deploy.Errorf(deploy.Cancelled, "", "cancelled at %s", d.CancelTime.UTC().Format(time.RFC3339))
}

// update writes to the record as long as it belongs to this execution.
func (k *Desk) update(ctx context.Context, st *State, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	err := k.Records.Update(ctx, d, func(d *deploy.Deployment) error {
		if err := mine(st, d); err != nil {
			return err
		}
		return change(d)
	})
	if err == nil && st.claiming != "" {
		st.run, st.claiming = st.claiming, ""
	}
	return err
}

// still gives what tells, while a stage is at work, whether its deployment is at this stage yet, in this attempt and by this
// execution.
func (k *Desk) still(st *State, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		d, err := k.Records.Deployment(ctx, st.Deployment)
		if err != nil {
			return err
		}
		if err := mine(st, d); err != nil {
			return err
		}
		if s := &d.Stages[len(d.Stages)-1]; s.Name != name || !s.Open() || s.Attempt != st.attempt {
			return deploy.Errorf(deploy.Fenced, "", "%s is at %s by now, not at attempt %d of %s", d.ID, s.Name, st.attempt, name)
		}
		return nil
	}
}

// note adds a line to the timeline.
func (k *Desk) note(ctx context.Context, st *State, d *deploy.Deployment, format string, args ...any) error {
	return k.update(ctx, st, d, func(d *deploy.Deployment) error {
		d.Log(k.Now(), format, args...)
		return nil
	})
}

// work is a stage's own part.
type work func(ctx context.Context, st *State, d *deploy.Deployment) (done, error)

// done is how a stage's work went.
type done struct {
	outcome deploy.Outcome
	said    string                   // what it did, in a few words behind the outcome
	change  func(*deploy.Deployment) // of the record, written together with the stage's end; nil for none
}

// once runs a stage that a deployment passes one time: does the work, and ends it on the record. Work that leaves a trace or
// takes its time begins the stage on the record first; for the rest one write is enough. Where an earlier run ended it, its
// outcome is the answer again.
func (k *Desk) once(ctx context.Context, call Call, name string, do work) (*State, error) {
	st, d, err := k.open(ctx, call)
	if err != nil {
		return nil, err
	}
	return k.pass(ctx, st, d, name, do)
}

// pass is once for a record that is open.
func (k *Desk) pass(ctx context.Context, st *State, d *deploy.Deployment, name string, do work) (*State, error) {
	if s := d.Stage(name); s != nil && s.End != nil {
		return st, earlier(s, d)
	}
	if err := cancelled(d); err != nil {
		return nil, err
	}
	e := ended{name: name, start: k.Now()}
	e.done, e.err = do(ctx, st, d)
	e.attempt = st.attempt
	return st, k.finish(ctx, st, d, e)
}

// begin puts the stage's start on the record, once, ahead of whatever leaves a trace or takes its time.
func (k *Desk) begin(ctx context.Context, st *State, d *deploy.Deployment, name string, more func(*deploy.Deployment)) error {
	if st.attempt > 0 && more == nil {
		return nil
	}
	fresh := st.attempt == 0
	err := k.update(ctx, st, d, func(d *deploy.Deployment) error {
		if err := cancelled(d); err != nil {
			return err
		}
		if fresh && runsScripts(d, name) {
			if err := st.claim(d, name); err != nil {
				return err
			}
		}
		if fresh {
			d.Begin(name, k.Now())
		}
		if more != nil {
			more(d)
		}
		return nil
	})
	if err == nil && fresh {
		st.attempt = d.Stage(name).Attempt
	}
	return err
}

func earlier(s *deploy.Stage, d *deploy.Deployment) error {
	if s.Outcome != deploy.StageFailed {
		return nil
	}
	return deploy.Errorf(d.ErrorKind, "", "%s", d.Error)
}

// ended is how a stage's work came out.
type ended struct {
	name    string
	attempt int       // 0 where it is not on the record yet
	start   time.Time // for one that is not on the record yet
	done
	err error

	open func(*deploy.Deployment) error // begins one that is not on the record yet; nil for the usual way
}

// finish writes a stage's end. An attempt that a later one has overtaken writes nothing.
func (k *Desk) finish(ctx context.Context, st *State, d *deploy.Deployment, e ended) error {
	ctx, stop := lastWords(ctx)
	defer stop()
	err := k.update(ctx, st, d, func(d *deploy.Deployment) error {
		if e.attempt == 0 {
			if err := e.begin(d); err != nil {
				return err
			}
		}
		s := d.Stage(e.name)
		if e.attempt > 0 && (s == nil || s.Attempt != e.attempt) {
			return deploy.Errorf(deploy.Fenced, "", "%s of %s was begun again", e.name, d.ID)
		}
		d.FreeScripts(st.name())
		if e.err != nil {
			d.Finish(e.name, deploy.StageFailed, k.Now())
			d.Fail(deploy.KindOf(e.err), e.err.Error())
			d.Log(k.Now(), "%s failed: %v", e.name, e.err)
			return nil
		}
		if e.change != nil {
			e.change(d)
		}
		d.Finish(e.name, e.outcome, k.Now())
		d.Log(k.Now(), "%s %s%s", e.name, e.outcome, e.said)
		return nil
	})
	if err != nil {
		k.free(ctx, st, d)
	}
	if e.err != nil {
		return e.err
	}
	return err
}

// begin puts the stage on the record together with its end.
func (e *ended) begin(d *deploy.Deployment) error {
	if e.open != nil {
		return e.open(d)
	}
	if err := cancelled(d); err != nil {
		return err
	}
	d.Begin(e.name, e.start)
	return nil
}

// lastWords gives a context for the record's last write: one that is over must not keep a stage's end from being told.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// said joins what a stage has to say behind its outcome.
func said(format string, args ...any) string { return ": " + fmt.Sprintf(format, args...) }
