package pipeline_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/traffic"
)

// move does to the alias what an operator does in the console: points it to a version, and where share is over 0, sends that much
// of its traffic to another.
func (f *lambdaApp) move(version, other string, share float64) {
	f.t.Helper()
	weights := map[string]float64{}
	if other != "" {
		weights[other] = share
	}
	_, err := world.fn.UpdateAlias(f.t.Context(), &lambda.UpdateAliasInput{FunctionName: &f.function, Name: aws.String("live"), FunctionVersion: &version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *lambdaApp) serving() deploy.Serving {
	f.t.Helper()
	target := deploy.Target{Function: f.function, Alias: "live"}
	s, err := traffic.NewLambda(world.fn, world.out.Bucket).Serving(f.t.Context(), target)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// truth holds what the environment's record says is live to what the alias says, whole.
func (f *lambdaApp) truth() *deploy.Live {
	f.t.Helper()
	live, serves := f.head("production").Live, f.serving()
	if live == nil || live.FunctionVersion != serves.FunctionVersion || len(serves.Others) > 0 || live.TargetFunction == "" || live.TargetCodeSHA256 == "" {
		f.t.Errorf("the record says %+v is live, the alias serves %s with the code %s", live, serves, serves.TargetCodeSHA256)
	}
	return live
}

func (f *lambdaApp) says(d *deploy.Deployment, words ...string) {
	f.t.Helper()
	log := strings.Join(d.Logs, "\n")
	for _, each := range words {
		if !strings.Contains(log, each) {
			f.t.Errorf("the timeline lacks %q:\n%s", each, log)
		}
	}
}

// lastly is a commit whose script waits at the gate once its release serves, before the health check.
func (f *lambdaApp) lastly(version, more string) string {
	f.t.Helper()
	f.write(version+".zip", string(pack(f.t, version)))
	return f.commit(version, "artifacts: [out/app.zip]\nhealth_check_timeout: 120\nscripts:\n  test: 'true'\n  build: mkdir out && cp \"$SERVE/"+version+".zip\" out/app.zip\n"+more)
}

const atTheGate = "  post_deploy: '" + `touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done` + "'\n"

// pass opens the gate once something was done behind it.
func (f *lambdaApp) pass(do func()) {
	f.t.Helper()
	f.sees("in")
	do()
	f.write("go", "")
}

// TestAliasMovedDuringADeployment has somebody move the alias while a new release waits for its health check, which then asks another
// release than it is meant to. None of these deployments succeeds; what is not Slipway's to take back stays.
func TestAliasMovedDuringADeployment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		version, other  func(zero, one, two string) string
		share           float64
		ends            deploy.Status
		dirty           bool
		answers, rescue string // what serves then, and after a rollback by hand
		live            int    // whose release the record says is live: 0 zero, 1 one, -1 none of Slipway's
		words           string
	}{
		{name: "back to the release before", version: func(_, one, _ string) string { return one }, ends: deploy.RolledBack, answers: "one", live: 1, words: "somebody else moved it"},
		{name: "to an older release", version: func(zero, _, _ string) string { return zero }, ends: deploy.Failed, answers: "zero", live: 0, words: "so it stays"},
		{name: "to what is no release", version: func(_, _, _ string) string { return "1" }, ends: deploy.Failed, answers: "placeholder", rescue: "one", live: -1, words: "no release of this environment"},
		{name: "a part of it, back", version: func(_, _, two string) string { return two }, other: func(_, one, _ string) string { return one }, share: 0.1,
			ends: deploy.RolledBack, answers: "one", live: 1, words: "with 10 % to version"},
		{name: "to a mix without it", version: func(_, one, _ string) string { return one }, other: func(zero, _, _ string) string { return zero }, share: 0.5,
			ends: deploy.Failed, dirty: true, rescue: "one", words: "with 50 % to version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newLambdaApp(t)
			before := []*deploy.Deployment{f.deploy(f.version("zero")).wants(deploy.Success), f.deploy(f.version("one")).wants(deploy.Success)}
			r := f.deploy(f.lastly("two", atTheGate))
			f.pass(func() {
				versions := []string{before[0].Release.TargetVersion, before[1].Release.TargetVersion, r.record().Release.TargetVersion}
				other := ""
				if c.other != nil {
					other = c.other(versions[0], versions[1], versions[2])
				}
				f.move(c.version(versions[0], versions[1], versions[2]), other, c.share)
			})
			d := r.wants(c.ends)
			if d.ErrorKind != deploy.Moved || d.Dirty != c.dirty {
				t.Errorf("kind %s, dirty %v, want Moved, %v: %s", d.ErrorKind, d.Dirty, c.dirty, d.Error)
			}
			f.says(d, c.words)
			if !c.dirty {
				f.answers(c.answers)
				live := f.truth()
				switch want := c.live; {
				case want < 0 && live.Deployment != "", want >= 0 && live.Deployment != before[max(0, want)].ID:
					t.Errorf("live is %+v", live)
				}
			}
			if c.rescue != "" {
				f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
				f.answers(c.rescue)
				f.truth()
			}
			f.deploy(f.version("three")).wants(deploy.Success)
			f.truth()
		})
	}
}

