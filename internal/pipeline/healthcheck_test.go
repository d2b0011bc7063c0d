package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// TestMostSuccesses: the most good answers in a row that slipway.yaml may ask for are counted, and the machine's loop ends.
func TestMostSuccesses(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := deploy.New(deploy.NewID(now, make([]byte, 5)), deploy.Deploy, "shop", "production", now)
	d.Status, d.Settings, d.Plan = deploy.Running, &deploy.Settings{URL: "https://shop.test"}, deploy.AllAtOnce()
	d.Health = deploy.Health{Path: "/health", TimeoutSeconds: 60, Successes: deploy.MaxHealthyCount}
	probes := 0
	c := pipeline.HealthCheck{
		Desk: pipeline.Desk{Records: &memory{d: d}, Now: func() time.Time { return now }},
		Probe: func(context.Context, string) deploy.Check {
			probes++
			return deploy.Check{Time: now, Status: 200, Healthy: true}
		},
		Sleep: func(_ context.Context, d time.Duration) { now = now.Add(d) },
	}
	for range 20 {
		st, err := c.Run(t.Context(), pipeline.Call{State: state(d, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if st.Verdict == deploy.Done {
			if probes != deploy.MaxHealthyCount {
				t.Errorf("healthy after %d good answers, want %d", probes, deploy.MaxHealthyCount)
			}
			return
		}
		now = now.Add(time.Duration(st.WaitSeconds) * time.Second)
	}
	t.Errorf("no verdict after %d good answers", probes)
}
