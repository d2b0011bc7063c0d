package apitest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// act is one thing that happens to a running deployment.
type act func(d *deploy.Deployment, h *deploy.Head)

// Plan says how the next deployments that are started will go, one word each: success (as without a word), untested,
// unhealthy, dirty, superseded, stuck.
func (c *Cloud) Plan(outcomes ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = append(c.next, outcomes...)
}

// Start implements api.Machine: it lays out the deployment's course, which Step then goes along.
func (c *Cloud) Start(_ context.Context, id string) (string, error) {
	if c.StartErr != nil {
		return "", c.StartErr
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	outcome := "success"
	if len(c.next) > 0 {
		outcome, c.next = c.next[0], c.next[1:]
	}
	c.courses[id] = c.course(id, c.records[id].Action, outcome)
	return "arn:aws:states:us-east-1:000000000000:execution:slipway:" + id, nil
}

// Step lets a second pass and the next thing happen to a deployment, if there is one.
func (c *Cloud) Step(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.records[id]
	if !ok || d.Status.Ended() || len(c.courses[id]) == 0 {
		return
	}
	c.now = c.now.Add(time.Second)
	if d.CancelTime != nil {
		c.courses[id] = []act{c.end(deploy.Aborted, deploy.Cancelled, "cancelled")}
	}
	h := c.head(d.App, d.Environment)
	c.courses[id][0](&d, &h)
	c.courses[id] = c.courses[id][1:]
	d.Version++
	c.records[id], c.heads[d.App+"#"+d.Environment] = clone(d), clone(h)
}

// Cancel marks a deployment, for Step to see.
func (c *Cloud) Cancel(_ context.Context, id string) (*deploy.Deployment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.records[id]
	switch {
	case !ok:
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "deployment", Err: fmt.Errorf("there is no deployment %q", id)}
	case d.Status.Ended():
		return nil, deploy.Errorf(deploy.Conflict, "", "deployment %s has ended: %s", id, d.Status)
	}
	now := c.now
	d.CancelTime = &now
	d.Log(now, "cancel asked for")
	d.Version++
	c.records[id] = clone(d)
	return &d, nil
}

func (c *Cloud) course(id string, action deploy.Action, outcome string) []act {
	begun := []act{c.enter("prepare"), c.enter("test"), c.say(id, "ok  shop/cart", "ok  shop/till")}
	deployed := slices.Concat(begun, []act{c.enter("build"), c.say(id, "built app.zip"), c.enter("admit"), c.enter("deploy"),
		c.enter("shift"), c.enter("healthcheck")})
	undone := slices.Concat(deployed, []act{c.check(500),
		c.fail("healthcheck", deploy.HealthCheckFailed, "https://shop.test/health answered 500, wants 2xx"),
		c.enter("rollback"), c.enter("checkrollback")})
	switch {
	case outcome == "untested":
		return append(begun, c.fail("test", deploy.TestFailed, "make test: exit status 2"), c.end(deploy.Failed, "", ""))
	case outcome == "superseded":
		return append(begun, c.enter("admit"), func(d *deploy.Deployment, h *deploy.Head) {
			d.SupersededBy = "deploy-20261123-235959999-zzzzzzzz"
			c.end(deploy.Aborted, deploy.Superseded, "a newer deployment took its place")(d, h)
		})
	case outcome == "unhealthy":
		return append(undone, c.check(200), c.end(deploy.RolledBack, "", ""))
	case outcome == "dirty":
		return append(undone, c.check(502), c.soil)
	case outcome == "stuck":
		return begun
	case action == deploy.Rollback:
		return []act{c.enter("prepare"), c.enter("admit"), c.enter("rollback"), c.enter("checkrollback"), c.check(200), c.goLive}
	}
	return append(deployed, c.check(200), c.goLive)
}

// enter passes the running stage and begins another.
func (c *Cloud) enter(stage string) act {
	return func(d *deploy.Deployment, _ *deploy.Head) {
		d.Status = deploy.Running
		c.pass(d)
		d.Begin(stage, c.now)
	}
}

func (c *Cloud) pass(d *deploy.Deployment) {
	if n := len(d.Stages); n > 0 && d.Stages[n-1].End == nil {
		d.Finish(d.Stages[n-1].Name, deploy.Passed, c.now)
		d.Log(c.now, "%s passed", d.Stages[n-1].Name)
	}
}

func (c *Cloud) say(id string, lines ...string) act {
	return func(*deploy.Deployment, *deploy.Head) { c.print(id, lines...) }
}

func (c *Cloud) check(status int) act {
	return func(d *deploy.Deployment, _ *deploy.Head) {
		d.AddCheck(deploy.Check{Time: c.now, Status: status, LatencyMS: 12, Healthy: status == 200})
	}
}

func (c *Cloud) fail(stage string, kind deploy.Kind, text string) act {
	return func(d *deploy.Deployment, _ *deploy.Head) {
		d.Fail(kind, text)
		d.Finish(stage, deploy.StageFailed, c.now)
		d.Log(c.now, "%s failed: %s", stage, text)
	}
}

func (c *Cloud) end(status deploy.Status, kind deploy.Kind, text string) act {
	return func(d *deploy.Deployment, h *deploy.Head) {
		if kind != "" {
			d.Fail(kind, text)
		}
		c.pass(d)
		d.Status, d.EndTime = status, &c.now
		why := ""
		switch {
		case d.Dirty:
			why = "; the environment is dirty and stays locked; repair: " + d.Repair
		case status == deploy.RolledBack && h.Live != nil:
			why = fmt.Sprintf("; back to %s of %s", deploy.ShortCommit(h.Live.CommitSHA), h.Live.Deployment)
		case d.SupersededBy != "":
			why = "; superseded by " + d.SupersededBy
		}
		d.Log(c.now, "ended: %s%s", status, why)
	}
}

func (c *Cloud) soil(d *deploy.Deployment, h *deploy.Head) {
	c.fail("checkrollback", deploy.RollbackFailed, "")(d, h)
	d.Dirty, d.Repair, d.Previous = true, deploy.RepairCommands(d.ID), h.Live
	h.Dirty, h.Holder = true, &deploy.Turn{Deployment: d.ID, Action: d.Action, Token: "secret", Since: c.now, Expires: c.now.Add(deploy.Lease)}
	c.end(deploy.Failed, "", "")(d, h)
}

// goLive is the good end. A rollback takes away the success of what it undoes, and goes back to where that fell back to.
func (c *Cloud) goLive(d *deploy.Deployment, h *deploy.Head) {
	d.Release, d.Previous = &deploy.Release{App: d.App, CommitSHA: d.CommitSHA}, h.Live
	if d.Action == deploy.Deploy && h.Live != nil {
		d.Fallback = h.Live.Deployment
	}
	if undone, ok := c.records[d.RollbackFrom]; ok {
		undone.Status, undone.Dirty, undone.Repair = deploy.RolledBack, false, ""
		c.records[undone.ID] = undone
		d.Fallback = c.records[undone.Fallback].Fallback
		h.Dirty, h.Holder = false, nil
	}
	if d.Repairing != nil {
		repaired := c.records[d.Repairing.Of]
		repaired.Dirty, repaired.Repair = false, ""
		c.records[repaired.ID] = repaired
		h.Dirty, h.Holder = false, nil
	}
	h.GoLive(d.Live(), d.Previous)
	c.end(deploy.Success, "", "")(d, h)
}
