package ofrep

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Evaluations are counted in memory and written behind an answer: soon where they fit into one transaction, else once a
// minute. What a function that crashes hasn't written is lost, which is at most the last minute in which it was asked; one
// that Lambda shuts down in order writes first (Flush).
const (
	soon       = 10 * time.Second
	later      = time.Minute
	batch      = 50      // counts in one transaction
	maxPending = 100_000 // counts that wait while the table refuses them; the next ones are dropped and logged
	writeLimit = 5 * time.Second
)

// tally counts one flag's evaluations of the hour.
type tally struct {
	flag  string
	cells atomic.Pointer[[]*cell] // few; copied on write
	mu    sync.Mutex              // of writing cells
}

type cell struct {
	variant string // "" where the code's default was used
	n       atomic.Int64
}

// add counts one evaluation, without a lock for a variant that was seen before.
func (t *tally) add(variant string) {
	if c := t.find(variant); c != nil {
		c.n.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(variant)
	if c == nil {
		c = &cell{variant: variant}
		var cells []*cell
		if known := t.cells.Load(); known != nil {
			cells = slices.Clone(*known)
		}
		cells = append(cells, c)
		t.cells.Store(&cells)
	}
	c.n.Add(1)
}

func (t *tally) find(variant string) *cell {
	cells := t.cells.Load()
	if cells == nil {
		return nil
	}
	for _, c := range *cells {
		if c.variant == variant {
			return c
		}
	}
	return nil
}

// count counts one evaluation of the flag that is probably at i.
func (snap *snapshot) count(key string, i int, variant string) {
	if i < len(snap.tallies) && snap.tallies[i].flag == key {
		snap.tallies[i].add(variant)
	} else if t := snap.byKey[key]; t != nil {
		t.add(variant)
	}
}

// counted is what one number is kept for.
type counted struct {
	flag, variant string
	hour          int64
}

// counter decides when counts are written.
type counter struct {
	due     atomic.Int64 // Unix nanoseconds
	writing sync.Mutex   // one writer at a time
}

const hourNanos = int64(time.Hour)

// turn closes the books of the hour before, when the first request of another comes.
func (e *environment) turn(now int64) {
	hour := now / hourNanos
	if e.hour.Load() == hour {
		return
	}
	e.counting.Lock()
	defer e.counting.Unlock()
	e.drain()
	e.hour.Store(hour)
}

// drain moves the tallies into pending, under the lock.
func (e *environment) drain() {
	hour, dropped := e.hour.Load(), int64(0)
	for _, t := range e.tallies {
		cells := t.cells.Load()
		if cells == nil {
			continue
		}
		for _, c := range *cells {
			n := c.n.Swap(0)
			if n == 0 {
				continue
			}
			at := counted{t.flag, c.variant, hour}
			if _, known := e.pending[at]; !known && len(e.pending) >= maxPending {
				dropped += n
				continue
			}
			e.pending[at] += n
		}
	}
	if dropped > 0 {
		e.server.Log.Error("counts of evaluations are lost: too many wait to be written", "app", e.app, "environment", e.name,
			"evaluations", dropped)
	}
}

// take empties the books for writing.
func (e *environment) take() []deploy.Evaluations {
	e.counting.Lock()
	defer e.counting.Unlock()
	e.drain()
	counts := make([]deploy.Evaluations, 0, len(e.pending))
	for at, n := range e.pending {
		counts = append(counts, deploy.Evaluations{Flag: at.flag, Variant: at.variant, Hour: time.Unix(at.hour*3600, 0).UTC(), N: n})
	}
	clear(e.pending)
	slices.SortFunc(counts, func(a, b deploy.Evaluations) int {
		return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.Variant, b.Variant))
	})
	return counts
}

// giveBack is for what could not be written.
func (e *environment) giveBack(counts []deploy.Evaluations) {
	e.counting.Lock()
	defer e.counting.Unlock()
	for _, c := range counts {
		e.pending[counted{c.Flag, c.Variant, c.Hour.Unix() / 3600}] += c.N
	}
}

// book writes the counts behind the answer where it's time to.
func (s *Server) book(now int64) {
	due := s.counter.due.Load()
	if now < due || !s.counter.due.CompareAndSwap(due, now+int64(soon)) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
		defer cancel()
		if s.Flush(ctx) > batch {
			s.counter.due.Store(now + int64(later))
		}
	}()
}

// refused tells whether the table said no, so that nothing was written. No answer at all may be a write whose answer was
// lost: those counts are given up, since a count that is too small does less harm than one that is too large.
func refused(err error) bool {
	var answer interface{ ErrorCode() string } // an AWS error's
	return errors.As(err, &answer) && answer.ErrorCode() != "InternalServerError"
}

// Flush writes all counts, and tells how many there were. What the table refuses is kept for the next time.
func (s *Server) Flush(ctx context.Context) int {
	s.counter.writing.Lock()
	defer s.counter.writing.Unlock()
	total := 0
	for _, e := range s.everyEnvironment() {
		counts := e.take()
		total += len(counts)
		for len(counts) > 0 {
			n := min(batch, len(counts))
			if err := s.Ledger.AddCounts(ctx, e.app, e.name, counts[:n]); err != nil {
				if !refused(err) { // the first batch may be there
					counts = counts[n:]
				}
				s.Log.Error("counts of evaluations can't be written; they wait", "app", e.app, "environment", e.name,
					"counts", len(counts), "error", err)
				e.giveBack(counts)
				break
			}
			counts = counts[n:]
		}
	}
	return total
}