// TestAliasOfWhatStays: if rollback_enabled is false, the record says what the alias serves at the end: the release itself if Shift had
// set it, or the version that another program set.
func TestAliasOfWhatStays(t *testing.T) {
	t.Parallel()
	keep := func(t *testing.T) *lambdaApp {
		f := newLambdaApp(t)
		no, s := false, f.Environments["production"]
		s.RollbackEnabled = &no
		f.Environments["production"] = s
		f.apply()
		return f
	}
	t.Run("cancelled in post_deploy", func(t *testing.T) {
		f := keep(t)
		f.deploy(f.version("one")).wants(deploy.Success)
		r := f.deploy(f.lastly("two", atTheGate))
		f.pass(func() {
			f.answers("two")
			if err := f.cancel(r.id); err != nil {
				t.Fatal(err)
			}
			r.ended()
		})
		if live := f.truth(); live.Deployment != r.id {
			t.Errorf("live %+v, want %s", live, r.id)
		}
		if d := r.record(); d.Found != nil || strings.Contains(strings.Join(d.Logs, "\n"), "somebody else") {
			t.Errorf("found %+v, though only Shift moved the alias:\n%s", d.Found, strings.Join(d.Logs, "\n"))
		}
	})
	t.Run("moved before the shift", func(t *testing.T) {
		f := keep(t)
		f.deploy(f.version("one")).wants(deploy.Success)
		r := f.deploy(f.lastly("two", "  deploy: '"+`touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done`+"'\n"))
		f.pass(func() { f.move("1", "", 0) })
		if d := r.wants(deploy.Failed); d.Found == nil || d.ErrorKind != deploy.Moved {
			t.Errorf("found %+v, %s", d.Found, d.ErrorKind)
		}
		f.truth()
	})
}

// TestAliasWithoutWeight: an alias that gives another version no traffic serves one version alone.
func TestAliasWithoutWeight(t *testing.T) {
	f := newLambdaApp(t)
	one := f.deploy(f.version("one")).wants(deploy.Success)
	r := f.deploy(f.lastly("two", atTheGate))
	f.pass(func() { f.move(r.record().Release.TargetVersion, one.Release.TargetVersion, 0) })
	r.wants(deploy.Success)
	f.answers("two")
}

// TestAliasMovedDuringAWayBack has somebody move the alias when a way back, of either kind, has set it and looks at its last hook.
func TestAliasMovedDuringAWayBack(t *testing.T) {
	t.Parallel()
	hook := "hooks:\n  post_rollback: ['" + `touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done` + "']\n"
	for _, byHand := range []bool{false, true} {
		t.Run(fmt.Sprintf("asked for %v", byHand), func(t *testing.T) {
			f := newLambdaApp(t)
			one := f.deploy(f.version("one")).wants(deploy.Success)
			var r *run
			if byHand {
				f.deploy(f.lastly("two", hook)).wants(deploy.Success)
				r = f.start(map[string]any{"action": "rollback"})
			} else {
				f.write("bad.zip", string(pack(t, "bad")))
				r = f.deploy(f.commit("bad", "artifacts: [out/app.zip]\nhealth_check_timeout: 3\nscripts:\n  test: 'true'\n  build: mkdir out && cp \"$SERVE/bad.zip\" out/app.zip\n"+hook))
			}
			f.pass(func() { f.move("1", "", 0) })
			d := r.wants(deploy.Failed)
			if live := f.truth(); d.Dirty || live.Deployment != "" || d.Found == nil || live.Fallback != one.ID {
				t.Errorf("dirty %v, found %+v, live %+v", d.Dirty, d.Found, live)
			}
			f.answers("placeholder")
			f.says(d, "serves version 1 of "+f.function+", which is no release of this environment, not version "+one.Release.TargetVersion+": somebody else moved it")
			f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
			f.answers("one")
			f.truth()
		})
	}
}

