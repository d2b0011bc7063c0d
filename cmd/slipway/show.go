package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// How much of a record status shows.
const (
	shownChecks = 5
	shownLogs   = 12 // of a timeline longer than wholeLogs
	wholeLogs   = 20 // a timeline up to this long is shown whole
)

// show writes all that people want to know of a deployment.
func (p *program) show(d *deploy.Deployment) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s%s\n", d.ID, p.status(d.Status), explanation(d))
	fmt.Fprintf(&b, "%s\n", subject(d))
	fmt.Fprintf(&b, "began %s UTC, %s %s\n", instant(d.StartTime), map[bool]string{true: "for", false: "took"}[d.EndTime == nil], p.since(d.StartTime, d.EndTime))
	if d.Execution != "" {
		fmt.Fprintf(&b, "execution %s\n", d.Execution)
	}
	for _, line := range p.outcome(d) {
		fmt.Fprintln(&b, line)
	}
	if len(d.Stages) > 0 {
		p.heading(&b, "Stages")
		for _, s := range d.Stages {
			fmt.Fprintln(&b, p.stage(s))
		}
	}
	if len(d.Checks) > 0 {
		p.heading(&b, "Health checks")
		checks(&b, d.Checks)
	}
	if len(d.Logs) > 0 {
		p.heading(&b, "Timeline")
		from := 0
		if len(d.Logs) > wholeLogs {
			from = len(d.Logs) - shownLogs
			fmt.Fprintf(&b, "  (%d earlier; -o json has them)\n", from)
		}
		for _, line := range d.Logs[from:] {
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(line, "\n", "\n    "))
		}
	}
	_, err := b.WriteTo(p.out)
	return err
}

// subject says what a deployment is, without how it went.
func subject(d *deploy.Deployment) string {
	what := "deploy"
	if d.Action == deploy.Rollback {
		what = "roll back"
		if d.RollbackFrom != "" {
			what += " " + d.RollbackFrom
		}
	}
	text := fmt.Sprintf("%s %s: %s", d.App, d.Environment, what)
	if d.CommitSHA != "" && d.Action == deploy.Rollback {
		text += " to"
	}
	if d.CommitSHA != "" {
		text += " commit " + deploy.ShortCommit(d.CommitSHA)
	}
	if d.Branch != "" {
		text += " (" + d.Branch + ")"
	}
	if d.Force {
		text += ", tests skipped"
	}
	if d.Rebuild {
		text += ", built anew"
	}
	return text
}

// explanation returns what the end of the timeline says of what serves after a deployment that did not succeed, with "; " before it.
// It is "" where outcome says the same, or a repair has made it untrue.
func explanation(d *deploy.Deployment) string {
	if !d.Status.Ended() || d.Status == deploy.Success {
		return ""
	}
	for _, line := range slices.Backward(d.Logs) {
		_, end, isEnd := strings.Cut(line, "] ended: ")
		if !isEnd {
			continue
		}
		text, isThis := strings.CutPrefix(end, string(d.Status)+"; ") // a success that was rolled back later has no such line
		if !isThis || text == "superseded by "+d.SupersededBy {
			return ""
		}
		if left, _, isDirty := strings.Cut(text, "the environment is dirty and stays locked"); isDirty {
			if left = strings.TrimSuffix(left, ", so "); left == "" || !d.Dirty {
				return ""
			}
			text = left
		}
		return "; " + text
	}
	return ""
}

// outcome says what went wrong and what to do about it.
func (p *program) outcome(d *deploy.Deployment) []string {
	var lines []string
	if d.Error != "" {
		lines = append(lines, p.paint(red, "error: ")+d.Error)
	}
	if d.SupersededBy != "" {
		lines = append(lines, "superseded by "+d.SupersededBy)
	}
	if d.CancelTime != nil && !d.Status.Ended() {
		lines = append(lines, "cancel was asked for at "+instant(*d.CancelTime)+" UTC")
	}
	if r := d.Repairing; r != nil && r.Of != "" {
		lines = append(lines, "repair of "+r.Of+", "+r.String())
	}
	if d.Dirty {
		lines = append(lines, p.paint(red, "dirty: ")+d.Environment+" stays locked until it is repaired", "repair: "+d.Repair)
	}
	return lines
}

// stage is a stage's line, here and while somebody waits.
func (p *program) stage(s deploy.Stage) string {
	word, c := string(s.Outcome), green
	switch {
	case s.End == nil:
		word, c = "running", blue
	case s.Outcome == deploy.StageFailed:
		c = red
	case s.Outcome == deploy.Skipped:
		c = gray
	}
	line := fmt.Sprintf("  %-14s %s  %s", s.Name, p.paint(c, fmt.Sprintf("%-8s", word)), p.since(s.Start, s.End))
	if s.Attempt > 1 {
		line += fmt.Sprintf("  (attempt %d)", s.Attempt)
	}
	return line
}

func checks(w io.Writer, all []deploy.Check) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range all[max(0, len(all)-shownChecks):] {
		word := "unhealthy"
		if c.Healthy {
			word = "healthy"
		}
		answer := fmt.Sprint(c.Status)
		if c.Status == 0 {
			answer = "-"
		}
		line := fmt.Sprintf("  %s\t%s\t%s\t%d ms", c.Time.UTC().Format("15:04:05"), word, answer, c.LatencyMS)
		if c.Error != "" {
			line += "\t" + oneLine(c.Error, 120)
		}
		fmt.Fprintln(tab, line)
	}
	_ = tab.Flush() // w is a buffer
}
