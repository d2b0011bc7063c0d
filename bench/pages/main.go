// Command pages measures what a status and a page of the history cost with ten stored deployments and with a hundred
// thousand: the same, or something scans.
package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/slipway-cd/slipway/bench/meter"
	"github.com/slipway-cd/slipway/bench/report"
	"github.com/slipway-cd/slipway/bench/rig"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/store"
)

const (
	few   = 10
	page  = 5 // deployments a page, so that ten fill one in the middle
	tries = 3 // the emulator sorts all of an index for every page
)

func main() {
	root := flag.String("root", "..", "the repository")
	many := flag.Int("many", 100_000, "deployments in the full table")
	results := flag.String("results", "results", "folder for the result")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *root, *many, *results); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, many int, results string) error {
	r, err := rig.New(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	e, err := r.Deploy(ctx, rig.Scripts)
	if err != nil {
		return err
	}
	l := &loader{db: dynamodb.NewFromConfig(r.Cloud.Config()), table: r.Out.DeploymentsTable}
	if err := l.template(ctx, e.ID); err != nil {
		return err
	}
	if err := l.fill(ctx, few); err != nil {
		return err
	}
	before, err := read(ctx, r, e.ID, l.middle())
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := l.fill(ctx, many); err != nil {
		return err
	}
	loaded := time.Since(begin)
	after, err := read(ctx, r, e.ID, l.middle())
	if err != nil {
		return err
	}
	return report.Write(results, "pages", "Status and history", table(before, after, many), report.Textf(
		"Read units are what DynamoDB bills, by the sizes of what it read. Pages of %d, newest first; all deployments belong to one environment of "+
			"one app, the worst case."+
			" The local cloud took %d s to load them.", page, int(loaded.Seconds())))
}

// reading is one kind of question and what it cost.
type reading struct {
	name  string
	calls int
	units float64
}

// read asks what the API asks, through a meter.
func read(ctx context.Context, r *rig.Rig, id, middle string) ([]reading, error) {
	m, err := meter.New(r.Cloud.Endpoint())
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cfg := r.Cloud.Config()
	cfg.BaseEndpoint = aws.String(m.URL)
	s := store.New(dynamodb.NewFromConfig(cfg), r.Out.DeploymentsTable)
	list := func(q deploy.Query) func() error {
		return func() error {
			q.Limit = page
			found, _, err := s.List(ctx, q)
			if err == nil && len(found) == 0 {
				err = fmt.Errorf("an empty page of %+v", q)
			}
			return err
		}
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte("1." + middle)) // as the store makes them
	questions := []struct {
		name string
		ask  func() error
	}{
		{"status", func() error { _, err := s.Deployment(ctx, id); return err }},
		{"history of an environment", list(deploy.Query{App: rig.App, Environment: rig.Environment})},
		{"the same, a page in the middle", list(deploy.Query{App: rig.App, Environment: rig.Environment, Cursor: cursor})},
		{"history of an app", list(deploy.Query{App: rig.App})},
		{"history of everything", list(deploy.Query{})},
	}
	var readings []reading
	for _, q := range questions {
		one, err := measure(m, q.name, q.ask)
		if err != nil {
			return nil, err
		}
		readings = append(readings, one)
	}
	return readings, nil
}

func measure(m *meter.Meter, name string, ask func() error) (reading, error) {
	if _, err := m.Taken(); err != nil {
		return reading{}, err
	}
	for range tries {
		if err := ask(); err != nil {
			return reading{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	calls, err := m.Taken()
	units := 0.0
	for _, c := range calls {
		units += c.Reads
	}
	return reading{name: name, calls: len(calls) / tries, units: units / tries}, err
}

func table(before, after []reading, many int) *report.Table {
	t := &report.Table{Head: []string{"question", "calls", fmt.Sprintf("units of %d", few), fmt.Sprintf("units of %d", many), "ratio"}}
	for i, b := range before {
		a := after[i]
		t.Add(b.name, fmt.Sprint(a.calls), fmt.Sprint(b.units), fmt.Sprint(a.units), report.Ratio(a.units, b.units))
	}
	return t
}
