package pipeline_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// cancel asks the API to cancel a deployment, as slipway cancel does: the function has its own role.
func (a *app) cancel(id string) error {
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, world.out.API+"/v1/deployments/"+id+"/cancel", nil)
	if err != nil {
		return err
	}
	status, text, err := localtest.Send(world.cloud, request, nil, "execute-api")
	switch {
	case err != nil:
		return err
	case status == http.StatusConflict:
		return deploy.Errorf(deploy.Conflict, "", "%s", text)
	case status != http.StatusAccepted:
		return fmt.Errorf("%d: %s", status, text)
	}
	return nil
}

// linger is a script that tells that it runs, and by which process group, and then would run for minutes.
const linger = `echo $$ > "$SERVE/group"; sleep 300 & sleep 300`

func (a *app) lingers() int {
	return waitFor(a.t, "a script to run", func() (int, bool) {
		group, err := strconv.Atoi(a.read("group"))
		return group, err == nil
	})
}

// alive tells whether a process of the group lives; one that is dead and not yet reaped does not.
func alive(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // state, ppid, pgrp
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			return true
		}
	}
	return false
}

func TestCancel(t *testing.T) {
	for _, c := range []struct{ stage, yaml string }{
		{"test", config("test=" + linger)},
		{"build", config("build=" + linger)},
		{"deploy before a change", config("pre_deploy=" + linger)},
		{"deploy", config(`deploy=echo half > "$SERVE/live"; ` + linger)},
		{"shift", config("post_deploy=" + linger)},
	} {
		t.Run(c.stage, func(t *testing.T) {
			a := newApp(t)
			a.deploy(a.commit("one", config())).wants(deploy.Success)
			r := a.deploy(a.commit("two", c.yaml))
			group := a.lingers()
			begin := time.Now()
			if err := a.cancel(r.id); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the script's group to die", func() (int, bool) { return 0, !alive(group) })
			t.Logf("dead after %v", time.Since(begin).Round(10*time.Millisecond))
			d := r.wants(deploy.Aborted)
			a.serves("one")
			if d.ErrorKind != deploy.Cancelled {
				t.Errorf("error %s %q", d.ErrorKind, d.Error)
			}
			if err := a.cancel(r.id); deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "cancelled") {
				t.Errorf("cancelling again: %v, want a Conflict that names the status", err)
			}
		})
	}
}

func TestCancelInHealthCheck(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config())).wants(deploy.Success)
	r := a.deploy(a.commit("bad", config()))
	waitFor(t, "a failed check", func() (int, bool) {
		d, err := world.store.Deployment(t.Context(), r.id)
		return 0, err == nil && len(d.Checks) > 0
	})
	if err := a.cancel(r.id); err != nil {
		t.Fatal(err)
	}
	r.wants(deploy.Aborted)
	a.serves("one")
}

func TestCancelWhileWaiting(t *testing.T) {
	a := newApp(t)
	first := a.deploy(a.commit("one", config("deploy=cp out/version \"$SERVE/live\"; "+linger)))
	a.lingers()
	second := a.deploy(a.commit("two", config()))
	waitFor(t, "the second to wait", func() (int, bool) { return 0, a.head("production").Waiting != nil })
	if err := a.cancel(second.id); err != nil {
		t.Fatal(err)
	}
	second.wants(deploy.Aborted)
	if a.head("production").Waiting != nil {
		t.Error("the cancelled one still waits")
	}
	if err := a.cancel(first.id); err != nil {
		t.Fatal(err)
	}
	first.wants(deploy.Aborted)
}

func TestNewerReplacesTheOneThatWaits(t *testing.T) {
	a := newApp(t)
	first := a.deploy(a.commit("one", config(`deploy=cp out/version "$SERVE/live"; touch "$SERVE/in"; while test ! -e "$SERVE/go"; do sleep 0.1; done`)))
	waitFor(t, "the first to be inside", func() (int, bool) { _, err := os.Stat(a.dir + "/in"); return 0, err == nil })
	second := a.deploy(a.commit("two", config()))
	waitFor(t, "the second to wait", func() (int, bool) { return 0, a.head("production").Waiting != nil })
	third := a.deploy(a.commit("three", config()))
	d := second.wants(deploy.Aborted)
	if d.SupersededBy != third.id {
		t.Errorf("superseded by %q, want %s", d.SupersededBy, third.id)
	}
	a.write("go", "")
	first.wants(deploy.Success)
	third.wants(deploy.Success)
	a.serves("three")
}

