package report_test

import (
	"testing"
	"time"

	"github.com/slipway-cd/slipway/bench/report"
)

func TestMedian(t *testing.T) {
	if got := report.Median([]time.Duration{9, 1, 5}); got != 5 {
		t.Errorf("of three: %d", got)
	}
	if got := report.Median([]int{4, 1, 3, 2}); got != 3 {
		t.Errorf("of four: %d", got)
	}
	if got := report.Median([]float64(nil)); got != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestTable(t *testing.T) {
	table := report.Table{Head: []string{"what", "ms"}}
	table.Add("a start", report.MS(2500*time.Microsecond))
	want := "| what    |  ms |\n| ------- | --: |\n| a start | 2.5 |\n"
	if got := table.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
