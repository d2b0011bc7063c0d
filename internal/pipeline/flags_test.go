package pipeline_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

// enable switches one of the app's flags on, as somebody does by the API.
func (a *app) enable(key string) {
	a.t.Helper()
	_, err := world.flags.Change(a.t.Context(), a.name, "production", board.Origin{Time: time.Now(), By: "eve"}, func(d *board.Draft) error {
		return d.Edit(board.Enable, key, board.Match{Any: true}, func(def flag.Definition) (flag.Definition, error) { return def.WithEnabled(true), nil })
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// flags lists the app's flags with their states.
func (a *app) flags() string {
	a.t.Helper()
	s, err := world.flags.State(a.t.Context(), a.name, "production")
	if err != nil {
		a.t.Fatal(err)
	}
	var all []string
	for _, key := range s.Keys() {
		f, err := s.Flag(key)
		if err != nil {
			a.t.Fatal(err)
		}
		all = append(all, key+"="+map[bool]string{true: "on", false: "off"}[f.Enabled])
	}
	return strings.Join(all, " ")
}

// last is the newest version of a flag.
func (a *app) last(key string) board.Version {
	a.t.Helper()
	page, _, err := world.flags.Versions(a.t.Context(), a.name, "production", key, 1, "")
	if err != nil || len(page) != 1 {
		a.t.Fatal(page, err)
	}
	return page[0]
}

func has(t *testing.T, d *deploy.Deployment, line string) int {
	t.Helper()
	i := slices.IndexFunc(d.Logs, func(l string) bool { return strings.Contains(l, line) })
	if i < 0 {
		t.Errorf("no %q in the timeline:\n%s", line, strings.Join(d.Logs, "\n"))
	}
	return i
}

// TestReleaseFlags: a release brings its flags with it, off; its rollback switches off those that it brought, and no
// others, before the code moves.
func TestReleaseFlags(t *testing.T) {
	a := newApp(t)
	one := a.deploy(a.commit("one", config("flags: [old]"))).wants(deploy.Success)
	has(t, one, "flags created, off: old")
	if v := a.last("old"); v.Deployment != one.ID || v.By != "slipway" || v.Action != board.Create {
		t.Errorf("old's version: %+v", v)
	}
	a.enable("old")
	two := a.deploy(a.commit("two", config("flags: [old, new]", `rollback=date +%s%N > "$SERVE/moved"; cp out/version "$SERVE/live"`))).wants(deploy.Success)
	has(t, two, "flags created, off: new")
	if got := a.flags(); got != "new=off old=on" {
		t.Error(got)
	}
	a.enable("new")

	back := a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	a.serves("one")
	if got := a.flags(); got != "new=off old=on" {
		t.Error(got)
	}
	if has(t, back, "flags switched off: new") > has(t, back, "rollback passed") {
		t.Errorf("timeline:\n%s", strings.Join(back.Logs, "\n"))
	}
	moved, err := strconv.ParseInt(a.read("moved"), 10, 64)
	v := a.last("new")
	if err != nil || !v.Time.Before(time.Unix(0, moved)) || v.Deployment != back.ID || v.Action != board.Disable {
		t.Errorf("the code moved at %v, %v; new's version: %+v", moved, err, v)
	}
}

// TestRollbackSwitchesOffBesideABrokenFlag: a flag that an older version stored broken keeps a rollback from switching off
// neither the release's other flags nor itself.
func TestRollbackSwitchesOffBesideABrokenFlag(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config(""))).wants(deploy.Success)
	a.deploy(a.commit("two", config("flags: [bad, good, other]"))).wants(deploy.Success)
	for _, key := range []string{"bad", "good", "other"} {
		a.enable(key)
	}
	_, err := world.flags.Change(t.Context(), a.name, "production", board.Origin{Time: time.Now(), By: "eve"}, func(d *board.Draft) error {
		d.State().Flags["bad"] = []byte(`{"rollout_percent":12.5,"bucketing":"ring"}`) // past the checks, as no writer can
		return d.Disable("other", board.Match{Any: true})
	})
	if err != nil {
		t.Fatal(err)
	}

	back := a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	has(t, back, "flags switched off: bad, good")
	if got := a.flags(); got != "bad=off good=off other=off" {
		t.Error(got)
	}
	if v := a.last("bad"); v.Action != board.Disable || v.Deployment != back.ID {
		t.Errorf("bad's version: %+v", v)
	}
}

// TestBadReleaseTakesItsFlagsDown: what a failed deployment named goes off with it; what the release before names stays.
func TestBadReleaseTakesItsFlagsDown(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config("flags: [steady]"))).wants(deploy.Success)
	a.enable("steady")
	_, err := world.flags.Introduce(t.Context(), a.name, "production", []string{"risky"}, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a.enable("risky")
	d := a.deploy(a.commit("bad", hasty("flags: [steady, risky]"))).wants(deploy.RolledBack)
	has(t, d, "flags switched off: risky")
	if got := a.flags(); got != "risky=off steady=on" {
		t.Error(got)
	}
	// The way back over a rollback: what was restored is the first release still, so steady stays on again.
	a.deploy(a.commit("two", config("flags: [steady, fresh]"))).wants(deploy.Success)
	a.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	a.enable("fresh")
	a.deploy(a.commit("bad again", hasty("flags: [steady, fresh]"))).wants(deploy.RolledBack)
	if got := a.flags(); got != "fresh=off risky=off steady=on" {
		t.Error(got)
	}
}

// TestKilledForApplications: what the pipeline and the API write is what applications are answered, by an evaluation key.
func TestKilledForApplications(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("one", config("flags: [new-cart]"))).wants(deploy.Success)
	key := board.KeyText([32]byte([]byte(strings.Repeat(randomText(), 4))))
	err := world.flags.CreateKey(t.Context(), &board.Key{ID: "key-" + strings.Repeat("a", 16), App: a.name, Environment: "production", Name: "shop", Hash: board.HashKey(key)})
	if err != nil {
		t.Fatal(err)
	}
	a.enable("new-cart")
	wants := func(status int, part string) {
		t.Helper()
		waitFor(t, fmt.Sprintf("%d %s", status, part), func() (int, bool) {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, world.out.FlagsURL+"/ofrep/v1/evaluate/flags/new-cart", strings.NewReader(`{"context":{"targetingKey":"eve"}}`))
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("Content-Type", "application/json")
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Body.Close()
			body, _ := io.ReadAll(w.Body)
			return 0, w.StatusCode == status && strings.Contains(string(body), part)
		})
	}
	wants(200, `"value":true`)
	if _, err := world.flags.SwitchOff(t.Context(), a.name, "production", []string{"new-cart"}, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	wants(200, `"DISABLED"`)
	if _, err := world.flags.RevokeKey(t.Context(), a.name, "production", "key-"+strings.Repeat("a", 16), "eve", time.Now()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	wants(401, "")
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("a revoked key opened for %v", took)
	}
}
