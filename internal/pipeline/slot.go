package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/script"
)

// One script at a time (docs/adr/0013-one-script-at-a-time.md). A run of a stage claims the deployment's script slot before its first
// script. While the script runs, the run reads the record twice a second: once the slot is another run's, it ends the script, waits
// for its end and frees the slot. If the record can't be read for recordPatience, it ends the script too. So a run that claimed the
// slot from another one starts its first script when the other has freed it, or after confirmWithin at the latest, and Settle frees the
// environment's lock no sooner.
const (
	pollEvery      = 500 * time.Millisecond // between two reads of a running script's record
	readWithin     = 3 * time.Second        // of one read
	recordPatience = 15 * time.Second       // a script goes on while its record can't be read
	clockMargin    = 1500 * time.Millisecond
)

// patience is how long a script goes on while its record can't be read.
func (w *Workshop) patience() time.Duration {
	if w.Patience > 0 {
		return w.Patience
	}
	return recordPatience
}

// confirmWithin is how long after the write of a new owner the script of the run before it may still be at work. Both sides measure
// time from a read or write of the record by their own clock, so that clocks need only run at about one speed.
func (w *Workshop) confirmWithin() time.Duration {
	return w.patience() + script.EndsWithin + clockMargin
}

// order lists the stages that run scripts as a deployment passes them.
var order = []string{"test", "build", "deploy", "shift", "rollback", "settle"}

// runsScripts reports whether a stage may run a script of the commit or a function of its hooks.
func runsScripts(d *deploy.Deployment, stage string) bool {
	if d.Config == nil {
		return false
	}
	scripts, hooks := &d.Config.Scripts, &d.Config.Hooks
	switch stage {
	case "deploy":
		return scripts.PreDeploy != "" || scripts.Deploy != "" || len(hooks.At("pre_deploy")) > 0
	case "shift":
		return scripts.PostDeploy != "" || len(hooks.At("post_deploy")) > 0
	case "rollback":
		return d.Settings.Target.Type == deploy.TargetScript || ownScript(d) != "" || len(hooks.At("on_failure"))+len(hooks.At("pre_rollback"))+len(hooks.At("post_rollback")) > 0
	}
	return stage == "test" || stage == "build"
}

// claim makes this run of a stage the owner of the script slot; the caller writes d. A run that comes late, after a stage that follows
// its own has begun, is Fenced, and so is one that claimed the slot before and lost it.
func (st *State) claim(d *deploy.Deployment, stage string) error {
	if st.run != "" {
		return st.owns(d)
	}
	rank := slices.Index(order, stage)
	for i := range d.Stages {
		if slices.Index(order, d.Stages[i].Name) > rank {
			return deploy.Errorf(deploy.Fenced, "", "%s is at %s by now, not at %s", d.ID, d.Stages[i].Name, stage)
		}
	}
	if st.claiming == "" {
		st.claiming = stage + "-" + strings.ToLower(rand.Text()[:10])
	}
	d.ClaimScripts(st.claiming)
	st.seen = time.Now()
	return nil
}

// name is what the slot calls this run, if it has claimed it; the write of a claim whose answer was lost may have been stored.
func (st *State) name() string { return cmp.Or(st.run, st.claiming) }

// owns checks that the slot is this run's.
func (st *State) owns(d *deploy.Deployment) error {
	if d.Scripts != nil && d.Scripts.Owner == st.run {
		return nil
	}
	return deploy.Errorf(deploy.Fenced, "", "another run of %s may start scripts by now, not %s", d.ID, st.run)
}

// look reads the record for a run that owns the slot. It is Fenced if the run or its execution was shut out.
func (w *Workshop) look(ctx context.Context, st *State) (*deploy.Deployment, error) {
	ctx, stop := context.WithTimeout(ctx, min(readWithin, w.patience()))
	defer stop()
	begin := time.Now()
	d, err := w.Records.Deployment(ctx, st.Deployment)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(mine(st, d), st.owns(d)); err != nil {
		return nil, err
	}
	st.seen = begin
	return d, nil
}

// mayStart returns when the run may start a script: it owns the slot by a read or write of just now, and no other run has a script at
// work.
func (w *Workshop) mayStart(ctx context.Context, st *State, d *deploy.Deployment, stage string) error {
	if st.run == "" {
		err := w.update(ctx, st, d, func(d *deploy.Deployment) error { return st.claim(d, stage) })
		if err != nil {
			return err
		}
	}
	if !d.MayRunScripts(st.run) {
		return w.awaitSlot(ctx, st, d)
	}
	silent := time.Since(st.seen)
	if silent < pollEvery {
		return nil
	}
	_, err := w.look(ctx, st)
	if err != nil && deploy.KindOf(err) != deploy.Fenced && silent < w.patience() {
		return nil // the slot is still this run's for so long, and while the script runs the record is read on
	}
	return err
}

