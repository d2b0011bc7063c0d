package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// HealthCheck probes an environment and gives a verdict, forward and on the way back.
type HealthCheck struct {
	Desk
	Probe func(ctx context.Context, url string, release deploy.Health) deploy.Check
	Sleep func(ctx context.Context, d time.Duration) // nil sleeps for real
}

// The rhythm of a health check.
const (
	probeEvery  = 2 * time.Second  // between attempts
	probeAtOnce = 50 * time.Second // of attempts in one call; longer waits are Bake's
	bakeEvery   = 30 * time.Second // between looks while a healthy step bakes
)

// Run probes until it knows. An environment is healthy after health_check_successes good answers in a row, and
// unhealthy, an error, once it wasn't for health_check_timeout.
func (c *HealthCheck) Run(ctx context.Context, call Call) (*State, error) {
	st, d, err := c.open(ctx, call)
	if err != nil {
		return nil, err
	}
	way := d.Stage("rollback")
	st.Back = st.Back || call.Back || way != nil // a Rollback that crashed could not say so
	if st.Back && (way == nil || way.Open()) && !st.Again {
		st.Again, st.Verdict = true, deploy.Again
		return st, nil
	}
	if st.Back && (!undone(d) || d.Declared()) {
		return c.verdict(st, d), nil
	}
	name := checkName(st)
	if done := d.Stage(name); done != nil && done.End != nil && (st.Back || d.StepsDone > st.Step) {
		return c.verdict(st, d), earlier(done, d)
	}
	if !st.Back && st.Step >= d.Shifted {
		return nil, deploy.Errorf(deploy.Invalid, "state", "step %d has no traffic yet; %d steps have", st.Step, d.Shifted)
	}
	if err := c.stop(st, d); err != nil {
		return nil, err
	}
	return c.probe(ctx, st, d, name)
}

// undone reports whether there is a restored release to look at: one that Slipway knows to have been healthy.
func undone(d *deploy.Deployment) bool {
	if d.Action == deploy.Rollback {
		return d.Undone
	}
	to := wentTo(d)
	return d.Undone && to != nil && to.Deployment != ""
}

// wentTo is what serves after a failed deployment's way back: what did before, or what somebody else put there meanwhile.
func wentTo(d *deploy.Deployment) *deploy.Live {
	if d.Found != nil {
		return d.Found
	}
	return d.Previous
}

func checkName(st *State) string {
	if st.Back {
		return "checkrollback"
	}
	return "healthcheck"
}

func (c *HealthCheck) stop(st *State, d *deploy.Deployment) error {
	if st.Back {
		return nil
	}
	return cancelled(d)
}

func (c *HealthCheck) probe(ctx context.Context, st *State, d *deploy.Deployment, name string) (*State, error) {
	health, timeout := rule(st, d)
	url, begin := strings.TrimSuffix(d.Settings.URL, "/")+health.Path, c.Now()
	for {
		start := c.Now()
		check := c.Probe(ctx, url, health)
		var good int
		var since time.Time
		err := c.update(ctx, st, d, func(d *deploy.Deployment) error {
			if !d.Stage(name).Open() {
				d.Begin(name, start)
			}
			d.AddCheck(check)
			if good, since = streak(d, d.Stage(name).Start, health.Successes); good >= health.Successes && c.baked(st, d, name) <= 0 {
				c.pass(st, d, name)
			}
			return c.stop(st, d)
		})
		if err != nil {
			return nil, err
		}
		switch {
		case !d.Stage(name).Open():
			return c.verdict(st, d), nil
		case good >= health.Successes:
			return c.hold(st, min(c.baked(st, d, name), bakeEvery)), nil
		case good == 0 && c.Now().Add(probeEvery).Sub(since) > timeout:
			return nil, c.unhealthy(ctx, st, d, name, fmt.Sprintf("%s gave no %s for %s", url, enough(health.Successes), timeout))
		case c.Now().Sub(begin) > probeAtOnce:
			return c.hold(st, probeEvery), nil
		}
		c.sleep(ctx)
		if ctx.Err() != nil {
			return c.hold(st, probeEvery), nil
		}
	}
}

func (c *HealthCheck) sleep(ctx context.Context) {
	if c.Sleep != nil {
		c.Sleep(ctx, probeEvery)
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(probeEvery):
	}
}

// streak counts the good answers in a row at the end, and tells since when the environment is not healthy: the last good answer
// of enough in a row, or the stage's start. One now and then gives no more time.
func streak(d *deploy.Deployment, start time.Time, enough int) (good int, since time.Time) {
	since = start
	for _, check := range d.Checks {
		if check.Time.Before(start) {
			continue
		}
		if !check.Healthy {
			good = 0
			continue
		}
		if good++; good >= enough {
			since = check.Time
		}
	}
	return good, since
}

// enough says in words what makes a release healthy.
func enough(successes int) string {
	if successes == 1 {
		return "good answer"
	}
	return fmt.Sprintf("%d good answers in a row", successes)
}

// rule is how the release that should serve now wants to be asked: the deployment's own, or the one it went back to.
func rule(st *State, d *deploy.Deployment) (h deploy.Health, timeout time.Duration) {
	if h = d.Health; st.Back && d.Action == deploy.Deploy {
		h = wentTo(d).Health
	}
	return h, time.Duration(h.TimeoutSeconds) * time.Second
}

func bake(st *State, d *deploy.Deployment) time.Duration {
	if st.Back || st.Step >= len(d.Plan) {
		return 0
	}
	return time.Duration(d.Plan[st.Step].BakeSeconds) * time.Second
}

func (c *HealthCheck) hold(st *State, wait time.Duration) *State {
	st.Verdict, st.WaitSeconds = deploy.Hold, seconds(wait)
	return st
}

// baked tells how long the step has still to stay healthy.
func (c *HealthCheck) baked(st *State, d *deploy.Deployment, name string) time.Duration {
	return d.Stage(name).Start.Add(bake(st, d)).Sub(c.Now())
}

func (c *HealthCheck) pass(st *State, d *deploy.Deployment, name string) {
	if !st.Back {
		d.StepsDone = st.Step + 1
	}
	d.Healthy = st.Back || d.StepsDone == len(d.Plan)
	last := d.Checks[len(d.Checks)-1]
	d.Finish(name, deploy.Passed, c.Now())
	d.Log(c.Now(), "%s passed: %d in %d ms", name, last.Status, last.LatencyMS)
}

// verdict words what a finished check means for the machine.
func (c *HealthCheck) verdict(st *State, d *deploy.Deployment) *State {
	switch {
	case st.Back && (d.Action == deploy.Deploy || !undone(d) || d.OwesScript):
		st.Verdict = deploy.Undone
	case st.Back || d.StepsDone == len(d.Plan):
		st.Verdict = deploy.Done
	default:
		st.Verdict, st.Step = deploy.Advance, d.StepsDone
	}
	return st
}

func (c *HealthCheck) unhealthy(ctx context.Context, st *State, d *deploy.Deployment, name, what string) error {
	last := d.Checks[len(d.Checks)-1]
	why := last.Error
	if why == "" {
		why = fmt.Sprintf("status %d", last.Status)
	}
	kind := deploy.HealthCheckFailed
	if st.Back {
		kind = deploy.RollbackFailed
	}
	err := deploy.Errorf(kind, name, "%s; the last: %s", what, why)
	return c.finish(ctx, st, d, ended{name: name, attempt: d.Stage(name).Attempt, err: err})
}
