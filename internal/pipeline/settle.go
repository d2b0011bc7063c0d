package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Settle writes a deployment's outcome, frees its environment and hands it on, all in one transaction. What the record
// says decides, not how the machine came here; and what it says of the target is read there, just before it is written.
type Settle struct {
	Workshop
	Hooks   Hooks
	Heads   Heads
	Targets Targets
	Tokens  Tokens
	Measure func(Measure) // what became of a deployment, for alarms and the dashboard; nil: nobody wants to know
}

// Run settles. Called again, it tells whoever's turn it is once more and answers as before.
func (s *Settle) Run(ctx context.Context, call Call) (*State, error) {
	st, at, err := s.find(ctx, call)
	if err != nil || at == nil {
		return st, err
	}
	d := at.Deployment
	if d.Status.Ended() {
		s.remind(ctx, d)
	} else {
		if err := s.before(ctx, st, d); err != nil {
			return nil, err
		}
		if err := s.ended(ctx, st, d); err != nil {
			return nil, err
		}
		found, err := s.confirm(ctx, at)
		if err != nil {
			return nil, err
		}
		if d, err = s.settle(ctx, st, at, found); err != nil {
			return nil, err
		}
	}
	if straight := st.Error.Error == "" || st.Way == waySettle; straight && !d.WentLive() {
		// The machine takes this state's answer for success: SettleFailure comes next, and tells how it ended.
		return nil, deploy.Errorf(deploy.RollbackFailed, "", "%s", d.Error)
	}
	st.Status, st.Error = d.Status, word(d, st.Error)
	return st, nil
}

// find reads the state. One that comes from a failed Prepare is only the error, and perhaps there is no record yet.
func (s *Settle) find(ctx context.Context, call Call) (*State, *deploy.Place, error) {
	var st State
	var bare Failure
	if json.Unmarshal(call.State, &bare) == nil && bare.Error != "" {
		st.Error, st.Deployment = bare, executionID(call.Execution, call.StartTime)
	} else if err := json.Unmarshal(call.State, &st); err != nil {
		return nil, nil, deploy.Errorf(deploy.Invalid, "state", "%w", err)
	}
	at, err := s.place(ctx, &st)
	switch {
	case deploy.KindOf(err) == deploy.NotFound:
		kind, cause := st.Error.read()
		st.Status, st.Error = deploy.Failed, Failure{string(kind), cause}
		return &st, nil, nil
	case err != nil:
		return nil, nil, err
	}
	d := at.Deployment
	if err := checkIDs(&st, d); err != nil {
		return nil, nil, err
	}
	if d.Execution != "" && d.Execution != call.Execution {
		if st.Error.Error == "" {
			return nil, nil, lost(d)
		}
		kind, cause := st.Error.read()
		st.Status, st.Error = deploy.Failed, Failure{string(kind), cause}
		return &st, nil, nil
	}
	st.execution, st.Fence = call.Execution, d.Fence
	return &st, at, nil
}

// place reads the record and, where the state says which, its environment's head with it.
func (s *Settle) place(ctx context.Context, st *State) (*deploy.Place, error) {
	if st.Environment != "" {
		return s.Heads.Place(ctx, st.App, st.Environment, st.Deployment)
	}
	d, err := s.Records.Deployment(ctx, st.Deployment)
	return &deploy.Place{Deployment: d}, err
}

// before does what must come ahead of the end: it lets a cancel that came after the last check undo the change, notes
// what the machine caught, and runs on_failure where Rollback didn't.
func (s *Settle) before(ctx context.Context, st *State, d *deploy.Deployment) error {
	if live(d) && d.Action == deploy.Deploy {
		return cancelled(d)
	}
	if live(d) {
		return nil
	}
	err := s.update(ctx, st, d, func(d *deploy.Deployment) error {
		if st.Error.Error != "" && d.ErrorKind == "" {
			blame(d, st.Error)
			d.Log(s.Now(), "failed: %s", d.Error)
		}
		return nil
	})
	if err != nil || stopped(d) {
		return err
	}
	b := s.bench(st, d, "settle")
	return errors.Join(s.Hooks.run(ctx, b, "on_failure"), b.close())
}

// live tells whether the deployment reached what it was for, checked healthy. Of an environment that was declared repaired
// nothing is checked.
func live(d *deploy.Deployment) bool {
	if d.Declared() {
		return d.Changed != nil
	}
	failed := d.Action == deploy.Deploy && d.ErrorKind != ""
	return d.Healthy && d.Undone == (d.Action == deploy.Rollback) && !d.OwesScript && !failed
}

