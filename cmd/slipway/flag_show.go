package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/flag"
)

// onOff is a flag's state in a word.
func onOff(f *board.Flag) string {
	switch {
	case f.Broken != "":
		return "broken"
	case f.Archived:
		return "archived"
	case f.Enabled:
		return "enabled"
	}
	return "disabled"
}

func (p *program) paintFlag(f *board.Flag) string {
	return p.paint(map[string]color{"archived": gray, "enabled": green, "disabled": yellow, "broken": red}[onOff(f)], onOff(f))
}

// evaluated says when a flag was asked for last.
func evaluated(u *board.Usage) string {
	switch {
	case u == nil:
		return ""
	case u.LastEvaluated == nil:
		return "never"
	}
	return u.LastEvaluated.UTC().Format("2006-01-02 15h")
}

func staleness(u *board.Usage) string {
	if u == nil {
		return ""
	}
	return string(u.Stale)
}

// showFlag writes all that people want to know of a flag.
func (p *program) showFlag(f *board.Flag) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s, version %d\n", f.Key, p.paintFlag(f), f.Version)
	if f.Broken != "" {
		fmt.Fprintf(&b, "broken: %s\n  Where it can't be evaluated it answers PARSE_ERROR: the code's default counts.\n"+
			"  Replace it (slipway flag set %s -f FILE), bring an earlier version back\n"+
			"  (slipway flag restore %s VERSION), or switch it off (slipway flag disable %s).\n", f.Broken, f.Key, f.Key, f.Key)
	}
	fmt.Fprintf(&b, "created %s UTC by %s\n", instant(f.CreatedAt), f.CreatedBy)
	if f.Deployment != "" {
		fmt.Fprintf(&b, "introduced by %s\n", f.Deployment)
	}
	fmt.Fprintf(&b, "changed %s UTC by %s\n", instant(f.UpdatedAt), f.UpdatedBy)
	if len(f.Tags) > 0 {
		fmt.Fprintf(&b, "tags %s\n", strings.Join(f.Tags, ", "))
	}
	if f.Usage != nil {
		fmt.Fprintf(&b, "evaluated: %s", evaluated(f.Usage))
		if f.Usage.Stale != "" {
			fmt.Fprintf(&b, " (%s)", p.paint(yellow, string(f.Usage.Stale)))
		}
		fmt.Fprintln(&b)
	}
	p.heading(&b, "Definition")
	var pretty bytes.Buffer
	if json.Indent(&pretty, f.Definition, "", "  ") != nil {
		pretty.Write(f.Definition)
	}
	fmt.Fprintln(&b, pretty.String())
	_, err := b.WriteTo(p.out)
	return err
}

// shownDifferences is how many of them a version shows.
const shownDifferences = 8

// showVersions writes a flag's history.
func (p *program) showVersions(versions []board.Version) error {
	var b bytes.Buffer
	for _, v := range versions {
		fmt.Fprintf(&b, "%s  %s  %s UTC by %s", p.paint(bold, fmt.Sprintf("version %d", v.Version)), v.Action, instant(v.Time), v.By)
		if v.SourceIP != "" {
			fmt.Fprintf(&b, " from %s", v.SourceIP)
		}
		fmt.Fprintln(&b)
		if v.Deployment != "" {
			fmt.Fprintf(&b, "  for %s\n", v.Deployment)
		}
		if v.Why != "" {
			fmt.Fprintf(&b, "  why: %s\n", oneLine(v.Why, 200))
		}
		for i, d := range v.Difference {
			if i == shownDifferences {
				fmt.Fprintf(&b, "  … %d more; -o json has them\n", len(v.Difference)-i)
				break
			}
			fmt.Fprintln(&b, "  "+oneDifference(d))
		}
	}
	_, err := b.WriteTo(p.out)
	return err
}

func oneDifference(d board.Difference) string {
	path := d.Path
	if path == "" {
		path = "definition"
	}
	switch {
	case d.Before == nil && d.After == nil:
		return path
	case d.Before == nil:
		return fmt.Sprintf("+ %s: %s", path, oneLine(string(d.After), 100))
	case d.After == nil:
		return fmt.Sprintf("- %s: %s", path, oneLine(string(d.Before), 100))
	}
	return fmt.Sprintf("~ %s: %s -> %s", path, oneLine(string(d.Before), 60), oneLine(string(d.After), 60))
}

// showExplanation writes what somebody is answered, and why.
func (p *program) showExplanation(e *flag.Explanation) error {
	var b bytes.Buffer
	value := string(e.Value)
	if value == "" {
		value = "no value: the code's default"
	}
	fmt.Fprintf(&b, "%s: %s", e.Key, value)
	if e.Variant != "" {
		fmt.Fprintf(&b, " (%s)", e.Variant)
	}
	fmt.Fprintf(&b, ", %s", e.Reason)
	if e.ErrorCode != "" {
		fmt.Fprintf(&b, " %s: %s", e.ErrorCode, e.ErrorDetails)
	}
	fmt.Fprintln(&b)
	for _, step := range e.Steps {
		fmt.Fprintf(&b, "  %s\n", step)
	}
	_, err := b.WriteTo(p.out)
	return err
}