// TestAliasMovedBetweenDeployments finds the alias elsewhere than where Slipway left it, names it, and goes back to what really served.
func TestAliasMovedBetweenDeployments(t *testing.T) {
	f := newLambdaApp(t)
	one := f.deploy(f.version("one")).wants(deploy.Success)
	two := f.deploy(f.version("two")).wants(deploy.Success)
	f.move(one.Release.TargetVersion, "", 0)

	bad := f.deploy(f.version("bad")).wants(deploy.RolledBack)
	f.answers("one")
	f.says(bad, fmt.Sprintf("alias live serves version %s of %s, the release %s of %s; Slipway left it at version %s: somebody else moved it",
		one.Release.TargetVersion, f.function, deploy.ShortCommit(one.CommitSHA), one.ID, two.Release.TargetVersion))
	if live := f.truth(); live.Deployment != one.ID || bad.Previous.Deployment != one.ID {
		t.Errorf("live %+v, previous %+v; want both of %s", live, bad.Previous, one.ID)
	}

	f.move(two.Release.TargetVersion, "", 0)
	three := f.deploy(f.version("three")).wants(deploy.Success)
	if three.Fallback != two.ID || f.head("production").Previous.Deployment != two.ID {
		t.Errorf("fallback %s, previous %+v; want %s", three.Fallback, f.head("production").Previous, two.ID)
	}
	f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("two")
	f.truth()

	f.move("1", "", 0)
	four := f.deploy(f.version("four")).wants(deploy.Success)
	f.says(four, "which is no release of this environment; Slipway left it at version "+two.Release.TargetVersion)
	none := f.start(map[string]any{"action": "rollback"}).wants(deploy.Failed)
	if none.ErrorKind != deploy.Conflict || !strings.Contains(none.Error, "before it served version 1 of "+f.function) {
		t.Errorf("%s: %s", none.ErrorKind, none.Error)
	}
	f.answers("four")
	f.start(map[string]any{"action": "rollback", "to": one.ID}).wants(deploy.Success)
	f.answers("one")
	f.truth()
}

// TestSameReleaseAgain deploys the live release once more, as a retried pipeline does: the release before stays the one before.
func TestSameReleaseAgain(t *testing.T) {
	f := newLambdaApp(t)
	a := f.deploy(f.version("a")).wants(deploy.Success)
	b := f.version("b")
	first := f.deploy(b).wants(deploy.Success)
	for range 2 {
		again := f.deploy(b).wants(deploy.Success)
		if h := f.head("production"); again.Fallback != a.ID || h.Previous.Deployment != a.ID || h.Live.Deployment != again.ID {
			t.Errorf("fallback %s, previous %+v, live %+v; want to go back to %s", again.Fallback, h.Previous, h.Live, a.ID)
		}
	}
	f.refused(map[string]any{"action": "rollback", "to": first.ID}, "is live already", "b")

	back := f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("a")
	f.truth()
	f.says(back, fmt.Sprintf("rollback of %s in production to the release %s started", back.RollbackFrom, deploy.ShortCommit(a.CommitSHA)),
		fmt.Sprintf("back from %s of %s to the release %s of %s", deploy.ShortCommit(b), back.RollbackFrom, deploy.ShortCommit(a.CommitSHA), a.ID))
	f.refused(map[string]any{"action": "rollback"}, "there is no earlier release", "a")
	f.refused(map[string]any{"action": "rollback", "to": a.ID}, "is live already", "a")

	f.start(map[string]any{"commit_sha": b, "force_deployment": true}).wants(deploy.Success)
	f.start(map[string]any{"commit_sha": b, "force_deployment": true}).wants(deploy.Success)
	f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("a")
	f.truth()
}