// stopped tells whether somebody or something newer ended the deployment, and not a fault.
func stopped(d *deploy.Deployment) bool {
	return d.SupersededBy != "" || d.CancelTime != nil || d.ErrorKind == deploy.Cancelled
}

// claimed is the version that serves at the deployment's end, by its record; nil where the record says nothing of one.
func claimed(d *deploy.Deployment) *deploy.FunctionVersion {
	status, dirty := outcome(d)
	switch {
	case d.Settings == nil || d.Settings.Target.Type != deploy.TargetLambda || d.Changed == nil || dirty || d.Declared():
		return nil
	case status == deploy.Success, !d.Undone && d.Shifted > 0:
		return &d.Release.FunctionVersion
	case d.Undone:
		return &wentTo(d).FunctionVersion
	case d.Action == deploy.Deploy && d.Previous != nil && d.Previous.TargetVersion != "" && d.Previous.OtherVersions == "":
		return &d.Previous.FunctionVersion // as far as is written down, the target was not touched
	}
	return nil
}

// found is what the target serves instead of what the record says.
type found struct {
	live *deploy.Live
	text string
	err  error // why it could not be read
	own  bool  // it is the deployment's own release: Shift moved the target, and did not come to write that down
}

// confirm compares the record with what the target serves; nil where they agree. A deployment that would succeed fails here if they
// don't, so that its change is undone.
func (s *Settle) confirm(ctx context.Context, at *deploy.Place) (*found, error) {
	d := at.Deployment
	want := claimed(d)
	if want == nil {
		return nil, nil //nolint:nilnil // there is nothing to compare
	}
	forward := d.Action == deploy.Deploy && live(d)
	serving, err := s.Targets.Serving(ctx, d.Settings.Target)
	switch {
	case err != nil && forward:
		return nil, err
	case err != nil:
		return &found{err: err, text: fmt.Sprintf("what the target serves can't be read: %v", err)}, nil
	case serving.Alone(*want):
		return nil, nil //nolint:nilnil // they agree
	case !forward && d.Shifted == 0 && !d.Undone && d.Release != nil && serving.Alone(d.Release.FunctionVersion):
		return &found{own: true, text: fmt.Sprintf("alias %s serves its version %s already", d.Settings.Target.Alias, serving.TargetVersion)}, nil
	}

	is, what, err := recognize(ctx, s.Records, at.Head, serving)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("alias %s serves %s, not version %s: somebody else moved it", d.Settings.Target.Alias, what, want.TargetVersion)
	if forward {
		return nil, deploy.Errorf(deploy.Moved, "", "%s", text)
	}
	return &found{live: is, text: text}, nil
}

// outcome is how a deployment ends, from its record alone.
func outcome(d *deploy.Deployment) (status deploy.Status, dirty bool) {
	changed := d.Changed != nil
	switch {
	case live(d) && (d.Found == nil || d.Declared()):
		return deploy.Success, false
	case !changed && stopped(d):
		return deploy.Aborted, false
	case !changed:
		return deploy.Failed, false
	case d.Found != nil && d.Found.OtherVersions != "":
		return deploy.Failed, true // somebody else has several versions serve
	case d.Action == deploy.Rollback:
		return deploy.Failed, !live(d)
	case stays(d):
		return deploy.Failed, false
	case d.OwesScript:
		return deploy.Failed, true
	case !d.Undone || undone(d) && !d.Healthy:
		return deploy.Failed, true
	case d.ErrorKind == deploy.Cancelled:
		return deploy.Aborted, false
	case d.Found != nil, !undone(d):
		return deploy.Failed, false // somebody else had the last word, or there was no release to go back to
	}
	return deploy.RolledBack, false
}

// stays reports whether a failed deployment's change is left where it is: the environment's owner wants it so, or there is nothing
// to take it back with and nothing to go back to.
func stays(d *deploy.Deployment) bool {
	way := d.Stage("rollback")
	return !d.Config.RollbackEnabled || way != nil && way.Outcome == deploy.Skipped
}

