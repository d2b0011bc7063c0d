package pipeline_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

// deaths are the states in which an execution is stopped; each brings a run there.
var deaths = []struct {
	state string
	die   func(a *app) *run
	want  deploy.Status
	live  string
}{
	{"before Prepare", func(a *app) *run {
		r := a.recorded()
		r.stop()
		return r
	}, deploy.Aborted, "one"},
	{"Prepare", func(a *app) *run { return a.stopPreparing() }, deploy.Aborted, "one"},
	{"Fetch", func(a *app) *run { return a.stopFetching() }, deploy.Aborted, "one"},
	{"CodeBuild, test", func(a *app) *run { return a.stopBuilding("test") }, deploy.Aborted, "one"},
	{"CodeBuild, build", func(a *app) *run { return a.stopBuilding("build") }, deploy.Aborted, "one"},
	{"Test", func(a *app) *run { return a.stopLingering(config("test=" + linger)) }, deploy.Aborted, "one"},
	{"Build", func(a *app) *run { return a.stopLingering(config("build=" + linger)) }, deploy.Aborted, "one"},
	{"Deploy, nothing changed", func(a *app) *run { return a.stopLingering(config("pre_deploy=" + linger)) }, deploy.Aborted, "one"},
	{"Deploy", func(a *app) *run { return a.stopLingering(config(`deploy=echo half > "$SERVE/live"; ` + linger)) }, deploy.Aborted, "one"},
	{"Shift", func(a *app) *run { return a.stopLingering(config("post_deploy=" + linger)) }, deploy.Aborted, "one"},
	{"HealthCheck", func(a *app) *run {
		r := a.deploy(a.commit("bad", config()))
		waitFor(a.t, "a check", func() (int, bool) { return 0, r.recorded() && len(r.record().Checks) > 0 })
		r.stop()
		return r
	}, deploy.Aborted, "one"},
	{"Bake", func(a *app) *run {
		r := a.deploy(a.commit("two", config(`test=touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done`)))
		a.sees("in")
		if err := world.store.Update(a.t.Context(), r.record(), func(d *deploy.Deployment) error { d.Plan[0].BakeSeconds = 60; return nil }); err != nil {
			a.t.Fatal(err)
		}
		a.write("go", "")
		r.in("Bake")
		r.stop()
		return r
	}, deploy.Aborted, "one"},
	{"Settle", func(a *app) *run { return a.stopIn("Settle", "two", config()) }, deploy.Success, "two"},
	{"SettleFailure", func(a *app) *run { return a.stopIn("SettleFailure", "two", config("test=exit 1")) }, deploy.Failed, "one"},
	{"Rollback", func(a *app) *run {
		r := a.deploy(a.commit("bad", hasty(`rollback=test -e "$SERVE/once" || { touch "$SERVE/once"; `+linger+`; }; cp out/version "$SERVE/live"`)))
		a.sees("once")
		r.stop()
		return r
	}, deploy.RolledBack, "one"},
	{"CheckRollback", func(a *app) *run {
		r := a.deploy(a.commit("bad", hasty(`rollback=echo yes > "$SERVE/sick"; cp out/version "$SERVE/live"`)))
		r.in("CheckRollback")
		waitFor(a.t, "a check of the way back", func() (int, bool) { return 0, r.record().Stage("checkrollback") != nil })
		r.stop()
		a.well()
		return r
	}, deploy.RolledBack, "one"},
}

// rollbackDeaths say how a rollback that somebody asked for, from two to one, ends when it is stopped.
var rollbackDeaths = []struct {
	state string
	die   func(a *app) *run
	want  deploy.Status
	live  string
}{
	{"Rollback, asked for", func(a *app) *run {
		a.write("slow", "")
		r := a.start(map[string]any{"action": "rollback"})
		a.sees("once")
		r.stop()
		return r
	}, deploy.Success, "one"},
	{"CheckRollback, asked for", func(a *app) *run {
		a.write("sicken", "")
		r := a.start(map[string]any{"action": "rollback"})
		r.in("CheckRollback")
		waitFor(a.t, "a check of the way back", func() (int, bool) { return 0, r.record().Stage("checkrollback") != nil })
		r.stop()
		a.well()
		return r
	}, deploy.Success, "one"},
}

func TestSecondDoor(t *testing.T) {
	for name, door := range doors {
		t.Run(name, func(t *testing.T) { // one door after the other: a sweep looks after everybody
			for _, c := range deaths {
				t.Run(c.state, func(t *testing.T) {
					a := newApp(t)
					a.deploy(a.commit("one", config())).wants(deploy.Success)
					r := c.die(a)
					door(a, r)
					d := r.recovered(c.want)
					if stopped := c.want == deploy.Aborted; stopped != (d.ErrorKind == deploy.Cancelled) || stopped && !strings.Contains(d.Error, "somebody pressed Stop") {
						t.Errorf("error %s %q", d.ErrorKind, d.Error)
					}
					a.quiet()
					switch c.state {
					case "Prepare":
						a.write("go", "now")
					case "Fetch":
						a.fetchesLate(d.CommitSHA)
					}
					a.next(c.live)
					if name == "event" {
						r.redriven()
					}
					if now := r.record(); now.Version != d.Version {
						t.Errorf("somebody wrote to the record after its end:\n%s", strings.Join(now.Logs, "\n"))
					}
				})
			}
			for _, c := range rollbackDeaths {
				t.Run(c.state, func(t *testing.T) {
					a := newApp(t)
					slow := `rollback=test ! -e "$SERVE/sicken" || echo yes > "$SERVE/sick"; if test -e "$SERVE/slow"; then test -e "$SERVE/once" || { touch "$SERVE/once"; ` +
						linger + `; }; fi; cp out/version "$SERVE/live"`
					a.deploy(a.commit("one", config())).wants(deploy.Success)
					a.deploy(a.commit("two", config(slow))).wants(deploy.Success)
					r := c.die(a)
					door(a, r)
					r.recovered(c.want)
					a.quiet()
					a.next(c.live)
					if name == "event" {
						r.redriven()
					}
				})
			}
		})
	}
}

