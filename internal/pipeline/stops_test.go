package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// stopsVariable says how many executions TestStops stops.
const stopsVariable = "SLIPWAY_TEST_STOPS"

// locked wraps a script's command so that it notes each other script of the environment that is at work at the same time. The kernel
// keeps the lock until the last process of a script is gone, so no script that was killed looks as if it were at work.
func locked(name, command string) string {
	return fmt.Sprintf(`exec 9>>"$SERVE/lock"; flock -n 9 || echo "%[1]s of $SLIPWAY_DEPLOYMENT beside another" >> "$SERVE/overlaps"; `+
		`echo "%[1]s begins" >> "$SERVE/history"; %[2]s; echo "%[1]s ends" >> "$SERVE/history"`, name, command)
}

// stopped is a commit whose scripts take seconds. A stubborn one ignores SIGTERM.
func stopped(stubborn bool) string {
	trap := ""
	if stubborn {
		trap = "trap '' TERM; "
	}
	slow := `sleep 0.7; sleep 0.7; sleep 0.6; cp out/version "$SERVE/live"; sleep 0.5; sleep 0.5`
	return config("pre_deploy="+trap+locked("pre_deploy", "sleep 0.3; sleep 0.3"), "deploy="+trap+locked("deploy", slow),
		"post_deploy="+trap+locked("post_deploy", "sleep 0.3; sleep 0.3"),
		"rollback="+locked("rollback", `sleep 0.4; cp out/version "$SERVE/live" || rm -f "$SERVE/live"`))
}

// TestStops stops executions at random moments, with another deployment waiting behind every second one. No two scripts of an
// environment are ever at work at one time, and what the record says serves is what serves.
func TestStops(t *testing.T) {
	t.Parallel()
	count := 6
	if n, err := strconv.Atoi(os.Getenv(stopsVariable)); err == nil {
		count = n
	}
	for i := range count {
		stubborn, followed := i%2 == 1, i/2%2 == 1
		t.Run(fmt.Sprintf("%d, stubborn %v, followed %v", i, stubborn, followed), func(t *testing.T) {
			newApp(t).stopAtRandom(stubborn, followed)
		})
	}
}

// stopIfRunning stops an execution that may have ended by itself before, and reports whether it did.
func (r *run) stopIfRunning() bool {
	_, err := world.sfn.StopExecution(r.a.t.Context(), &sfn.StopExecutionInput{ExecutionArn: &r.arn, Cause: aws.String("somebody pressed Stop")})
	return err == nil
}

func (a *app) stopAtRandom(stubborn, followed bool) {
	a.t.Helper()
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	r := a.deploy(a.commit("two", stopped(stubborn)))
	waitFor(a.t, "the first script", func() (int, bool) { return 0, strings.Contains(a.read("history"), "pre_deploy begins") })

	var next *run
	if followed {
		next = a.deploy(a.commit("three", config("deploy="+locked("deploy", `cp out/version "$SERVE/live"`))))
		waitFor(a.t, "the next one to wait", func() (int, bool) {
			h := a.head("production")
			return 0, h.Waiting != nil || h.Holder == nil || h.Holder.Deployment == next.id
		})
	}

	moment := rand.N(4500 * time.Millisecond)
	time.Sleep(moment)
	if !r.stopIfRunning() {
		r.wants(deploy.Success) // it was faster
	}
	a.sweep(r.endedEvent())

	d := waitFor(a.t, r.id+" to end", func() (*deploy.Deployment, bool) {
		d := r.record()
		return d, d.Status.Ended()
	})
	serving := map[deploy.Status]string{deploy.Success: "two", deploy.Aborted: "one"}[d.Status]
	if followed {
		next.wants(deploy.Success)
		serving = "three"
	}
	time.Sleep(2 * time.Second) // for a script that nobody waited for
	if got := a.read("live"); got != serving || d.Dirty {
		a.t.Errorf("stopped after %v: %s serves, the record says %s, dirty %v, so want %q", moment, got, d.Status, d.Dirty, serving)
	}
	if overlaps := a.read("overlaps"); overlaps != "" {
		a.t.Errorf("stopped after %v: %s\nhistory:\n%s", moment, overlaps, a.read("history"))
	}
	if h := a.head("production"); h.Holder != nil || d.Scripts != nil {
		a.t.Errorf("head %+v, slot %+v", h, d.Scripts)
	}
	if d.Recovery != nil && d.EndTime != nil {
		a.t.Logf("stopped after %v: %s, %v after the recovery began", moment, d.Status, d.EndTime.Sub(d.Recovery.Time).Round(10*time.Millisecond))
	}
}

// TestFunctionDies kills the function whose script is at work, as a lack of memory does or the function's time-out. Nothing of the
// script lives on, though it ignores signals and has a process in the background, and the way back begins when it has surely ended.
func TestFunctionDies(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	work := `trap '' TERM HUP; (while :; do sleep 0.1; done) & echo $$ > "$SERVE/group"; cp out/version "$SERVE/live"; echo $PPID > "$SERVE/function"; sleep 300; sleep 300`
	r := a.deploy(a.commit("two", config("deploy="+locked("deploy", work), "rollback="+locked("rollback", `cp out/version "$SERVE/live"`))))
	function := waitFor(t, "the script", func() (int, bool) {
		pid, err := strconv.Atoi(a.read("function"))
		return pid, err == nil
	})
	if err := syscall.Kill(function, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.quiet()
	r.wants(deploy.RolledBack)
	a.serves("one")
	if overlaps := a.read("overlaps"); overlaps != "" {
		t.Error(overlaps)
	}
	a.next("one")
}
