package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func TestExplanation(t *testing.T) {
	const id = "deploy-20261123-090000000-aaaaaaaa"
	dirty := "the environment is dirty and stays locked; repair: " + deploy.RepairCommands(id)
	for name, row := range map[string]struct {
		status deploy.Status
		logged []string
		dirty  bool
		want   string
	}{
		"stays":        {deploy.Failed, []string{"ended: failed; rollback_enabled is false, so its change stays"}, false, "; rollback_enabled is false, so its change stays"},
		"back":         {deploy.RolledBack, []string{"ended: rolled_back; back to abc of x", "a later line"}, false, "; back to abc of x"},
		"nothing":      {deploy.Failed, []string{"ended: failed"}, false, ""},
		"dirty":        {deploy.Failed, []string{"ended: failed; " + dirty}, true, ""},
		"owes":         {deploy.Failed, []string{"ended: failed; the release before serves, but its rollback script did not succeed, so " + dirty}, true, "; the release before serves, but its rollback script did not succeed"},
		"repaired":     {deploy.Failed, []string{"ended: failed; the release before serves, but its rollback script did not succeed, so " + dirty, "repaired by y"}, false, ""},
		"given back":   {deploy.Failed, []string{"ended: failed; it changed nothing: the environment is still dirty since x; repair: z"}, false, "; it changed nothing: the environment is still dirty since x; repair: z"},
		"superseded":   {deploy.Aborted, []string{"ended: cancelled; superseded by y"}, false, ""},
		"undone later": {deploy.RolledBack, []string{"ended: success", "rolled back by y"}, false, ""},
		"success":      {deploy.Success, []string{"ended: success"}, false, ""},
		"runs":         {deploy.Running, nil, false, ""},
	} {
		d := &deploy.Deployment{ID: id, Status: row.status, Dirty: row.dirty}
		if name == "superseded" {
			d.SupersededBy = "y"
		}
		for _, line := range row.logged {
			d.Log(time.Unix(0, 0), "%s", line)
		}
		if got := explanation(d); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// TestTimelineCut cuts a long timeline only: a cut of few lines hides more than it saves.
func TestTimelineCut(t *testing.T) {
	for lines, want := range map[int]string{13: "", wholeLogs: "", wholeLogs + 1: "(9 earlier; -o json has them)"} {
		d := &deploy.Deployment{Status: deploy.Running}
		for n := range lines {
			d.Log(time.Unix(0, 0), "line %d", n)
		}
		var b bytes.Buffer
		p := &program{out: &b, now: time.Now}
		if err := p.show(d); err != nil {
			t.Fatal(err)
		}
		_, shown, _ := strings.Cut(b.String(), "Timeline\n")
		if first := strings.SplitN(shown, "\n", 2)[0]; want == "" && !strings.HasSuffix(first, "line 0") || want != "" && strings.TrimSpace(first) != want {
			t.Errorf("%d lines: the first is %q, want %q", lines, first, want)
		}
		if last := fmt.Sprintf("line %d\n", lines-1); !strings.HasSuffix(shown, last) {
			t.Errorf("%d lines: the last is missing:\n%s", lines, shown)
		}
	}
}

// TestWarningsOfSuccess: at the end of a deployment that succeeded stands what failed beside it.
func TestWarningsOfSuccess(t *testing.T) {
	logs := []string{"[2026-11-23T09:00:01.000Z] hook pre_deploy, function cache: done",
		"[2026-11-23T09:00:02.000Z] hook post_deploy, function pager: failed, which stops nothing: 503",
		"[2026-11-23T09:00:03.000Z] warning: post_deploy: exit status 1; the deployment goes on"}
	for status, want := range map[deploy.Status]int{deploy.Success: 2, deploy.RolledBack: 0} {
		var out bytes.Buffer
		v := &view{program: &program{out: &out, now: time.Now}, w: &out}
		v.end(&deploy.Deployment{Status: status, Logs: logs})
		if got := strings.Count(out.String(), "\nwarning: "); got != want {
			t.Errorf("%s: %d warnings, want %d:\n%s", status, got, want, out.String())
		}
		if want > 0 && !strings.Contains(out.String(), "\nwarning: hook post_deploy, function pager: failed, which stops nothing: 503\nwarning: post_deploy: exit status 1") {
			t.Errorf("it says\n%s", out.String())
		}
	}
}
