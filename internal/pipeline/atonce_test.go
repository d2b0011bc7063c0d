package pipeline_test

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// How many deployments TestAtOnce starts: bench/Makefile starts 200.
var atOnce = flag.Int("atonce.deployments", 20, "deployments of one environment that start at one moment")

// TestAtOnce starts many deployments of one environment at one moment. All end, each as success or superseded, and the newest is live.
func TestAtOnce(t *testing.T) {
	a := loneApp(t)
	shas := make([]string, *atOnce)
	for n := range shas {
		shas[n] = a.commit(fmt.Sprint(n), config("test=true"))
	}

	begin := time.Now()
	runs := make([]*run, len(shas))
	var wg sync.WaitGroup
	for n, sha := range shas {
		wg.Go(func() { runs[n] = a.deploy(sha) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d were started in %s", len(runs), time.Since(begin).Round(time.Millisecond))

	outcomes, newest := map[string]int{}, runs[0]
	for _, r := range runs {
		r.ended()
		d := r.record()
		switch {
		case d.Status == deploy.Success:
			outcomes["success"]++
		case d.Status == deploy.Aborted && d.SupersededBy != "":
			outcomes["superseded"]++
		default:
			outcomes[string(d.Status)]++
			t.Errorf("%s is %s: %s: %s", d.ID, d.Status, d.ErrorKind, d.Error)
		}
		if r.id > newest.id {
			newest = r
		}
	}
	t.Logf("all ended after %s: %v", time.Since(begin).Round(time.Millisecond), outcomes)

	d := newest.record()
	h := a.head("production")
	if h.Live == nil || h.Live.Deployment != d.ID || h.Holder != nil || h.Waiting != nil || h.Dirty {
		t.Errorf("the newest is %s; the head is %+v", d.ID, h)
	}
	version := -1
	for n, sha := range shas {
		if sha == d.CommitSHA {
			version = n
		}
	}
	a.serves(fmt.Sprint(version))
}