func (s *Settle) settle(ctx context.Context, st *State, at *deploy.Place, other *found) (*deploy.Deployment, error) {
	d, dirty := at.Deployment, false
	var over deploy.Handover
	var served *deploy.Live
	ended := false
	execution := d.Execution
	err := s.Heads.Change(ctx, d.App, d.Environment, func(h *deploy.Head, record func(string) (*deploy.Deployment, error)) (err error) {
		if d, err = record(st.Deployment); err != nil {
			return err
		}
		if over, ended = (deploy.Handover{}), d.Status.Ended(); ended {
			return nil
		}
		if d.Execution != execution {
			return lost(d)
		}
		if err := s.quiet(st, d); err != nil {
			return err
		}
		s.note(d, other)
		var status deploy.Status
		if status, dirty = outcome(d); other != nil && other.err != nil {
			status, dirty = deploy.Failed, true
		}
		if status == deploy.Success {
			if h.Holder == nil || h.Holder.Deployment != d.ID {
				return deploy.Errorf(deploy.Fenced, "", "%s no longer holds %s", d.ID, d.Environment)
			}
			if d.Action == deploy.Deploy && d.CancelTime != nil {
				return cancelled(d)
			}
		}
		over, err = s.write(h, d, status, dirty, record)
		served = h.Live
		return err
	}, at)
	if err != nil {
		return nil, err
	}
	if !ended {
		s.measure(d, served)
	}
	s.answer(ctx, d, over)
	return d, nil
}

// note puts on the record what the target serves instead of what it says.
func (s *Settle) note(d *deploy.Deployment, other *found) {
	if other == nil {
		return
	}
	switch {
	case other.own:
		d.Shifted = 1
	case other.err != nil:
		d.Fail(deploy.RollbackFailed, other.text)
	default:
		moved(d, other.live)
		d.Fail(deploy.Moved, other.text)
	}
	d.Log(s.Now(), "%s", other.text)
}

// answer tells whoever waited what the end of this turn means for it. Whoever can't be told finds it on its own record
// when its wait ends.
func (s *Settle) answer(ctx context.Context, d *deploy.Deployment, over deploy.Handover) {
	var err error
	switch {
	case over.Granted != nil:
		err = s.grant(ctx, over.Granted)
	case over.Superseded != nil:
		err = s.Tokens.Refuse(ctx, over.Superseded.Token, deploy.Superseded, "superseded by a newer release, which is live")
	case over.Refused != nil:
		err = s.Tokens.Refuse(ctx, over.Refused.Token, deploy.Conflict, fmt.Sprintf("the environment is dirty since %s; repair: %s", dirtySince(d), deploy.RepairCommands(dirtySince(d))))
	}
	if err != nil {
		s.Log.Warn("who waited could not be told", "deployment", d.ID, "error", err)
	}
}

// grant starts the turn of the one that waited. One whose execution is gone by now is ended by Sweep, as from any state.
func (s *Settle) grant(ctx context.Context, turn *deploy.Turn) error {
	w, err := s.Records.Deployment(ctx, turn.Deployment)
	if err != nil {
		return err
	}
	return s.Tokens.Grant(ctx, turn.Token, admitted(w))
}

// remind repeats what an earlier run may not have got round to: the grant of the turn that followed. Whoever has heard
// it already has a dead token, and nothing happens.
func (s *Settle) remind(ctx context.Context, d *deploy.Deployment) {
	h, err := s.Heads.Head(ctx, d.App, d.Environment)
	if err != nil || h.Holder == nil || h.Holder.Deployment == d.ID || h.Dirty || h.Holder.Token == "" {
		return
	}
	if w, err := s.Records.Deployment(ctx, h.Holder.Deployment); err == nil {
		_ = s.Tokens.Grant(ctx, h.Holder.Token, admitted(w))
	}
}

// write puts the end on the record, and what it means on the head and the records of others.
func (s *Settle) write(h *deploy.Head, d *deploy.Deployment, status deploy.Status, dirty bool, record func(string) (*deploy.Deployment, error)) (over deploy.Handover, err error) {
	now := s.Now()
	for i := range d.Stages {
		d.Finish(d.Stages[i].Name, deploy.StageFailed, now)
	}
	d.Scripts = nil
	if d.Dirty = dirty; dirty {
		d.Repair = deploy.RepairCommands(d.ID)
	}
	if err := d.End(status, now); err != nil {
		return over, err
	}
	d.Log(now, "ended: %s%s", status, explain(d))
	if err := s.live(h, d, record); err != nil {
		return over, err
	}
	if err := s.passDirt(d, record); err != nil {
		return over, err
	}
	switch {
	case dirty:
		over = h.Soil(d.ID, now)
	case givesBack(d):
		over = h.GiveBack(d.ID, dirtyTurn(d, record, now), now)
	default:
		over = h.Leave(d.ID, now)
	}
	return over, s.tell(h, d, over, record)
}

