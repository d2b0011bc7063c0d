package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// wait follows a deployment to its end, shows it, and gives the error of one that did not succeed.
func (p *program) wait(ctx context.Context, c *client, s scope, d *deploy.Deployment) error {
	v := &view{program: p, w: p.out, redraw: p.terminal && p.format != formatJSON}
	if p.format == formatJSON {
		v.w = p.err
	}
	fmt.Fprintf(v.w, "%s  %s\n", d.ID, subject(d))
	watch := watched{client: c, scope: s, id: d.ID}
	for {
		v.update(d)
		if d.Status.Ended() {
			break
		}
		if err := p.sleep(ctx); err != nil {
			return p.leave(v, d.ID)
		}
		next, err := watch.look(ctx)
		if ctx.Err() != nil {
			return p.leave(v, d.ID)
		}
		if err != nil {
			v.clear()
			return fmt.Errorf("%w\n%s goes on; see it with: slipway status %s", err, d.ID, d.ID)
		}
		d = next
	}
	v.end(d)
	if p.format == formatJSON {
		if err := p.json(d); err != nil {
			return err
		}
	}
	return ended(d)
}

// ended is the error of a deployment that ended otherwise than well.
func ended(d *deploy.Deployment) error {
	if d.Status == deploy.Success {
		return nil
	}
	return unsuccessful{d.Status}
}

// leave tells who stops waiting that the deployment doesn't stop.
func (p *program) leave(v *view, id string) error {
	v.clear()
	return errors.New("stopped waiting; the deployment goes on\n  see it:    slipway status " + id + "\n  cancel it: slipway cancel " + id)
}

func (p *program) sleep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(p.poll):
		return nil
	}
}

// view is a deployment's progress on the screen: a line for each stage that has ended, and on a terminal one for what
// runs, drawn anew each time.
type view struct {
	*program
	w      io.Writer
	redraw bool
	shown  int // stages
	queued bool
	built  bool
}

func (v *view) update(d *deploy.Deployment) {
	v.clear()
	for ; v.shown < len(d.Stages) && d.Stages[v.shown].End != nil; v.shown++ {
		fmt.Fprintln(v.w, v.stage(d.Stages[v.shown]))
	}
	if v.shown == len(d.Stages) {
		v.building(d)
		return
	}
	s := d.Stages[v.shown]
	if s.Name == "admit" && !v.queued && v.now().Sub(s.Start) > 3*time.Second {
		v.queued = true
		fmt.Fprintf(v.w, "  %s is busy with another deployment; this one has its turn after it\n", d.Environment)
	}
	if v.redraw {
		fmt.Fprint(v.w, v.stage(s))
	}
}

// building says once why nothing is heard for a while: a build tells of its stages when it has ended.
func (v *view) building(d *deploy.Deployment) {
	if v.built || d.Runner != deploy.RunnerCodeBuild || v.shown != 1 {
		return
	}
	v.built = true
	fmt.Fprintf(v.w, "  CodeBuild tests and builds it; slipway logs %s -f follows\n", d.ID)
}

func (v *view) clear() {
	if v.redraw {
		fmt.Fprintf(v.w, "%s[G%s[K", v.screen.mark, v.screen.mark) // to the line's begin, and erase it
	}
}

func (v *view) end(d *deploy.Deployment) {
	v.clear()
	fmt.Fprintf(v.w, "%s after %s%s\n", v.status(d.Status), v.since(d.StartTime, d.EndTime), explanation(d))
	for _, line := range v.outcome(d) {
		fmt.Fprintln(v.w, line)
	}
	if d.Status != deploy.Success {
		return
	}
	for _, line := range warnings(d) {
		fmt.Fprintln(v.w, v.paint(red, "warning: ")+line)
	}
}

// warnings returns what failed beside the release: hooks, which stop nothing, and whatever else the timeline warns of.
func warnings(d *deploy.Deployment) []string {
	var lines []string
	for _, line := range d.Logs {
		_, text, _ := strings.Cut(line, "] ")
		if warning, isWarning := strings.CutPrefix(text, "warning: "); isWarning {
			lines = append(lines, warning)
		} else if strings.HasPrefix(text, "hook ") && strings.Contains(text, ": failed, which stops nothing") {
			lines = append(lines, text)
		}
	}
	return lines
}
