package pipeline_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// makesDirty brings an environment to where one serves, two was undone by a rollback script that always fails, and the same
// way back again failed too.
func (a *app) makesDirty() (first, again *deploy.Deployment) {
	a.t.Helper()
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	a.deploy(a.commit("two", config("rollback=exit 1"))).wants(deploy.Success)
	first = a.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	again = a.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	if first.Repairs != "" || !again.Dirty || again.Repairs != first.ID {
		a.t.Fatalf("the rollback repairs %q; its repetition is dirty: %v, and repairs %q", first.Repairs, again.Dirty, again.Repairs)
	}
	return first, again
}

// TestBrokenRollbackScript leaves an environment that a commit's own rollback script keeps dirty, on each way out.
func TestBrokenRollbackScript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		input  func(a *app, first, again *deploy.Deployment) map[string]any
		serves string
	}{
		{"without scripts", func(*app, *deploy.Deployment, *deploy.Deployment) map[string]any {
			return map[string]any{"action": "rollback", "skip_scripts": true, "why": "its script is broken"}
		}, "one"},
		{"declared repaired", func(a *app, _, _ *deploy.Deployment) map[string]any {
			a.write("live", "one")
			a.write("sick", "yes") // nothing is checked
			return map[string]any{"action": "rollback", "declare_repaired": true, "why": "copied it by hand"}
		}, "one"},
		{"by a deployment", func(a *app, _, again *deploy.Deployment) map[string]any {
			return map[string]any{"commit_sha": a.commit("three", config()), "repairs": again.ID, "why": "three has a script that works"}
		}, "three"},
		{"by a deployment that names the first of the chain", func(a *app, first, _ *deploy.Deployment) map[string]any {
			return map[string]any{"commit_sha": a.commit("three", config()), "repairs": first.ID, "why": "three has a script that works"}
		}, "three"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t)
			first, again := a.makesDirty()

			out := a.start(c.input(a, first, again)).wants(deploy.Success)
			if out.Repairs != again.ID || out.Repairing == nil || out.Repairing.Of != again.ID {
				t.Errorf("it repairs %q, asked for %+v; want %s", out.Repairs, out.Repairing, again.ID)
			}
			if log := strings.Join(out.Logs, "\n"); !strings.Contains(log, out.Repairing.Why) {
				t.Errorf("the timeline lacks the reason:\n%s", log)
			}
			a.serves(c.serves)
			live := out.ID
			if out.Declared() {
				live = out.RollbackTo
			}
			if h := a.head("production"); h.Dirty || h.Holder != nil || h.Live == nil || h.Live.Deployment != live || live == "" {
				t.Errorf("head: %+v, live %+v", h, h.Live)
			}
			for _, id := range []string{first.ID, again.ID} {
				if d, err := world.store.Deployment(t.Context(), id); err != nil || d.Dirty || d.Repair != "" {
					t.Errorf("%s is dirty: %v, repair %q, %v", id, d.Dirty, d.Repair, err)
				}
			}

			a.write("sick", "")
			a.deploy(a.commit("four", config())).wants(deploy.Success)
			a.serves("four")
		})
	}
}

// TestRepairThatChangesNothing fails repairs before their first change: the environment is as dirty as before.
func TestRepairThatChangesNothing(t *testing.T) {
	a := newApp(t)
	_, again := a.makesDirty()

	refused := a.start(map[string]any{"commit_sha": a.commit("three", config("pre_deploy=exit 1")), "repairs": again.ID, "why": "three"}).wants(deploy.Failed)
	if refused.Dirty || refused.Repairs != again.ID || !strings.Contains(strings.Join(refused.Logs, "\n"), "still dirty since "+again.ID) {
		t.Errorf("dirty %v, repairs %s, timeline:\n%s", refused.Dirty, refused.Repairs, strings.Join(refused.Logs, "\n"))
	}
	if h := a.head("production"); !h.DirtyBy(again.ID) {
		t.Errorf("head: %+v", h)
	}
	late := a.start(map[string]any{"commit_sha": a.commit("four", config()), "repairs": refused.ID, "why": "four"}).wants(deploy.Failed)
	if late.ErrorKind != deploy.Conflict || !strings.Contains(late.Error, "slipway repair "+again.ID) {
		t.Errorf("a repair of what isn't dirty: %s %q", late.ErrorKind, late.Error)
	}

	a.start(map[string]any{"action": "rollback", "skip_scripts": true, "why": "its script is broken"}).wants(deploy.Success)
	a.serves("one")
	clean := a.start(map[string]any{"action": "rollback", "declare_repaired": true, "why": "once more"}).wants(deploy.Failed)
	if clean.ErrorKind != deploy.Conflict || !strings.Contains(clean.Error, "not dirty") {
		t.Errorf("a repair of a clean environment: %s %q", clean.ErrorKind, clean.Error)
	}
}

