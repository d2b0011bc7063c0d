// Command units counts what one deployment asks of DynamoDB and what AWS would bill for it. The functions run as they are,
// each with a meter between itself and the local cloud.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/bench/meter"
	"github.com/slipway-cd/slipway/bench/report"
	"github.com/slipway-cd/slipway/bench/rig"
)

const (
	warmUp = 2  // deployments that don't count: the first has no release before it
	runs   = 10 // deployments that do
)

func main() {
	root := flag.String("root", "..", "the repository")
	results := flag.String("results", "results", "folder for the result")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *root, *results); err != nil {
		fmt.Fprintln(os.Stderr, "units:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, results string) error {
	r, err := rig.New(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	functions, err := attach(ctx, r, root)
	if err != nil {
		return err
	}
	sum := &sum{took: map[string][]time.Duration{}}
	for n := range warmUp + runs {
		e, err := r.Deploy(ctx, rig.Scripts)
		if err != nil {
			return err
		}
		for _, f := range functions {
			calls, err := f.meter.Taken()
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if n >= warmUp {
				f.add(calls)
			}
		}
		if n >= warmUp {
			sum.add(e)
		}
	}
	return report.Write(results, "units", "What one deployment costs", units(functions), price(functions, sum), report.Textf(
		"Means of %d no-op deployments: scripts that do nothing, healthy at once, each a new commit. Reads and writes are DynamoDB's billed units "+
			"(indexes: the part of the writes that goes to them). Prices are us-east-1's, in USD. "+
			"Lambda's time is what the functions took here, on %s; S3, CloudWatch Logs and free tiers are left out.", runs, "a machine that isn't Lambda"))
}

func units(functions []*function) *report.Table {
	t := &report.Table{Head: []string{"function", "reads", "read units", "writes", "write units", "indexes", "ms in DynamoDB", "other calls"}}
	var all function
	row := func(name string, f *function) {
		t.Add(name, mean(f.reads), mean(f.readUnits), mean(f.writes), mean(f.writeUnits), mean(f.indexUnits),
			report.MS(f.took/runs), f.others())
	}
	for _, f := range functions {
		if f.reads+f.writes > 0 {
			row(f.name, f)
			all.merge(f)
		}
	}
	all.other = nil
	row("all", &all)
	return t
}

func mean(total float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", total/runs), ".0") }

// function is one of Slipway's, and what it asked for in all runs.
type function struct {
	name     string
	memoryMB int64
	meter    *meter.Meter

	reads, writes, readUnits, writeUnits, indexUnits float64
	took                                             time.Duration
	other                                            map[string]int
}

func (f *function) add(calls []meter.Call) {
	for _, c := range calls {
		switch {
		case c.Service != "dynamodb":
			f.other[c.Service+" "+c.Op]++
			continue
		case c.Reads > 0:
			f.reads++
		default:
			f.writes++
		}
		f.readUnits, f.writeUnits, f.indexUnits, f.took = f.readUnits+c.Reads, f.writeUnits+c.Writes, f.indexUnits+c.Indexes, f.took+c.Took
	}
}

func (f *function) merge(g *function) {
	f.reads, f.writes, f.readUnits, f.writeUnits = f.reads+g.reads, f.writes+g.writes, f.readUnits+g.readUnits, f.writeUnits+g.writeUnits
	f.indexUnits, f.took = f.indexUnits+g.indexUnits, f.took+g.took
}