// recorded is a run as the API starts one: the record is there first.
func (a *app) recorded() *run {
	a.t.Helper()
	now := time.Now()
	d := deploy.New(deploy.NewID(now, []byte(randomText())), deploy.Deploy, a.name, "production", now)
	d.CommitSHA = a.commit("two", config())
	if err := world.store.Create(a.t.Context(), d); err != nil {
		a.t.Fatal(err)
	}
	return a.execute(d.ID, fmt.Sprintf(`{"deployment":%q}`, d.ID))
}

func (r *run) recorded() bool {
	_, err := world.store.Deployment(r.a.t.Context(), r.id)
	return err == nil
}

// stopPreparing stops an execution while its Prepare waits for the commit's bundle, which S3 sends late.
func (a *app) stopPreparing() *run {
	a.t.Helper()
	program, err := filepath.Abs("../../bin/functions/prepare/bootstrap")
	if err != nil {
		a.t.Fatal(err)
	}
	asked := make(chan struct{}, 100)
	slow := fmt.Sprintf("#!/bin/sh\nAWS_ENDPOINT_URL=%s exec %s\n", a.slowBundles(asked), program)
	input := fmt.Sprintf(`{"app":%q,"environment":"production","commit_sha":%q}`, a.name, a.commit("two", config()))
	r := a.executeOn(a.machine("prepare", slow), deploy.NewID(time.Now(), []byte(randomText())), input)
	select {
	case <-asked:
	case <-time.After(time.Minute):
		a.t.Fatal("Prepare didn't ask for the bundle within a minute")
	}
	r.stop()
	return r
}

// slowBundles is a proxy before the cloud that reports each read of a bundle, and sends none before there is a file "go".
func (a *app) slowBundles(asked chan<- struct{}) string {
	a.t.Helper()
	proxy, err := localtest.Proxy(world.cloud.Endpoint())
	if err != nil {
		a.t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/sources/") {
			asked <- struct{}{}
			a.waitForGo()
		}
		proxy.ServeHTTP(w, r)
	}))
	a.t.Cleanup(server.Close)
	return server.URL
}

// waitForGo waits at most a minute for the file "go".
func (a *app) waitForGo() {
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && a.read("go") == ""; {
		time.Sleep(50 * time.Millisecond)
	}
}

// stopLingering stops an execution while a script of it lingers, which goes on.
func (a *app) stopLingering(yaml string) *run {
	r := a.deploy(a.commit("two", yaml))
	a.lingers()
	r.stop()
	return r
}

// stopBuilding stops an execution while CodeBuild runs one of its two stages, and sees that the build is stopped too.
func (a *app) stopBuilding(stage string) *run {
	a.t.Helper()
	a.byCodeBuild()
	r := a.stopLingering(config(stage + "=" + linger))
	waitFor(a.t, "the build to be stopped", func() (string, bool) {
		_, status := r.build()
		return status, status == "STOPPED"
	})
	return r
}

// stopFetching stops an execution while its Fetch waits for a git server that answers late.
func (a *app) stopFetching() *run {
	a.t.Helper()
	repo, sha := a.fetched()
	asked := make(chan struct{}, 100)
	a.Source.URL = remotetest.HTTP(a.t, repo.Root, func(*http.Request) bool {
		asked <- struct{}{}
		a.waitForGo()
		return true
	}) + "/shop.git"
	a.apply()
	r := a.deploy(sha)
	<-asked
	r.stop()
	return r
}

// fetchesLate has the git server answer, and waits until the dead execution's Fetch has stored what it got. Commits are uploaded again after
// that.
func (a *app) fetchesLate(sha string) {
	a.t.Helper()
	a.write("go", "now")
	waitFor(a.t, "the late Fetch", func() (int, bool) {
		_, err := world.s3.HeadObject(a.t.Context(), &s3.HeadObjectInput{Bucket: &world.out.Bucket, Key: aws.String(deploy.FetchedPrefix + a.name + "/" + sha + ".tar.gz")})
		return 0, err == nil
	})
	a.Source = deploy.Source{}
	a.apply()
}

func (a *app) sees(file string) {
	a.t.Helper()
	waitFor(a.t, file, func() (int, bool) { _, err := os.Stat(filepath.Join(a.dir, file)); return 0, err == nil })
}

// well makes the app healthy again.
func (a *app) well() { _ = os.Remove(filepath.Join(a.dir, "sick")) }

// quiet waits until no script lingers: whoever was shut out is killed.
func (a *app) quiet() {
	a.t.Helper()
	var group int
	if _, err := fmt.Sscan(a.read("group"), &group); err == nil {
		waitFor(a.t, "the dead execution's script to be killed", func() (int, bool) { return 0, !alive(group) })
	}
}

// stopIn stops an execution in a state that calls settle, of a machine whose settle never answers.
func (a *app) stopIn(state, version, yaml string) *run {
	a.t.Helper()
	r := a.deployBy(a.machine("settle", hang), a.commit(version, yaml))
	r.in(state)
	r.stop()
	return r
}