// noteDown is a script that writes down what it is told.
const noteDown = `echo $SLIPWAY_COMMIT $SLIPWAY_PREVIOUS_COMMIT $SLIPWAY_ROLLBACK_TO_COMMIT $SLIPWAY_STAGE > "$SERVE/told"; cp out/version "$SERVE/live"`

// TestNoRollbackScript takes a bad release back that names no rollback script.
func TestNoRollbackScript(t *testing.T) {
	t.Parallel()
	t.Run("the release before is deployed", func(t *testing.T) {
		a := newApp(t)
		one := a.commit("one", config("rollback=", "deploy="+noteDown, `post_deploy=echo post >> "$SERVE/posts"`))
		a.deploy(one).wants(deploy.Success)
		two := a.deploy(a.bundle(map[string]string{"version": "bad", "slipway.yaml": hasty("rollback="), "Makefile": "test:\n\ttrue\n"})).wants(deploy.RolledBack)
		a.serves("one")
		if got, want := a.read("told"), strings.Join([]string{one, two.CommitSHA, one, "rollback"}, " "); got != want {
			t.Errorf("its deploy script was told %q, want %q", got, want)
		}
		if got := strings.Fields(a.read("posts")); len(got) != 2 {
			t.Errorf("post_deploy ran %d times, want once a deployment", len(got))
		}

		// By hand, and behind a rollback: what serves is one's, whose record is a rollback's.
		a.deploy(a.commit("three", config("rollback="))).wants(deploy.Success)
		a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
		a.serves("one")
		a.deploy(a.commit("bad", hasty("rollback="))).wants(deploy.RolledBack)
		a.serves("one")
	})
	t.Run("make rollback", func(t *testing.T) {
		if _, err := exec.LookPath("make"); err != nil {
			t.Fatal(err)
		}
		a := newApp(t)
		a.deploy(a.commit("one", config("rollback="))).wants(deploy.Success)
		a.deploy(a.bundle(map[string]string{"version": "bad", "slipway.yaml": hasty("rollback="),
			"Makefile": ".PHONY: rollback\nrollback: ; echo made > \"$$SERVE/made\"; cp out/version \"$$SERVE/live\"\n"})).wants(deploy.RolledBack)
		a.serves("one")
		if a.read("made") != "made" {
			t.Error("make rollback was not run")
		}
	})
	t.Run("no release before", func(t *testing.T) {
		a := newApp(t)
		d := a.deploy(a.commit("bad", hasty("rollback="))).wants(deploy.Failed)
		if log := strings.Join(d.Logs, "\n"); d.Dirty || d.Undone || !strings.Contains(log, "no earlier healthy release and no rollback script") {
			t.Errorf("dirty %v, undone %v, timeline:\n%s", d.Dirty, d.Undone, log)
		}
		a.deploy(a.commit("two", config())).wants(deploy.Success)
		a.serves("two")
	})
	t.Run("the release before was never healthy", func(t *testing.T) {
		a := newApp(t)
		a.deploy(a.commit("bad", hasty("rollback="))).wants(deploy.Failed)
		second := a.deploy(a.bundle(map[string]string{"version": "bad", "slipway.yaml": hasty("rollback="), "second": ""})).wants(deploy.Failed)
		if log := strings.Join(second.Logs, "\n"); second.Dirty || !strings.Contains(log, "no earlier healthy release") {
			t.Errorf("dirty %v, timeline:\n%s", second.Dirty, log)
		}

		a.deploy(a.commit("three", config("rollback="))).wants(deploy.Success)
		back := a.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
		if back.ErrorKind != deploy.Conflict || back.Dirty || !strings.Contains(back.Error, "no earlier release") {
			t.Errorf("a rollback to it: %s %q", back.ErrorKind, back.Error)
		}
		to := a.start(map[string]any{"action": "rollback", "to": second.ID}).wants(deploy.Failed)
		if to.ErrorKind != deploy.Conflict || !strings.Contains(to.Error, "want a deployment whose release was healthy") {
			t.Errorf("a rollback to it by its id: %s %q", to.ErrorKind, to.Error)
		}
		a.serves("three")
		if h := a.head("production"); h.Previous != nil && h.Previous.Deployment != "" {
			t.Errorf("previous %+v, want none", h.Previous)
		}
	})
	t.Run("the deploy script fails too", func(t *testing.T) {
		a := newApp(t)
		a.deploy(a.commit("one", config("rollback=", `deploy=test ! -e "$SERVE/broken" && cp out/version "$SERVE/live"`))).wants(deploy.Success)
		a.write("broken", "")
		bad := a.deploy(a.commit("bad", hasty("rollback=", `deploy=cp out/version "$SERVE/live"`))).wants(deploy.Failed)
		if !bad.Dirty {
			t.Error("it is not dirty")
		}
		a.start(map[string]any{"commit_sha": a.commit("three", config()), "repairs": bad.ID, "why": "three works"}).wants(deploy.Success)
		a.serves("three")
	})
}

