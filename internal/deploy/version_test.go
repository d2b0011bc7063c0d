package deploy_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

const (
	arnA = "arn:aws:lambda:eu-central-1:123456789012:function:fa"
	arnB = "arn:aws:lambda:eu-central-1:123456789012:function:fb"
)

// A version is the same only where function, number and code are, as far as both are known.
func TestFunctionVersionIs(t *testing.T) {
	v := deploy.FunctionVersion{TargetFunction: arnA, TargetVersion: "3", TargetCodeSHA256: "code"}
	for _, row := range []struct {
		w    deploy.FunctionVersion
		same bool
	}{
		{v, true},
		{deploy.FunctionVersion{TargetVersion: "3"}, true},
		{deploy.FunctionVersion{TargetVersion: "3", TargetFunction: "fa"}, true},
		{deploy.FunctionVersion{TargetVersion: "3", TargetFunction: "fb"}, false},
		{deploy.FunctionVersion{TargetVersion: "3", TargetFunction: arnB, TargetCodeSHA256: "code"}, false},
		{deploy.FunctionVersion{TargetVersion: "3", TargetFunction: strings.Replace(arnA, "eu", "us", 1)}, false},
		{deploy.FunctionVersion{TargetVersion: "4", TargetFunction: arnA, TargetCodeSHA256: "code"}, false},
		{deploy.FunctionVersion{TargetVersion: "3", TargetFunction: arnA, TargetCodeSHA256: "other"}, false},
		{deploy.FunctionVersion{}, false},
	} {
		if v.Is(row.w) != row.same || row.w.Is(v) != row.same {
			t.Errorf("%+v: same %v, want %v", row.w, v.Is(row.w), row.same)
		}
	}
	if (deploy.FunctionVersion{}).Is(deploy.FunctionVersion{}) {
		t.Error("no version is the same as no version")
	}
}

// What a record of before lacks of its version follows from its settings and its artifact.
func TestLiveOfAnOlderRecord(t *testing.T) {
	zip := deploy.Artifact{Path: "app.zip", SHA256: strings.Repeat("ab", 32)}
	d := &deploy.Deployment{ID: "x", Release: &deploy.Release{Artifacts: []deploy.Artifact{zip}},
		Settings: &deploy.Settings{Target: deploy.Target{Type: deploy.TargetLambda, Function: "fa"}}}
	d.Release.TargetVersion = "3"
	want := deploy.FunctionVersion{TargetFunction: "fa", TargetVersion: "3", TargetCodeSHA256: zip.CodeSHA256()}
	if got := d.Live().FunctionVersion; got != want || len(want.TargetCodeSHA256) != 44 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	d.Release.TargetFunction = arnB
	if got := d.Live().TargetFunction; got != arnB {
		t.Errorf("its own function is %s, got %s", arnB, got)
	}
	d.Release.TargetVersion, d.Release.TargetFunction = "", ""
	if got := d.Live().FunctionVersion; got != (deploy.FunctionVersion{}) {
		t.Errorf("a script target's: %+v", got)
	}
}

func TestReleaseSame(t *testing.T) {
	artifact := func(path, digest string) deploy.Artifact { return deploy.Artifact{Path: path, SHA256: digest} }
	r := &deploy.Release{CommitSHA: "c", Artifacts: []deploy.Artifact{artifact("a", "1"), artifact("b", "2")}}
	turned := &deploy.Release{CommitSHA: "c", Artifacts: []deploy.Artifact{artifact("b", "2"), artifact("a", "1")}, BuiltBy: "another"}
	if !r.Same(turned) {
		t.Error("the order of artifacts, or who built them, makes another release")
	}
	for name, other := range map[string]*deploy.Release{
		"commit":   {CommitSHA: "d", Artifacts: r.Artifacts},
		"digest":   {CommitSHA: "c", Artifacts: []deploy.Artifact{artifact("a", "1"), artifact("b", "3")}},
		"fewer":    {CommitSHA: "c", Artifacts: r.Artifacts[:1]},
		"none":     nil,
		"nowhere":  {},
		"renamed":  {CommitSHA: "c", Artifacts: []deploy.Artifact{artifact("a", "1"), artifact("c", "2")}},
		"no files": {CommitSHA: "c"},
	} {
		if r.Same(other) || other.Same(r) {
			t.Errorf("%s: taken for the same", name)
		}
	}
	if (&deploy.Release{}).Same(&deploy.Release{}) {
		t.Error("two releases of no commit are taken for the same")
	}
}

// served is a deployment that went live.
func served(id, commit, fallback string) *deploy.Deployment {
	return &deploy.Deployment{ID: id, CommitSHA: commit, Status: deploy.Success, Fallback: fallback, Environment: "production",
		Release: &deploy.Release{CommitSHA: commit}, Settings: &deploy.Settings{Target: deploy.Target{Type: deploy.TargetScript}}}
}