// awaitSlot waits until the run that is leaving the slot has confirmed that its script ended, or until it must have ended.
func (w *Workshop) awaitSlot(ctx context.Context, st *State, d *deploy.Deployment) error {
	leaving, surely := d.Scripts, time.Now().Add(w.confirmWithin())
	for time.Now().Before(surely) {
		select {
		case <-ctx.Done():
			return deploy.Errorf(deploy.Internal, "script slot", "waited for %s to end its script: %w", leaving.Leaving, context.Cause(ctx))
		case <-time.After(pollEvery / 4):
		}
		fresh, err := w.look(ctx, st)
		switch {
		case deploy.KindOf(err) == deploy.Fenced:
			return err
		case err != nil:
			continue // the record can't be read: the time alone decides
		case !st.Back && cancelled(fresh) != nil:
			return cancelled(fresh)
		case fresh.MayRunScripts(st.run):
			*d = *fresh
			return nil
		}
	}
	return w.update(ctx, st, d, func(d *deploy.Deployment) error {
		if err := st.owns(d); err != nil {
			return err
		}
		if d.FreeScripts(d.Scripts.Leaving) {
			d.Log(w.Now(), "%s did not confirm the end of its script within %s; it must have ended by now", leaving.Leaving, w.confirmWithin())
		}
		st.seen = time.Now()
		return nil
	})
}

// errFreed: the slot is not this run's any more, or nobody asks for it.
var errFreed = errors.New("the script slot was freed before")

// free confirms that this run has no script at work, after it was shut out.
func (k *Desk) free(ctx context.Context, st *State, d *deploy.Deployment) {
	run := st.name()
	if run == "" {
		return
	}
	ctx, stop := lastWords(ctx)
	defer stop()
	err := k.Records.Update(ctx, d, func(d *deploy.Deployment) error {
		if d.Status.Ended() || !d.FreeScripts(run) {
			return errFreed
		}
		d.Log(k.Now(), "%s was shut out and has no script at work any more", run)
		return nil
	})
	if err != nil && !errors.Is(err, errFreed) {
		k.Log.Warn("could not confirm the end of a script", "deployment", st.Deployment, "run", run, "error", err)
		return
	}
	st.run, st.claiming = "", ""
}

// watch returns a context that ends when the deployment is cancelled, when this run is no longer the one that may run scripts, or when
// that can't be read for too long. On the way back a cancel changes nothing: what was begun is undone to the end.
func (b *bench) watch(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := b.stopped(ctx); err != nil {
					cancel(err)
					return
				}
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// stopped says why the script that runs has to end; nil if it may go on. If the deployment doesn't hold its environment's lock, the script
// touches no environment, and goes on however long its record can't be read.
func (b *bench) stopped(ctx context.Context) error {
	reading, stop := ctx, func() {}
	if b.d.HeldLock() {
		reading, stop = context.WithDeadline(ctx, b.st.seen.Add(b.shop.patience()))
	}
	defer stop()
	d, err := b.shop.look(reading, b.st)
	silent := time.Since(b.st.seen)
	switch {
	case deploy.KindOf(err) == deploy.Fenced:
		return err
	case err != nil && b.d.HeldLock() && silent >= b.shop.patience():
		return deploy.Errorf(deploy.Internal, "script slot", "the record could not be read for %s, so that another script may begin: %w", silent.Round(time.Second), err)
	case err != nil || b.st.Back:
		return nil
	}
	return cancelled(d)
}

// ended waits until no other run has a script at work that could touch the environment, before the lock goes to another deployment.
func (s *Settle) ended(ctx context.Context, st *State, d *deploy.Deployment) error {
	if d.Scripts == nil || !d.HeldLock() || d.MayRunScripts(st.run) {
		return nil
	}
	if d.Scripts.Owner != st.run || st.run == "" {
		err := s.update(ctx, st, d, func(d *deploy.Deployment) error { return st.claim(d, "settle") })
		if err != nil {
			return err
		}
	}
	back := *st
	back.Back = true // a cancel changes nothing any more
	err := s.mayStart(ctx, &back, d, "settle")
	st.seen = back.seen
	return err
}

// quiet checks in the transaction that frees the lock that no script of another run may be at work.
func (s *Settle) quiet(st *State, d *deploy.Deployment) error {
	if d.Scripts == nil || !d.HeldLock() || d.MayRunScripts(st.run) {
		return nil
	}
	return deploy.Errorf(deploy.Conflict, "settle", "%s may still run a script of %s", fmt.Sprint(d.Scripts.Owner, " ", d.Scripts.Leaving), d.ID)
}