// TestTrafficFirst has each script of a way back run into a gate: the release before serves while it waits there.
func TestTrafficFirst(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"on_failure":   "hooks: {on_failure: [GATE]}",
		"pre_rollback": "hooks: {pre_rollback: [GATE]}",
		"rollback":     "  rollback: GATE",
	} {
		t.Run(name, func(t *testing.T) {
			f := newLambdaApp(t)
			f.deploy(f.version("one")).wants(deploy.Success)
			r := f.deploy(f.versionWith("bad", strings.ReplaceAll(yaml, "GATE", `'touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done'`)))
			f.sees("in")
			f.answers("one")
			f.write("go", "")
			r.wants(deploy.RolledBack)
			f.answers("one")
		})
	}
}

// TestFailingScriptOfLambda has the rollback script of a commit fail when the release before serves already.
func TestFailingScriptOfLambda(t *testing.T) {
	f := newLambdaApp(t)
	f.deploy(f.version("one")).wants(deploy.Success)
	script := `  rollback: 'echo ran >> "$SERVE/ran"; test -e "$SERVE/mended"'`
	bad := f.deploy(f.versionWith("bad", script)).wants(deploy.Failed)
	f.answers("one")
	if s := bad.Stage("checkrollback"); !bad.Dirty || !bad.Undone || !bad.Healthy || s == nil || s.Outcome != deploy.Passed {
		t.Errorf("dirty %v, undone %v, healthy %v, check %+v", bad.Dirty, bad.Undone, bad.Healthy, s)
	}

	again := f.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	if got := len(strings.Fields(f.read("ran"))); !again.Dirty || got != 2 {
		t.Errorf("dirty %v, the script ran %d times, want twice", again.Dirty, got)
	}
	f.start(map[string]any{"action": "rollback", "skip_scripts": true, "why": "nothing to clean up"}).wants(deploy.Success)
	f.answers("one")
	if got := len(strings.Fields(f.read("ran"))); got != 2 {
		t.Errorf("the script ran %d times, want twice", got)
	}

	two := f.deploy(f.versionWith("two", script)).wants(deploy.Success)
	by := f.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	f.answers("one")
	if h := f.head("production"); !by.Dirty || h.Live == nil || h.Live.Deployment != by.ID || h.Live.CommitSHA == two.CommitSHA {
		t.Errorf("dirty %v, live %+v; want what serves", by.Dirty, h.Live)
	}
	f.write("mended", "")
	f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("one")
}

// TestCrashOnTheWayBack has a script end the function that runs it: the way back goes on.
func TestCrashOnTheWayBack(t *testing.T) {
	t.Parallel()
	const kill = `'kill -9 $PPID; sleep 60'`
	twice := func(t *testing.T, d *deploy.Deployment) {
		t.Helper()
		if s := d.Stage("rollback"); s == nil || s.Attempt != 2 {
			t.Errorf("the way back: %+v, want it begun twice", s)
		}
	}
	t.Run("script target", func(t *testing.T) {
		a := newApp(t)
		a.deploy(a.commit("one", config())).wants(deploy.Success)
		twice(t, a.deploy(a.commit("bad", hasty("hooks: {pre_rollback: ["+kill+"]}"))).wants(deploy.RolledBack))
		a.serves("one")
	})
	t.Run("Lambda target", func(t *testing.T) {
		f := newLambdaApp(t)
		f.deploy(f.version("one")).wants(deploy.Success)
		twice(t, f.deploy(f.versionWith("bad", "hooks: {pre_rollback: ["+kill+"]}")).wants(deploy.RolledBack))
		f.answers("one")
	})
	t.Run("rollback script of a Lambda target", func(t *testing.T) {
		f := newLambdaApp(t)
		f.deploy(f.version("one")).wants(deploy.Success)
		bad := f.deploy(f.versionWith("bad", "  rollback: "+kill)).wants(deploy.Failed)
		f.answers("one")
		twice(t, bad)
		if !bad.Dirty || !bad.Undone || !bad.Healthy {
			t.Errorf("dirty %v, undone %v, healthy %v", bad.Dirty, bad.Undone, bad.Healthy)
		}
	})
}