// dirtyTurn is the turn of the deployment that d was to repair.
func dirtyTurn(d *deploy.Deployment, record func(string) (*deploy.Deployment, error), now time.Time) deploy.Turn {
	t := deploy.Turn{Deployment: d.Repairs, Action: deploy.Deploy, Since: now, Expires: now.Add(deploy.Lease)}
	if from, err := record(d.Repairs); err == nil {
		t.Action = from.Action
	}
	return t
}

// givesBack reports whether a repair ended before it changed anything: then the environment is as dirty as it was.
func givesBack(d *deploy.Deployment) bool { return d.Repairs != "" && d.Changed == nil }

// dirtySince is the deployment to repair after d has ended, if its environment is dirty.
func dirtySince(d *deploy.Deployment) string {
	if givesBack(d) {
		return d.Repairs
	}
	return d.ID
}

// passDirt takes the mark off the deployment whose dirty environment d took over and changed: either d has repaired it, or d is
// the one to repair now.
func (s *Settle) passDirt(d *deploy.Deployment, record func(string) (*deploy.Deployment, error)) error {
	if d.Repairs == "" || givesBack(d) {
		return nil
	}
	from, err := record(d.Repairs)
	if deploy.KindOf(err) == deploy.NotFound || err == nil && !from.Dirty {
		return nil
	}
	if err != nil {
		return err
	}
	from.Dirty, from.Repair = false, ""
	if d.Dirty {
		from.Log(s.Now(), "its repair %s failed too: the environment is dirty since that one now", d.ID)
	} else {
		from.Log(s.Now(), "repaired by %s%s", d.ID, reason(d))
	}
	return nil
}

// reason is why somebody asked for a repair, in parentheses; "" for a plain rollback.
func reason(d *deploy.Deployment) string {
	if d.Repairing == nil {
		return ""
	}
	return fmt.Sprintf(" (%s)", d.Repairing)
}

func explain(d *deploy.Deployment) string {
	switch {
	case d.Dirty && d.OwesScript:
		return "; the release before serves, but its rollback script did not succeed, so the environment is dirty and stays locked; repair: " + d.Repair
	case d.Dirty:
		return "; the environment is dirty and stays locked; repair: " + d.Repair
	case givesBack(d):
		return fmt.Sprintf("; it changed nothing: the environment is still dirty since %s; repair: %s", d.Repairs, deploy.RepairCommands(d.Repairs))
	case d.Status == deploy.Failed && d.Changed != nil && d.Config != nil && !d.Config.RollbackEnabled:
		return "; rollback_enabled is false, so its change stays"
	case d.Status == deploy.Failed && d.Changed != nil && d.Action == deploy.Deploy && stays(d):
		return "; there is no earlier healthy release and no rollback script, so its change stays"
	case d.Found != nil && !d.Declared():
		return "; somebody else moved the target, which serves " + liveText(d.Found)
	case d.Status == deploy.Failed && d.Undone:
		return "; there is no earlier release to go back to"
	case d.Status == deploy.RolledBack:
		return "; " + backTo(d.Previous)
	case d.SupersededBy != "":
		return "; superseded by " + d.SupersededBy
	}
	return ""
}

// live moves the head's live and previous release where the deployment changed them, or somebody else did.
func (s *Settle) live(h *deploy.Head, d *deploy.Deployment, record func(string) (*deploy.Deployment, error)) error {
	switch {
	case d.Declared() && d.Found != nil && d.Found.IsUnknown():
		h.GoLive(nil, nil) // what serves could not be found out
	case d.Found != nil && !d.Dirty:
		previous, err := released(d.Found.Fallback, record)
		if err != nil {
			return err
		}
		h.GoLive(d.Found, previous)
	case d.Status == deploy.Success && d.Action == deploy.Deploy,
		d.Status == deploy.Failed && !d.Dirty && d.Shifted > 0 && !d.Undone:
		previous, err := previous(h, d, record)
		if err != nil {
			return err
		}
		h.GoLive(d.Live(), previous)
	case d.Status == deploy.Success, d.Action == deploy.Rollback && d.Undone && d.Healthy: // the latter owes its script
		return s.rolledBack(h, d, record)
	case d.Action == deploy.Deploy && !d.Dirty && d.Changed != nil && h.Live != nil && (!same(h.Live, d.Previous) || wentBackInRepair(d)):
		// It found the target elsewhere than where Slipway left it, or dirty, and went back there.
		previous, err := released(d.Previous.Fallback, record)
		if err != nil {
			return err
		}
		h.GoLive(d.Previous, previous)
	}
	return nil
}

