package ofrep

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// rule says how fresh something that is kept in memory has to be.
type rule struct {
	every    time.Duration // younger, it is not looked at
	within   time.Duration // younger, it is used while somebody looks; older, the request waits for the look
	patience time.Duration // how long a request waits before it takes what is there
	limit    time.Duration // how long one look may take
}

// fresh watches over one thing that is kept in memory. A Lambda function stands still between requests, its goroutines
// in the middle of what they do: a look that began before a pause of an hour says nothing about now. So the age counts
// from the beginning of the last look that went well, by the wall clock, and what is too old is looked at before the answer.
type fresh struct {
	rule
	now  func() time.Time
	look func(ctx context.Context) error

	seen atomic.Int64 // Unix nanoseconds when the last good look began; 0: never

	mu      sync.Mutex
	begun   int64         // when the last look began, good or not
	flight  chan struct{} // closed at the end of the look that is on its way; nil where none is
	failing bool          // the last look failed, or nobody could wait for its end
	err     error         // of the last look that ended
}

// age is how long ago it was right, by the server's clock.
func (f *fresh) age(now int64) time.Duration { return time.Duration(now - f.seen.Load()) }

// ensure starts a look where it's time for one, and waits for it where that can't be avoided. The error is the last
// look's where there never was a good one.
func (f *fresh) ensure(ctx context.Context, now int64) error {
	if f.seen.Load() != 0 && f.age(now) < f.every {
		return nil
	}
	return f.refresh(ctx, now)
}

func (f *fresh) refresh(ctx context.Context, now int64) error {
	if f.seen.Load() != 0 && f.age(now) < f.within {
		f.start(now)
		return nil
	}
	// What never was read is waited for as long as it takes; the look has its own limit.
	patience := f.patience
	if f.seen.Load() == 0 {
		patience = 2 * f.limit
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		flight := f.start(f.now().UnixNano())
		if flight == nil { // too early after one that failed
			return f.failure()
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return f.failureOr(context.Cause(ctx))
		case <-timer.C:
			f.giveUp()
			return f.failureOr(context.DeadlineExceeded)
		}
		// One that began before a pause may have ended now, and be as old as the pause is long.
		if f.seen.Load() != 0 && f.age(f.now().UnixNano()) < f.within {
			return nil
		}
		if err := f.failure(); err != nil || f.isFailing() {
			return err
		}
	}
}

// start begins a look unless one is on its way, and gives what is closed at its end. It gives nil where nothing is to be
// waited for: after a failure there is one look in every, and requests go on with what they have.
func (f *fresh) start(now int64) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flight != nil {
		if f.failing && f.seen.Load() != 0 {
			return nil
		}
		return f.flight
	}
	if f.failing && time.Duration(now-f.begun) < f.every {
		return nil
	}
	done := make(chan struct{})
	f.flight, f.begun = done, now
	go f.run(now, done)
	if f.failing && f.seen.Load() != 0 {
		return nil
	}
	return done
}

func (f *fresh) run(begun int64, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), f.limit)
	defer cancel()
	err := f.look(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.seen.Store(begun)
	}
	f.flight, f.failing, f.err = nil, err != nil, err
	close(done)
}

func (f *fresh) giveUp() {
	f.mu.Lock()
	f.failing = true
	f.mu.Unlock()
}

func (f *fresh) isFailing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failing
}

// failure is why there is nothing to go on with; nil where there is something.
func (f *fresh) failure() error {
	if f.seen.Load() != 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return context.DeadlineExceeded // nobody has seen the end of a first look
	}
	return f.err
}

func (f *fresh) failureOr(other error) error {
	if f.seen.Load() != 0 {
		return nil
	}
	return other
}
