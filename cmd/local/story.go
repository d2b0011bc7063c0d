package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

const lineWidth = 110 // bytes of a quoted text

// wantsColour tells whether out is a terminal whose user hasn't asked for plain text (no-color.org).
func wantsColour(out *os.File, noColor string) bool {
	info, err := out.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && noColor == "" && os.Getenv("TERM") != "dumb"
}

func (p *program) colour(code, text string) string {
	if !p.paint {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *program) bold(text string) string  { return p.colour("1", text) }
func (p *program) dim(text string) string   { return p.colour("2", text) }
func (p *program) red(text string) string   { return p.colour("31", text) }
func (p *program) green(text string) string { return p.colour("32", text) }
func (p *program) cyan(text string) string  { return p.colour("36", text) }

func (p *program) title(text string) { p.say("%s", p.bold(text)) }

func (p *program) line(format string, args ...any) { p.say("     "+format, args...) }

func (p *program) fact(name, format string, args ...any) {
	p.say("  %s  %s", p.cyan(fmt.Sprintf("%-8s", name)), fmt.Sprintf(format, args...))
}

func (p *program) heading(number int, a act) {
	p.say("\n  %s  %s", p.cyan(fmt.Sprint(number)), p.bold(a.title))
	p.line("%s", a.story)
}

// stage shows one that has ended.
func (p *program) stage(s deploy.Stage) {
	mark := map[deploy.Outcome]string{deploy.Passed: p.green("✓"), deploy.StageFailed: p.red("✗"), deploy.Skipped: p.dim("-")}[s.Outcome]
	took := seconds(s.End.Sub(s.Start))
	p.line("%s %-14s %6s", mark, s.Name, took)
}

func (p *program) outcome(d *deploy.Deployment, took time.Duration) {
	status := strings.ReplaceAll(string(d.Status), "_", " ")
	if d.Status == deploy.Success {
		status = p.green(status)
	} else {
		status = p.red(status)
	}
	p.line("%s in %s", status, seconds(took))
	if d.Error != "" {
		first, _, _ := strings.Cut(d.Error, "\n")
		p.line("%s", p.dim(deploy.Cut(first, lineWidth)))
	}
}

func (p *program) answer(version string) {
	p.line("GET /  %s  the shop says it is %s", p.dim("→"), p.bold(version))
}

// block shows another program's output.
func (p *program) block(text []byte) {
	for line := range bytes.Lines(text) {
		p.say("  %s", bytes.TrimRight(line, "\n"))
	}
}

// seconds shows a duration as people say it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
