package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// TestScriptSlot lets runs claim, start, end and free in any order, die, and be given up after their time: no two have a script at work.
func TestScriptSlot(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		d := &deploy.Deployment{}
		var claimed, working []string // claimed has every run, in the order of its claim
		var history []string
		step := func(what, run string) { history = append(history, fmt.Sprintf("%s %s: %+v", what, run, d.Scripts)) }

		for range 30 {
			run := "run0"
			if len(claimed) > 0 {
				run = claimed[random.IntN(len(claimed))]
			}
			switch random.IntN(5) {
			case 0:
				run = fmt.Sprint("run", len(claimed))
				d.ClaimScripts(run)
				claimed = append(claimed, run)
				step("claims", run)
			case 1:
				if d.Scripts != nil && d.Scripts.Owner == run {
					d.ClaimScripts(run)
					step("claims again", run)
				}
			case 2:
				if d.MayRunScripts(run) && !slices.Contains(working, run) {
					working = append(working, run)
					step("starts", run)
				}
			case 3: // its script ends, and it says so
				working = slices.DeleteFunc(working, func(w string) bool { return w == run })
				d.FreeScripts(run)
				step("frees", run)
			case 4: // its script ends with it, and the owner waits for its time to be over
				if d.Scripts != nil && d.Scripts.Leaving != "" {
					gone := d.Scripts.Leaving
					working = slices.DeleteFunc(working, func(w string) bool { return w == gone })
					d.FreeScripts(gone)
					step("is given up", gone)
				}
			}
			if len(working) > 1 {
				t.Fatalf("seed %d: %v are at work: %q", seed, working, history)
			}
		}
	}
}