// TestTwenty starts twenty deployments to one environment at once.
func TestTwenty(t *testing.T) {
	a := newApp(t)
	exclusive := `deploy=mkdir "$SERVE/inside" || echo clash >> "$SERVE/clashes"; cp out/version "$SERVE/live"; sleep 0.3; rmdir "$SERVE/inside"`
	var runs []*run
	for i := range 20 {
		runs = append(runs, a.deploy(a.commit(fmt.Sprint("v", i), config(exclusive))))
	}
	ended := map[deploy.Status]int{}
	for _, r := range runs {
		r.ended()
		d := r.record()
		ended[d.Status]++
		if d.Status != deploy.Success && (d.Status != deploy.Aborted || d.SupersededBy <= d.ID) {
			t.Errorf("%s: %s, superseded by %q, error %q", d.ID, d.Status, d.SupersededBy, d.Error)
		}
	}
	t.Logf("ended: %v", ended)
	if clashes := a.read("clashes"); clashes != "" {
		t.Errorf("two were inside: %s", clashes)
	}
	runs[19].wants(deploy.Success)
	a.serves("v19")
	if h := a.head("production"); h.Live.Deployment != runs[19].id || h.Holder != nil || h.Waiting != nil || int(h.Fence) != ended[deploy.Success] {
		t.Errorf("head: %+v", h)
	}
}

// invoke calls a function of the stack as the machine does.
func (a *app) invoke(function string, call map[string]any) (state map[string]any, failure string) {
	a.t.Helper()
	payload, err := json.Marshal(call)
	if err != nil {
		a.t.Fatal(err)
	}
	name := "slipway-" + function
	out, err := world.fn.Invoke(a.t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		a.t.Fatal(err)
	}
	if out.FunctionError != nil {
		return nil, string(out.Payload)
	}
	if err := json.Unmarshal(out.Payload, &state); err != nil {
		a.t.Fatal(err)
	}
	return state, ""
}

// TestTwice calls each handler twice with the same input: every script runs once, and the end is the same.
func TestTwice(t *testing.T) {
	a := newApp(t)
	ran := func(name string) string { return fmt.Sprintf("%s=echo %s >> \"$SERVE/ran\"; ", name, name) }
	sha := a.commit("one", config(ran("test"), ran("build")+"mkdir -p out && cp version out/version", ran("pre_deploy"),
		ran("deploy")+`cp out/version "$SERVE/live"`, ran("post_deploy")))
	id := deploy.NewID(time.Now(), []byte("twice"))
	input := map[string]any{"app": a.name, "environment": "production", "commit_sha": sha}
	call := map[string]any{"state": input, "execution": "arn:aws:states:us-east-1:000000000000:execution:slipway:" + id, "start_time": time.Now()}
	twice := func(function string) {
		t.Helper()
		first, failure := a.invoke(function, call)
		if failure != "" {
			t.Fatalf("%s: %s", function, failure)
		}
		second, failure := a.invoke(function, call)
		if failure != "" {
			t.Fatalf("%s again: %s", function, failure)
		}
		one, _ := json.Marshal(first)
		two, _ := json.Marshal(second)
		if string(one) != string(two) {
			t.Errorf("%s answered %s, then %s", function, one, two)
		}
		call["state"] = first
	}
	twice("prepare")
	twice("test")
	twice("build")
	call["token"] = "nobody waits with this"
	for range 2 {
		if _, failure := a.invoke("admit", call); failure != "" { // whoever waited has heard it before, or is gone
			t.Errorf("admit with a dead token: %s", failure)
		}
	}
	d, err := world.store.Deployment(t.Context(), id)
	if err != nil || d.Fence != 1 {
		t.Fatalf("after admit: %+v, %v", d, err)
	}
	call["state"].(map[string]any)["fence"] = d.Fence
	twice("deploy")
	twice("shift")
	twice("healthcheck")
	twice("settle")
	if got, want := strings.Join(strings.Fields(a.read("ran")), " "), "test build pre_deploy deploy post_deploy"; got != want {
		t.Errorf("scripts ran: %s, want %s", got, want)
	}
	if d, err = world.store.Deployment(t.Context(), id); err != nil || d.Status != deploy.Success {
		t.Errorf("ended %s, %v", d.Status, err)
	}
	call["state"].(map[string]any)["fence"] = 0
	for _, function := range []string{"test", "deploy", "shift", "rollback"} {
		if _, failure := a.invoke(function, call); !strings.Contains(failure, "Fenced") {
			t.Errorf("%s after the end: %q, want Fenced", function, failure)
		}
	}
}
