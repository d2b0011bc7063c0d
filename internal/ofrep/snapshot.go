package ofrep

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-cd/slipway/internal/flag"
)

// flagRule: the revision is asked for once a second at most, behind the answer. A function that was idle for longer than
// five seconds asks before the answer, so that a flag which was switched off in the meantime is off; but waits no longer
// than a caller would notice.
var flagRule = rule{every: time.Second, within: 5 * time.Second, patience: 250 * time.Millisecond, limit: 5 * time.Second}

// environment is what is kept in memory of one environment.
type environment struct {
	place
	server *Server
	fresh  fresh
	now    atomic.Pointer[snapshot] // nil until the first was read
	warned atomic.Int64             // Unix nanoseconds of the last metric

	counting sync.Mutex // of tallies and pending
	tallies  map[string]*tally
	pending  map[counted]int64
	hour     atomic.Int64 // the hour since 1970 that the tallies count in
}

// snapshot is one revision of an environment, compiled.
type snapshot struct {
	revision int64
	set      *flag.Set
	tallies  []*tally // in the order of set.Keys
	byKey    map[string]*tally
	problems []flag.Problem // what should never have been stored
	text     []byte         // as it is stored

	rendering sync.Mutex
	rendered  map[form]*document
}

func newEnvironment(s *Server, p place) *environment {
	e := &environment{place: p, server: s, tallies: map[string]*tally{}, pending: map[counted]int64{}}
	e.fresh.rule, e.fresh.now, e.fresh.look = flagRule, s.Now, e.look
	return e
}

// snapshot gives the environment's flags, as fresh as the table lets them be. The error is the table's, and only while
// nothing was ever read.
func (e *environment) snapshot(ctx context.Context, now int64) (*snapshot, error) {
	if err := e.fresh.ensure(ctx, now); err != nil {
		return nil, err
	}
	snap := e.now.Load()
	e.warn(snap, now)
	return snap, nil
}

// look asks for the revision, and reads the rest only where it moved. Any other one is news, even a smaller: somebody
// may have restored the table.
func (e *environment) look(ctx context.Context) error {
	known := e.now.Load()
	if known != nil {
		revision, err := e.server.Source.Revision(ctx, e.app, e.name)
		if err != nil {
			return e.failed(err)
		}
		if revision == known.revision {
			return nil
		}
	}
	text, revision, err := e.server.Source.Snapshot(ctx, e.app, e.name)
	if err != nil {
		return e.failed(err)
	}
	if known == nil || known.revision != revision {
		e.now.Store(e.compile(text, revision))
	}
	return nil
}

func (e *environment) failed(err error) error {
	e.server.Log.Error("flags can't be read; answers come from the last good snapshot", "app", e.app,
		"environment", e.name, "error", err)
	return err
}

// compile takes every flag that can be evaluated. The others answer PARSE_ERROR, alone.
func (e *environment) compile(text []byte, revision int64) *snapshot {
	set, problems := flag.CompileLenient(text)
	for i, p := range problems {
		if i == 10 {
			break
		}
		e.server.Log.Error("a stored flag can't be right", "app", e.app, "environment", e.name, "revision", revision,
			"path", p.Path, "problem", p.Message, "problems", len(problems))
	}
	snap := &snapshot{revision: revision, set: set, problems: problems, text: text, rendered: map[form]*document{}}
	keys := set.Keys()
	snap.tallies, snap.byKey = make([]*tally, len(keys)), make(map[string]*tally, len(keys))
	e.counting.Lock()
	defer e.counting.Unlock()
	for i, key := range keys {
		t, ok := e.tallies[key]
		if !ok {
			t = &tally{flag: key}
			e.tallies[key] = t
		}
		snap.tallies[i], snap.byKey[key] = t, t
	}
	return snap
}

// warn writes the metrics behind the alarms, once a minute.
func (e *environment) warn(snap *snapshot, now int64) {
	stale := e.fresh.age(now) > StaleAfter
	if !stale && len(snap.problems) == 0 {
		return
	}
	last := e.warned.Load()
	if time.Duration(now-last) < time.Minute || !e.warned.CompareAndSwap(last, now) {
		return
	}
	if stale {
		e.server.Metric(StaleMetric, 1)
	}
	if len(snap.problems) > 0 {
		e.server.Metric(PoisonedMetric, len(snap.problems))
	}
}
