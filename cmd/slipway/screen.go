package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The output's formats.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// color is a terminal's, by its number; those of cells have two digits, so that tabwriter, which counts them, stays in line.
type color int

const (
	bold   color = 1
	plain  color = 39
	red    color = 31
	green  color = 32
	yellow color = 33
	blue   color = 34
	gray   color = 90
)

var colors = map[deploy.Status]color{deploy.Pending: blue, deploy.Running: blue, deploy.Success: green, deploy.Failed: red,
	deploy.RolledBack: yellow, deploy.Aborted: gray}

// paint colours text on a terminal whose user has nothing against it.
func (p *program) paint(c color, text string) string {
	if p.screen == nil || p.env("NO_COLOR") != "" || p.env("TERM") == "dumb" {
		return text
	}
	return fmt.Sprintf("%s[%dm%s%s[0m", p.screen.mark, c, text, p.screen.mark)
}

func (p *program) status(s deploy.Status) string { return p.paint(colors[s], string(s)) }

// json writes v as it came from the API.
func (p *program) json(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes rows below a header; where nobody looks and no table was asked for, rows alone, with tabs between.
func (p *program) table(header []string, rows [][]string) error {
	if p.format != formatTable && !p.terminal {
		for _, row := range rows {
			if _, err := fmt.Fprintln(p.out, strings.Join(row, "\t")); err != nil {
				return err
			}
		}
		return nil
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to a buffer
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(p.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// instant is a time as people read it, in UTC as the timeline's lines are.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// span is a duration as people read it.
func span(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// since is how long something took that may not have ended.
func (p *program) since(start time.Time, end *time.Time) string {
	if end == nil {
		return span(max(0, p.now().Sub(start)))
	}
	return span(end.Sub(start))
}

// oneLine makes text fit a table's cell.
func oneLine(text string, n int) string {
	return deploy.Cut(strings.Join(strings.Fields(text), " "), n)
}

// heading names a deployment's sections.
func (p *program) heading(w io.Writer, text string) { fmt.Fprintf(w, "\n%s\n", p.paint(bold, text)) }
