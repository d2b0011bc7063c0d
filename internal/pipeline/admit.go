package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Admit asks for the environment's lock. Whether it is given, taken or refused, the machine hears of it by task token.
type Admit struct {
	Desk
	Heads  Heads
	Tokens Tokens
}

// Tokens answers executions that wait. Conflict where nothing waits with that token any more.
type Tokens interface {
	Grant(ctx context.Context, token string, output any) error
	Refuse(ctx context.Context, token string, kind deploy.Kind, cause string) error
}

// Run asks, and answers at once unless the deployment has to wait. Not every engine ends a state that waits for a token
// when its function fails, so a failure goes by the token too.
func (a *Admit) Run(ctx context.Context, call Call) (*State, error) {
	st, err := a.admit(ctx, call)
	if err == nil {
		return st, nil
	}
	st = &State{}
	_ = json.Unmarshal(call.State, st)
	if refused := unlessDead(a.Tokens.Refuse(ctx, call.Token, deploy.KindOf(err), err.Error())); refused != nil {
		return nil, fmt.Errorf("%w (and the machine could not be told: %w)", err, refused)
	}
	return st, nil
}

func (a *Admit) admit(ctx context.Context, call Call) (*State, error) {
	st, err := read(call)
	if err != nil {
		return nil, err
	}
	at, err := a.Heads.Place(ctx, st.App, st.Environment, st.Deployment)
	if err != nil {
		return nil, err
	}
	var adm deploy.Admission
	var d *deploy.Deployment
	err = a.Heads.Change(ctx, st.App, st.Environment, func(h *deploy.Head, record func(string) (*deploy.Deployment, error)) (err error) {
		if d, err = record(st.Deployment); err != nil {
			return err
		}
		if err := errors.Join(begun(d), checkIDs(st, d)); err != nil {
			return err
		}
		if d.Execution != st.execution || d.Recovery != nil {
			return lost(d)
		}
		if s := d.Stage("admit"); s != nil && !s.Open() {
			adm = deploy.Admission{Granted: true}
			return nil
		}
		if err := admissible(d); err != nil {
			return err
		}
		if d.Action == deploy.Deploy {
			if err := comesAfter(d, "build"); err != nil {
				return err
			}
		}
		adm = h.Admit(turnOf(d, call.Token), a.Now())
		return a.write(adm, h, d, record)
	}, at)
	if err != nil {
		return nil, err
	}
	return st, a.answer(ctx, adm, d, call.Token)
}

// turnOf is the turn that a deployment asks for.
func turnOf(d *deploy.Deployment, token string) deploy.Turn {
	t := deploy.Turn{Deployment: d.ID, Action: d.Action, Token: token}
	if d.Repairing != nil {
		t.Repairs = d.Repairing.Of
	}
	return t
}

func admissible(d *deploy.Deployment) error {
	if d.Status.Ended() {
		return deploy.Errorf(deploy.Fenced, "", "deployment %s has ended: %s", d.ID, d.Status)
	}
	return cancelled(d)
}

// write puts the decision on the records that it touches.
func (a *Admit) write(adm deploy.Admission, h *deploy.Head, d *deploy.Deployment, record func(string) (*deploy.Deployment, error)) error {
	now := a.Now()
	switch {
	case adm.Refused != "", adm.SupersededBy != "":
		d.SupersededBy = adm.SupersededBy
		return nil
	case adm.Granted:
		if s := d.Stage("admit"); s == nil {
			d.Begin("admit", now)
		}
		enter(d, h.Fence, a.Desk)
	case d.Stage("admit") == nil:
		d.Begin("admit", now)
		d.Log(now, "waits for %s, where %s is at work", h.Environment, h.Holder.Deployment)
	}
	if adm.Displaced != nil {
		other, err := record(adm.Displaced.Deployment)
		if err != nil {
			return err
		}
		other.SupersededBy = d.ID
		other.Log(now, "superseded by %s, which is newer", d.ID)
	}
	if adm.TookOver != nil {
		d.Repairs = adm.TookOver.Deployment
		d.Log(now, "took the dirty environment over from %s", d.Repairs)
	}
	return nil
}

// enter notes on the record that the deployment has its turn.
func enter(d *deploy.Deployment, fence int64, k Desk) {
	d.Fence = fence
	d.Finish("admit", deploy.Passed, k.Now())
	d.Log(k.Now(), "admit passed: turn %d in %s", fence, d.Environment)
}

// admitted is the state with which a deployment goes on from Admit.
func admitted(d *deploy.Deployment) State {
	return State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: d.Fence}
}

func (a *Admit) answer(ctx context.Context, adm deploy.Admission, d *deploy.Deployment, token string) error {
	if adm.Displaced != nil {
		cause := fmt.Sprintf("superseded by %s, which is newer", d.ID)
		if err := a.Tokens.Refuse(ctx, adm.Displaced.Token, deploy.Superseded, cause); err != nil {
			a.Log.Warn("a displaced deployment could not be told", "deployment", adm.Displaced.Deployment, "error", err)
		}
	}
	switch {
	case adm.SupersededBy != "":
		return deploy.Errorf(deploy.Superseded, "", "superseded by %s, which is newer", adm.SupersededBy)
	case adm.Refused != "":
		return deploy.Errorf(deploy.Conflict, "environment "+d.Environment, "%s", adm.Refused)
	case adm.Granted:
		return unlessDead(a.Tokens.Grant(ctx, token, admitted(d)))
	}
	return nil
}

// unlessDead takes a token for told that nothing waits with any more. That is what a second SendTaskSuccess hears after the first one's
// answer was lost. An execution that is gone hears nothing in any case, and is ended by Sweep.
func unlessDead(err error) error {
	if deploy.KindOf(err) == deploy.Conflict {
		return nil
	}
	return err
}