// wentBackInRepair reports whether a deployment that was to repair an environment failed, and brought back what serves now instead.
func wentBackInRepair(d *deploy.Deployment) bool {
	return d.Repairs != "" && d.Undone && d.Previous.Deployment != ""
}

// same reports whether two releases on one environment's target are the same; on a script target, where that can't be seen, they are.
func same(a, b *deploy.Live) bool {
	if b.TargetVersion == "" {
		return true
	}
	return a.Deployment == b.Deployment && (a.Deployment != "" || a.Is(b.FunctionVersion))
}

// previous is the release before the deployment's: what served, unless that was the same release.
func previous(h *deploy.Head, d *deploy.Deployment, record func(string) (*deploy.Deployment, error)) (*deploy.Live, error) {
	switch {
	case d.Previous == nil || d.Previous.Deployment == d.Fallback:
		return d.Previous, nil
	case h.Live != nil && h.Live.Fallback == d.Fallback:
		return h.Previous, nil // the same release again: what was before it stays
	}
	return released(d.Fallback, record)
}

// released is what a deployment put live; nil for no deployment, or none whose record is there any more.
func released(id string, record func(string) (*deploy.Deployment, error)) (*deploy.Live, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	d, err := record(id)
	switch {
	case deploy.KindOf(err) == deploy.NotFound:
		return nil, nil //nolint:nilnil // as above: a record that is gone holds up nothing
	case err != nil:
		return nil, err
	}
	return d.Live(), nil
}

// rolledBack notes what a rollback that somebody asked for put live, and on the deployment that it undid that it did.
func (s *Settle) rolledBack(h *deploy.Head, d *deploy.Deployment, record func(string) (*deploy.Deployment, error)) error {
	previous, err := released(d.Fallback, record)
	if err != nil {
		return err
	}
	if d.RollbackTo == "" {
		h.GoLive(nil, nil)
	} else {
		h.GoLive(d.Live(), previous)
	}
	if d.RollbackFrom == "" {
		return nil // what it undid is none of Slipway's
	}
	from, err := record(d.RollbackFrom)
	switch {
	case deploy.KindOf(err) == deploy.NotFound:
		return nil
	case err != nil:
		return err
	case from.Status == deploy.Success:
		from.Log(s.Now(), "rolled back by %s", d.ID)
		return from.End(deploy.RolledBack, s.Now())
	}
	return nil
}

// tell writes the turn's end onto the record of whoever waited.
func (s *Settle) tell(h *deploy.Head, d *deploy.Deployment, over deploy.Handover, record func(string) (*deploy.Deployment, error)) error {
	now := s.Now()
	for _, turn := range []*deploy.Turn{over.Granted, over.Superseded, over.Refused} {
		if turn == nil {
			continue
		}
		w, err := record(turn.Deployment)
		if err != nil {
			return err
		}
		switch turn {
		case over.Granted:
			enter(w, h.Fence, s.Desk)
			if d.Dirty || givesBack(d) {
				w.Repairs = dirtySince(d)
			}
		case over.Superseded:
			w.SupersededBy = h.Live.Deployment
			w.Log(now, "superseded by %s, which is newer and live", h.Live.Deployment)
		case over.Refused:
			w.Fail(deploy.Conflict, fmt.Sprintf("the environment is dirty since %s; repair: %s", dirtySince(d), deploy.RepairCommands(dirtySince(d))))
			w.Log(now, "turned away: %s", w.Error)
		}
	}
	return nil
}

// word tells the machine's Fail state how it ended, so that its Cause reads by itself in the console.
func word(d *deploy.Deployment, caught Failure) Failure {
	if d.Status == deploy.Success {
		return Failure{}
	}
	kind, cause := d.ErrorKind, d.Error
	if kind == "" {
		kind, cause = caught.read()
	}
	if d.SupersededBy != "" {
		kind = deploy.Superseded
	}
	return Failure{string(kind), fmt.Sprintf("%s %s%s: %s", d.ID, d.Status, explain(d), cause)}
}
