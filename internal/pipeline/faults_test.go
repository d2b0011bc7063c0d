package pipeline_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// How many deployments TestFaults makes at each share of failing requests: 60 with -faults.deployments=60.
var faultyDeployments = flag.Int("faults.deployments", 8, "deployments for each share of failing requests")

// TestFaults has a share of all requests fail that the functions send: errors, throttles, lost requests and lost answers. Every deployment
// succeeds all the same, script's and Lambda's, and no environment is left dirty or locked.
func TestFaults(t *testing.T) {
	localtest.Needs(t, localtest.ServiceFaults)
	loneApp(t)
	for _, share := range []float64{0.1, 0.25} {
		t.Run(fmt.Sprintf("%.0f %%", 100*share), func(t *testing.T) {
			const side = 4 // apps at a time, every other one with a Lambda function for its target
			deployments := make([][]*run, side)
			apps := make([]*app, side)
			commits := make([][]string, side)
			lambdas := make([]*lambdaApp, side)
			for i := range apps {
				apps[i] = makeApp(t)
				if i%2 == 1 {
					lambdas[i] = &lambdaApp{app: apps[i], function: apps[i].name}
					lambdas[i].create()
				}
				for n := i; n < *faultyDeployments; n += side {
					version := fmt.Sprint("v", n)
					if i%2 == 1 {
						commits[i] = append(commits[i], lambdas[i].version(version))
					} else {
						commits[i] = append(commits[i], apps[i].commit(version, config()))
					}
				}
			}

			world.faults.Counts()
			world.faults.Fail(share)
			t.Cleanup(func() { world.faults.Fail(0) })
			begin := time.Now()
			var wg sync.WaitGroup
			for i, a := range apps {
				wg.Go(func() {
					for _, sha := range commits[i] {
						r := a.deploy(sha)
						deployments[i] = append(deployments[i], r)
						r.ended()
					}
				})
			}
			wg.Wait()
			world.faults.Fail(0)

			t.Logf("%d deployments in %s; requests:", *faultyDeployments, time.Since(begin).Round(time.Second))
			counts := world.faults.Counts()
			for _, what := range slices.Sorted(maps.Keys(counts)) {
				t.Logf("%6d %s", counts[what], what)
			}
			for i, a := range apps {
				for _, r := range deployments[i] {
					if d := r.wants(deploy.Success); d.Dirty {
						t.Errorf("%s is dirty", d.ID)
					}
				}
				if h := a.head("production"); h.Dirty || h.Holder != nil || h.Live == nil || h.Live.CommitSHA != commits[i][len(commits[i])-1] {
					t.Errorf("%s: the head is %+v", a.name, h)
				}
				if i%2 == 1 {
					lambdas[i].answers(fmt.Sprint("v", lastOf(i, side)))
				} else {
					a.serves(fmt.Sprint("v", lastOf(i, side)))
				}
			}
		})
	}
}

// lastOf is the number of the last deployment of an app.
func lastOf(i, side int) int { return i + (*faultyDeployments-1-i)/side*side }
