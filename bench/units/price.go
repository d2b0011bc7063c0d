package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/bench/report"
	"github.com/slipway-cd/slipway/bench/rig"
)

// Prices of us-east-1 in USD, from AWS's pages of November 2026.
const (
	perTransition = 0.025 / 1000 // Step Functions, Standard
	perWriteUnit  = 0.625 / 1e6  // DynamoDB on demand
	perReadUnit   = 0.125 / 1e6  // the same
	perInvocation = 0.20 / 1e6   // Lambda
	perGBSecond   = 0.0000133334 // Lambda, arm64
	mbPerGB       = 1024         // as Lambda bills
)

// sum is what the executions of all runs add up to.
type sum struct {
	transitions int
	took        map[string][]time.Duration // by function
}

func (s *sum) add(e *rig.Execution) {
	s.transitions += len(e.States)
	for _, state := range e.States {
		name := strings.ToLower(state.Name)
		s.took[name] = append(s.took[name], state.Took)
	}
}

func price(functions []*function, s *sum) *report.Table {
	var all function
	var invocations, gbSeconds float64
	for _, f := range functions {
		all.merge(f)
		if times := s.took[f.name]; len(times) > 0 {
			invocations++
			gbSeconds += report.Median(times).Seconds() * float64(f.memoryMB) / mbPerGB
		}
	}
	t := &report.Table{Head: []string{"one deployment", "amount", "USD"}}
	total := 0.0
	add := func(what string, amount, each float64) {
		total += amount * each
		t.Add(what, strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", amount), "0"), "."), fmt.Sprintf("%.7f", amount*each))
	}
	add("state transitions", float64(s.transitions)/runs, perTransition)
	add("write units", all.writeUnits/runs, perWriteUnit)
	add("read units", all.readUnits/runs, perReadUnit)
	add("Lambda invocations", invocations, perInvocation)
	add("Lambda GB-seconds", gbSeconds, perGBSecond)
	t.Add("together", "", fmt.Sprintf("%.7f", total))
	return t
}

// others words the calls of other services, as a mean of one deployment.
func (f *function) others() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(f.other)) {
		words = append(words, fmt.Sprintf("%s %s", mean(float64(f.other[name])), name))
	}
	return strings.Join(words, ", ")
}
