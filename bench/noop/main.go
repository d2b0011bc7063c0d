// Command noop measures a deployment that does as little as possible against the same state machine over functions that
// do nothing at all, on the same local cloud, in turns.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/bench/report"
	"github.com/slipway-cd/slipway/bench/rig"
)

const warmUp = 3 // executions of each that don't count: functions start, files come into memory

func main() {
	root := flag.String("root", "..", "the repository")
	idle := flag.String("idle", "../bin/bench/idle", "folder of the idle function's bootstrap")
	runs := flag.Int("runs", 30, "executions of each")
	results := flag.String("results", "results", "folder for the result")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *root, *idle, *runs, *results); err != nil {
		fmt.Fprintln(os.Stderr, "noop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, idle string, runs int, results string) error {
	r, err := rig.New(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	machine, err := twin(ctx, r, idle)
	if err != nil {
		return err
	}
	contest := []*contestant{
		{name: "idle", run: func() (*rig.Execution, error) { return r.Run(ctx, machine, struct{}{}) }},
		{name: "no scripts", run: func() (*rig.Execution, error) { return r.Deploy(ctx, rig.NoScripts) }},
		{name: "scripts", run: func() (*rig.Execution, error) { return r.Deploy(ctx, rig.Scripts) }},
	}
	for n := range warmUp + runs {
		for _, i := range rand.Perm(len(contest)) {
			if err := contest[i].once(n >= warmUp); err != nil {
				return err
			}
		}
	}
	t, err := table(contest)
	if err != nil {
		return err
	}
	return report.Write(results, "noop", "A no-op deployment", t, report.Textf(
		"Medians of %d executions of each in milliseconds, in turns, functions warm. Idle is the same definition over functions that do nothing but log a line, "+
			"and in Admit answer the task token. The first deployment has no scripts at all, the second has three that do nothing (`true`) and so fetches, "+
			"unpacks and logs three times; both are healthy at once. All start with the emulator's own sleep of 150 ms.", runs))
}

// contestant is one kind of execution, and those that were measured.
type contestant struct {
	name string
	run  func() (*rig.Execution, error)
	done []*rig.Execution
}

func (c *contestant) once(counts bool) error {
	e, err := c.run()
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if counts {
		c.done = append(c.done, e)
	}
	return nil
}

// table compares all with the first. They must have entered the same states, or it would compare different things.
func table(contest []*contestant) (*report.Table, error) {
	t := &report.Table{Head: []string{"state"}}
	for i, c := range contest {
		if t.Head = append(t.Head, c.name); i > 0 {
			t.Head = append(t.Head, "ratio")
		}
		for _, e := range c.done {
			if !slices.EqualFunc(e.States, contest[0].done[0].States, func(a, b rig.State) bool { return a.Name == b.Name }) {
				return nil, fmt.Errorf("%s took another way: %v", c.name, e.States)
			}
		}
	}
	for i, s := range contest[0].done[0].States {
		t.Add(row(contest, s.Name, func(e *rig.Execution) time.Duration { return e.States[i].Took })...)
	}
	t.Add(row(contest, "the whole execution", func(e *rig.Execution) time.Duration { return e.Took })...)
	return t, nil
}

func row(contest []*contestant, name string, of func(*rig.Execution) time.Duration) []string {
	cells, base := []string{name}, median(contest[0].done, of)
	for i, c := range contest {
		m := median(c.done, of)
		if cells = append(cells, report.MS(m)); i > 0 {
			cells = append(cells, report.Ratio(m, base))
		}
	}
	return cells
}

func median(all []*rig.Execution, of func(*rig.Execution) time.Duration) time.Duration {
	var took []time.Duration
	for _, e := range all {
		took = append(took, of(e))
	}
	return report.Median(took)
}
