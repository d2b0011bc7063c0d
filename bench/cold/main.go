// Command cold measures cold starts: from the exec of a function's bootstrap until it asks the runtime API for its first
// event, which is Lambda's init phase. Each function runs beside a handler that does nothing, in turns.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-cd/slipway/bench/report"
)

func main() {
	functions := flag.String("functions", "../bin/functions", "folder of folders with a bootstrap each")
	empty := flag.String("empty", "../bin/bench/empty", "folder of the empty handler's bootstrap")
	runs := flag.Int("runs", 100, "starts of each")
	results := flag.String("results", "results", "folder for the result")
	flag.Parse()
	if err := run(*functions, *empty, *runs, *results); err != nil {
		fmt.Fprintln(os.Stderr, "cold:", err)
		os.Exit(1)
	}
}

func run(functions, empty string, runs int, results string) error {
	built, err := filepath.Glob(filepath.Join(functions, "*", bootstrap)) // beside the folders are bills of materials
	if err != nil {
		return err
	}
	bins := []*binary{{name: "empty handler", path: filepath.Join(empty, bootstrap)}}
	for _, each := range built {
		dir := filepath.Dir(each)
		if name := filepath.Base(dir); name != "shop" && name != "runner" { // the example app, and what CodeBuild runs
			bins = append(bins, &binary{name: name, path: filepath.Join(dir, bootstrap)})
		}
	}
	unpacked, err := os.MkdirTemp("", "slipway-cold-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unpacked)
	for _, b := range bins {
		if err := b.unpack(unpacked); err != nil {
			return err
		}
	}
	if err := measure(bins, runs); err != nil {
		return err
	}
	if err := invoke(context.Background(), bins, invocations); err != nil {
		return err
	}
	return report.Write(results, "cold", "Cold starts", table(bins),
		report.Textf("Start: the median of %d from exec to the first request for an event, in turns. CPU: user and system time until then. "+
			"First: the median of %d first invocations of a fresh function on the local cloud, which unpacks it and starts its process. "+
			"Sizes in 10^6 bytes. The bound is 1.3x.", runs, invocations))
}

const invocations = 12 // first ones, of each function

func table(bins []*binary) *report.Table {
	t := &report.Table{Head: []string{"function", "start ms", "ratio", "CPU ms", "ratio", "first ms", "ratio", "binary MB", "zip MB"}}
	base := bins[0]
	for _, b := range bins {
		t.Add(b.name, report.MS(report.Median(b.wall)), report.Ratio(report.Median(b.wall), report.Median(base.wall)),
			report.MS(report.Median(b.cpu)), report.Ratio(report.Median(b.cpu), report.Median(base.cpu)),
			report.MS(report.Median(b.first)), report.Ratio(report.Median(b.first), report.Median(base.first)), report.MB(b.bytes), report.MB(b.zipped))
	}
	return t
}