// refused asks for a rollback that changes nothing: it fails, and what is live stays so, on its record too.
func (f *lambdaApp) refused(input map[string]any, words, answers string) {
	f.t.Helper()
	live := f.head("production").Live
	d := f.start(input).wants(deploy.Failed)
	if d.ErrorKind != deploy.Conflict || !strings.Contains(d.Error, words) || d.Changed != nil {
		f.t.Errorf("%s: %s, changed %v; want a Conflict with %q", d.ErrorKind, d.Error, d.Changed, words)
	}
	f.answers(answers)
	if now := f.truth(); now.Deployment != live.Deployment {
		f.t.Errorf("live is %s, was %s", now.Deployment, live.Deployment)
	}
	record, err := world.store.Deployment(f.t.Context(), live.Deployment)
	if err != nil || record.Status != deploy.Success {
		f.t.Errorf("%s is %s, %v", record.ID, record.Status, err)
	}
}

// TestFunctionChanged points the environment to another function, as a rename does. Releases from before are published there when they
// are gone back to; their old numbers mean something else.
func TestFunctionChanged(t *testing.T) {
	f := newLambdaApp(t)
	m1 := f.deploy(f.version("m1")).wants(deploy.Success)
	m2 := f.deploy(f.version("m2")).wants(deploy.Success)
	f.function += "-b"
	f.create()
	m3 := f.deploy(f.version("m3")).wants(deploy.Success)
	f.says(m3, "the environment's function was "+f.name+" before; alias live of "+f.function+" serves version 1 of "+f.function)
	m4 := f.deploy(f.version("m4")).wants(deploy.Success)
	if m2.Release.TargetVersion != m4.Release.TargetVersion {
		t.Fatalf("versions %s and %s: the numbers are to be alike", m2.Release.TargetVersion, m4.Release.TargetVersion)
	}

	for _, to := range []*deploy.Deployment{m2, m1} {
		back := f.start(map[string]any{"action": "rollback", "to": to.ID}).wants(deploy.Success)
		f.answers(map[string]string{m1.ID: "m1", m2.ID: "m2"}[to.ID])
		if live := f.truth(); live.CommitSHA != to.CommitSHA || !strings.HasSuffix(live.TargetFunction, f.function) || back.Release.FunctionVersion != live.FunctionVersion {
			t.Errorf("live %+v, release %+v", live, back.Release)
		}
		f.says(back, "the release was published again as version ")
	}

	// Without a name: to the release before, which served on the other function.
	f.start(map[string]any{"action": "rollback", "to": m3.ID}).wants(deploy.Success)
	f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("m2")
	f.truth()

	settings := f.Environments["production"]
	settings.Target = deploy.Target{Type: deploy.TargetScript}
	f.Environments["production"] = settings
	f.apply()
	d := f.start(map[string]any{"action": "rollback", "to": m4.ID}).wants(deploy.Failed)
	if d.ErrorKind != deploy.Conflict || !strings.Contains(d.Error, "went to a lambda target") || d.Dirty || d.Changed != nil {
		t.Errorf("%s: %s, dirty %v, changed %v", d.ErrorKind, d.Error, d.Dirty, d.Changed)
	}
}

// TestNumberGivenAgain deletes the function and makes it again, where numbers count from 1 again here: the number of the release before
// is there, with other code.
func TestNumberGivenAgain(t *testing.T) {
	f := newLambdaApp(t)
	one := f.deploy(f.version("one")).wants(deploy.Success)
	f.deploy(f.version("two")).wants(deploy.Success)
	if _, err := world.fn.DeleteFunctionUrlConfig(t.Context(), &lambda.DeleteFunctionUrlConfigInput{FunctionName: &f.function, Qualifier: aws.String("live")}); err != nil {
		t.Fatal(err)
	}
	if _, err := world.fn.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &f.function}); err != nil {
		t.Fatal(err)
	}
	f.create()
	for n := 2; n <= 4; n++ {
		zip := pack(t, "impostor "+strconv.Itoa(n))
		if _, err := world.fn.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &f.function, ZipFile: zip, Publish: true}); err != nil {
			t.Fatal(err)
		}
	}
	back := f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("one")
	if f.truth(); back.Release.TargetVersion == one.Release.TargetVersion {
		t.Errorf("it serves as version %s, which holds other code", back.Release.TargetVersion)
	}
}
