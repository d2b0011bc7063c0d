package pipeline_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// TestHealthStatuses: each release is checked by the statuses that it lists, and one that is restored by its own.
func TestHealthStatuses(t *testing.T) {
	a := newApp(t)
	a.deploy(a.commit("204-one", config("health_check_status: [200-299]"))).wants(deploy.Success)
	d := a.deploy(a.commit("301-two", hasty("health_check_status: [200]"))).wants(deploy.RolledBack)
	if !strings.Contains(d.Error, "status 301 redirects to /elsewhere; want 200") || a.read("live") != "204-one" {
		t.Errorf("%s is live; error %q", a.read("live"), d.Error)
	}
	a.deploy(a.commit("301-three", hasty("health_check_status: [200, 301]"))).wants(deploy.Success)
	if live := a.head("production").Live; live == nil || live.Health.Wanted() != "200, 301" {
		t.Errorf("live: %+v", live)
	}
}

// TestMisnamedConfig: the timeline names the file that was meant to be slipway.yaml.
func TestMisnamedConfig(t *testing.T) {
	newApp(t)
	for name, want := range map[string]string{"slipway.yml": "found slipway.yml; Slipway reads slipway.yaml: all defaults", "README.md": "the commit has no slipway.yaml; all defaults"} {
		a := makeApp(t)
		d := a.deploy(a.bundle(map[string]string{name: config(), "Makefile": "test:\n\tfalse\n"})).wants(deploy.Failed)
		if log := strings.Join(d.Logs, "\n"); !strings.Contains(log, want) {
			t.Errorf("%s: %s", name, log)
		}
	}
}