// TestBefore looks for the release before, which the same commit deployed again is not.
func TestBefore(t *testing.T) {
	script, lambda := deploy.Target{Type: deploy.TargetScript}, deploy.Target{Type: deploy.TargetLambda, Function: "fa"}
	records := map[string]*deploy.Deployment{}
	for _, d := range []*deploy.Deployment{
		served("a", "A", ""), served("b", "B", "a"), served("b2", "B", "b"), served("b3", "B", "b2"), served("c", "C", "b3"),
		served("loop", "L", "loop"), served("lost", "X", "gone"),
	} {
		records[d.ID] = d
	}
	read := func(id string) (*deploy.Deployment, error) {
		if d, ok := records[id]; ok {
			return d, nil
		}
		return nil, deploy.Errorf(deploy.NotFound, "", "there is no %s", id)
	}
	for from, want := range map[string]string{"b": "a", "b2": "a", "b3": "a", "c": "b3"} {
		if to, err := records[from].Before(script, read); err != nil || to.ID != want {
			t.Errorf("before %s: %+v, %v; want %s", from, to, err, want)
		}
	}
	for _, from := range []string{"a", "loop"} {
		if _, err := records[from].Before(script, read); deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "no earlier release") {
			t.Errorf("before %s: %v", from, err)
		}
	}
	if _, err := records["lost"].Before(script, read); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("before what names a record that is not there: %v", err)
	}
	if _, err := records["c"].Before(lambda, read); deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "lambda target by now") {
		t.Errorf("from a lambda target to a script's release: %v", err)
	}
	records["a"].Previous = &deploy.Live{FunctionVersion: deploy.FunctionVersion{TargetFunction: arnA, TargetVersion: "9"}}
	if _, err := records["a"].Before(script, read); err == nil || !strings.Contains(err.Error(), "version 9 of fa, which Slipway did not put there") {
		t.Errorf("from what replaced no release: %v", err)
	}
}

func TestCheckRestore(t *testing.T) {
	script, lambda := deploy.Target{Type: deploy.TargetScript}, deploy.Target{Type: deploy.TargetLambda, Function: "fa"}
	live, again := served("b", "B", "a"), served("b2", "B", "a")
	failed, unhealthy, empty := served("f", "F", ""), served("u", "U", ""), served("e", "E", "")
	failed.Status, unhealthy.Status, unhealthy.ErrorKind, empty.Release = deploy.Failed, deploy.RolledBack, deploy.HealthCheckFailed, nil
	for words, err := range map[string]error{
		"f is failed; want a deployment whose release was healthy: one that ended in success": failed.CheckRestore(script),
		"rolled back before it was healthy":                                                   unhealthy.CheckRestore(script),
		"no release to restore":                                                               empty.CheckRestore(script),
		"went to a script target":                                                             live.CheckRestore(lambda),
		"b is live already":                                                                   live.CheckChange(live, script),
		"the release B of b2 is live already, by b: going back to it would change nothing": again.CheckChange(live, script),
	} {
		if deploy.KindOf(err) != deploy.Conflict || deploy.FieldOf(err) != "to" || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want a Conflict about to with %q", err, words)
		}
	}
	if err := live.CheckRestore(script); err != nil {
		t.Error(err)
	}
	for _, other := range []*deploy.Deployment{nil, served("a", "A", "")} {
		if err := live.CheckChange(other, script); err != nil {
			t.Error(err)
		}
	}

	// On another function the same release is not there yet.
	for _, d := range []*deploy.Deployment{live, again} {
		d.Settings.Target, d.Release.TargetVersion = deploy.Target{Type: deploy.TargetLambda, Function: "fb"}, "3"
	}
	if err := again.CheckChange(live, lambda); err != nil {
		t.Errorf("to a function where the release is not: %v", err)
	}

	// A version of its own has the function's configuration of its time.
	for version, refused := range map[string]bool{"3": true, "2": false, "": true} {
		again.Release.TargetVersion = version
		if err := again.CheckChange(live, deploy.Target{Type: deploy.TargetLambda, Function: "fb"}); (err != nil) != refused {
			t.Errorf("from version 3 to version %q of the same release: %v", version, err)
		}
	}
	again.Release.TargetVersion, again.Release.TargetFunction = "2", arnA
	if err := again.CheckChange(live, deploy.Target{Type: deploy.TargetLambda, Function: "fb"}); err == nil {
		t.Error("to a version of another function, whose release is live on this one already: not refused")
	}
	again.Release.TargetFunction = ""
	if id, err := deploy.ReleaseBefore(live.Release, again.ID, func(string) (*deploy.Deployment, error) {
		again.Release.TargetVersion, again.Fallback = "2", ""
		return again, nil
	}); id != "" || err != nil {
		t.Errorf("a plain rollback goes to another version of the same release: %s, %v", id, err)
	}
}
