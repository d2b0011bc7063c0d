package flags_test

import (
	stdflag "flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

var table = stdflag.String("table", "", "write the table of peers to this file")

const rounds = 5

// TestTable measures all engines in turn, round after round, and keeps each one's best: what else the machine does then
// hits all alike.
func TestTable(t *testing.T) {
	if *table == "" {
		t.Skip("skipped: no -table")
	}
	best := map[string]testing.BenchmarkResult{}
	loaded := make([]func(string) bool, len(peers))
	for i, p := range peers {
		loaded[i] = p.load(t)
	}
	for range rounds {
		for _, key := range cases {
			for i, p := range peers {
				r := measure(func() { loaded[i](key) })
				if b, ok := best[p.name+key]; !ok || perCall(r) < perCall(b) {
					best[p.name+key] = r
				}
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| ns (allocations) | static | suffix rule | 50/50 split | 20 rules | one of 10,000 |\n|---|---|---|---|---|---|\n")
	for _, p := range peers {
		fmt.Fprintf(&b, "| %s |", p.name)
		for _, key := range cases {
			r := best[p.name+key]
			fmt.Fprintf(&b, " %.0f (%d) |", perCall(r), r.AllocsPerOp())
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%s, %d cores, %s; best of %d rounds, engines in turn. flagd has 100 flags beside the cases', the others 10,000.\n",
		runtime.Version(), runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly), rounds)
	if err := os.WriteFile(*table, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	for _, key := range cases {
		ours := perCall(best["Slipway"+key])
		for _, p := range peers[1:] {
			if theirs := perCall(best[p.name+key]); ours > theirs/2 {
				t.Errorf("%s: %.0f ns, and %s has %.0f; want under half", key, ours, p.name, theirs)
			}
		}
	}
}

func perCall(r testing.BenchmarkResult) float64 { return float64(r.T.Nanoseconds()) / float64(r.N) }

// measure runs f for about 30 ms; testing.Benchmark would take a second each.
func measure(f func()) testing.BenchmarkResult {
	n := 1
	for {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		for range n {
			f()
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if took > 30*time.Millisecond {
			return testing.BenchmarkResult{N: n, T: took, MemAllocs: after.Mallocs - before.Mallocs, MemBytes: after.TotalAlloc - before.TotalAlloc}
		}
		n *= 4
	}
}
