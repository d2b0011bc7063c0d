package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// checked takes a deployment through the machine's loop of health checks, on a clock of its own: how many probes that took, how long,
// and the error; at most ten minutes.
func checked(t *testing.T, health deploy.Health, good func(probe int) bool) (probes int, took time.Duration, err error) {
	t.Helper()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	d := deploy.New(deploy.NewID(now, make([]byte, 5)), deploy.Deploy, "shop", "production", now)
	d.Status, d.Settings, d.Plan, d.Health = deploy.Running, &deploy.Settings{URL: "https://shop.test"}, deploy.AllAtOnce(), health
	d.Execution, d.Shifted = executionOf(d.ID), 1
	c := pipeline.HealthCheck{
		Desk: pipeline.Desk{Records: &memory{d: d}, Now: func() time.Time { return now }},
		Probe: func(context.Context, string, deploy.Health) deploy.Check {
			probes++
			return deploy.Check{Time: now, Healthy: good(probes)}
		},
		Sleep: func(_ context.Context, d time.Duration) { now = now.Add(d) },
	}
	for now.Sub(begin) < 10*time.Minute {
		st, err := c.Run(t.Context(), pipeline.Call{State: state(d, 0), Execution: d.Execution})
		if err != nil || st.Verdict == deploy.Done {
			return probes, now.Sub(begin), err
		}
		now = now.Add(time.Duration(st.WaitSeconds) * time.Second)
	}
	t.Errorf("no verdict after %d probes", probes)
	return probes, now.Sub(begin), nil
}

// TestMostSuccesses: the most good answers in a row that slipway.yaml may ask for are counted.
func TestMostSuccesses(t *testing.T) {
	health := deploy.Health{Path: "/health", TimeoutSeconds: 60, Successes: deploy.MaxHealthyCount}
	probes, took, err := checked(t, health, func(int) bool { return true })
	if err != nil || probes != deploy.MaxHealthyCount || took < 190*time.Second {
		t.Errorf("%d probes in %v, %v", probes, took, err)
	}
}

// TestNeverWell: a release that answers well now and then, and never often enough in a row, is out of time in the end.
func TestNeverWell(t *testing.T) {
	health := deploy.Health{Path: "/health", TimeoutSeconds: 60, Successes: 3}
	probes, took, err := checked(t, health, func(probe int) bool { return probe%3 != 0 })
	if deploy.KindOf(err) != deploy.HealthCheckFailed || took > 70*time.Second || !strings.Contains(err.Error(), "gave no 3 good answers in a row for 1m0s") {
		t.Errorf("%d probes in %v, %v", probes, took, err)
	}
	late := func(probe int) bool { return probe > 25 } // well after 50 seconds, and for long enough after 70
	if probes, took, err := checked(t, deploy.Health{Path: "/health", TimeoutSeconds: 60, Successes: 10}, late); err != nil || probes != 35 {
		t.Errorf("one that comes up late: %d probes in %v, %v", probes, took, err)
	}
}
