// Package report makes the benchmarks' tables: medians, ratios, and a file a benchmark in results/.
package report

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Median gives the middle of what was measured, the upper one of two; 0 of nothing. A noisy machine moves it least.
func Median[T int | int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Ratio words a/b as in "1.25x".
func Ratio[T int | int64 | float64 | time.Duration](a, b T) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", float64(a)/float64(b))
}

// MS words a duration in milliseconds with one decimal.
func MS(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

// MB words a size in megabytes of 10^6 bytes.
func MB(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/1e6) }

// Table is a markdown table. Its first column is text, the others are numbers.
type Table struct {
	Head []string
	Rows [][]string
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// String implements fmt.Stringer: columns padded so that the source reads as the page does.
func (t *Table) String() string {
	width := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var text strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				text.WriteString("| " + cell + pad + " |")
				continue
			}
			text.WriteString(" " + pad + cell + " |")
		}
		text.WriteByte('\n')
	}
	line(t.Head)
	rule := make([]string, len(width))
	for i, w := range width {
		rule[i] = strings.Repeat("-", w)
		if i > 0 {
			rule[i] = strings.Repeat("-", max(w-1, 1)) + ":"
		}
	}
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	return text.String()
}

// Write prints a benchmark's result and keeps it as dir/name.md, below the date and what it ran on.
func Write(dir, name, title string, body ...fmt.Stringer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n\n%s, %s, %s/%s, %d cores.\n", title, time.Now().UTC().Format(time.DateOnly), runtime.Version(),
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, part := range body {
		fmt.Fprintf(&text, "\n%s\n", strings.TrimSpace(part.String()))
	}
	fmt.Println(text.String())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".md"), []byte(text.String()), 0o644)
}

// Text is a paragraph of a report.
type Text string

// Textf makes a paragraph.
func Textf(format string, args ...any) Text { return Text(fmt.Sprintf(format, args...)) }

// String implements fmt.Stringer.
func (t Text) String() string { return string(t) }
