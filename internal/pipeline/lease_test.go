package pipeline_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// ago is the id of a deployment that began then.
func ago(d time.Duration) string { return deploy.NewID(time.Now().Add(-d), []byte(randomText())) }

// expire lets the environment's turn run out.
func (a *app) expire() {
	a.t.Helper()
	err := world.store.Change(a.t.Context(), a.name, "production", func(h *deploy.Head, _ func(string) (*deploy.Deployment, error)) error {
		h.Holder.Expires = time.Now().Add(-time.Minute)
		return nil
	}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
}

// sweepTwice has two minutes' sweeps run at once.
func (a *app) sweepTwice() {
	a.t.Helper()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { a.sweep(tick) })
	}
	all.Wait()
}

// TestLeaseOfALiveExecution has an execution hang for hours in its turn, about to move the alias, with a newer one waiting behind it. A
// sweep takes the turn over: what the old one changed is undone, the newer one goes live, and whatever the old one's handler and its
// machine do then changes nothing.
func TestLeaseOfALiveExecution(t *testing.T) {
	f := newLambdaApp(t)
	f.deployAs(ago(4*time.Hour), world.out.StateMachineARN, f.version("one")).wants(deploy.Success)
	wait := fmt.Sprintf("#!/bin/sh\nwhile test ! -e %q; do sleep 0.1; done\nexit 1\n", filepath.Join(f.dir, "go"))
	old := f.deployAs(ago(3*time.Hour), f.machine("shift", wait), f.version("two"))
	old.in("Shift")
	goOn := old.late("UpdateAlias", func(w pipeline.Workshop, targets pipeline.Targets) pipeline.Stage {
		return &pipeline.Shift{Workshop: w, Targets: targets}
	})
	newer := f.deploy(f.version("three"))
	waitFor(t, "the newer to wait", func() (int, bool) { return 0, f.head("production").Waiting != nil })
	if f.sweepTwice(); old.record().Recovery != nil {
		t.Fatalf("taken over before its turn ran out: %+v", old.record().Recovery)
	}
	f.expire()
	f.sweepTwice()
	d := old.recovered(deploy.RolledBack)
	if d.Recovery.Cause != "not heard of until its turn ran out" {
		t.Errorf("recovery %+v", d.Recovery)
	}
	newer.wants(deploy.Success)
	f.answers("three")
	head := f.head("production")
	if err := goOn(); deploy.KindOf(err) != deploy.Fenced {
		t.Errorf("the late Shift: %v, want Fenced", err)
	}
	f.write("go", "")
	if out := old.ended(); out.Status != types.ExecutionStatusFailed {
		t.Errorf("the old execution is %s by %s", out.Status, old.states())
	}
	t.Logf("the old execution passed %s", old.states())
	f.answers("three")
	if now := f.head("production"); !reflect.DeepEqual(now, head) || old.record().Version != d.Version {
		t.Errorf("head %+v, record's version %d; want %+v, %d", now, old.record().Version, head, d.Version)
	}
}
