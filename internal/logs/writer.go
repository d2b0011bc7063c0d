package logs

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// PutLogEvents' bounds on a batch (its API reference).
const (
	maxEvents     = 10_000
	maxBatch      = 1_048_576 // bytes
	eventOverhead = 26        // bytes that each event counts beside its text
	maxSpan       = 24 * time.Hour
	// MaxText is where a line is cut, in bytes. The service takes 1 MB an event; it took 256 KB for years, and emulators still do.
	MaxText = 256<<10 - eventOverhead
)

const (
	interval   = time.Second      // at most between a line and its way to the service
	callTime   = 10 * time.Second // for one batch, the SDK's retries included
	closeTime  = 5 * time.Second  // for all that is left at Close
	hurryTime  = closeTime / 4    // of it, for what is not the last words
	maxPending = 3 << 20          // bytes that wait while the service is slow, besides the batch on its way
	maxTail    = 1 << 20          // bytes of the latest lines that wait behind those
	lastWords  = 256 << 10        // bytes of the latest lines that Close sends in any case
)

// Writer takes the output of one deployment. Lines go to the service in batches, from one goroutine, at least once a second.
// Write never waits for the service and never fails for it. What doesn't fit into memory meanwhile is dropped from the middle: the
// oldest lines that wait stay, so do the latest, since the last ones say why a script failed; a line in the gap says how many are
// missing. Close must be called.
type Writer struct {
	log    *Log
	stream string
	now    func() time.Time

	ctx    context.Context // of all calls; outlives the caller's, since what a cancelled script said matters most
	cancel context.CancelFunc
	early  context.Context // of the calls before Close has to hurry
	hurry  context.CancelFunc
	full   chan struct{} // a whole batch waits
	close  chan struct{}
	closed sync.Once
	done   chan struct{}
	lost   int   // lines that the service didn't take; this and the next are the goroutine's until done
	cause  error // of the first loss

	mu      sync.Mutex
	line    []byte // not yet ended, at most MaxText and a bit
	pending queue
	tail    queue // the latest lines, behind pending and the gap, where pending is full
	dropped int   // lines that are missing in the gap
	last    int64 // Unix milliseconds of the latest event
	ended   bool
}

// Writer opens a stream, which the first line makes where it doesn't exist. now gives the lines' times; times that go back are
// held, since the service wants them in order.
func (l *Log) Writer(ctx context.Context, stream string, now func() time.Time) *Writer {
	w := &Writer{log: l, stream: stream, now: now,
		full: make(chan struct{}, 1), close: make(chan struct{}), done: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.early, w.hurry = context.WithCancel(w.ctx)
	go w.run()
	return w
}

// Write implements io.Writer. Each line is one event. The only error is fs.ErrClosed.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, fs.ErrClosed
	}
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		w.line = append(w.line, part[:min(len(part), MaxText+1-len(w.line))]...)
		if rest = after; ended {
			w.endLine()
		}
	}
	if w.pending.bytes >= maxBatch {
		select {
		case w.full <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// Close sends what is left, for at most 5 s, and ends the goroutine. Where the service is slow, the last words go first: after a quarter
// of that time all but them is dropped. The error tells how many lines were lost to the service's errors, and the first of those.
// Closing again does nothing and gives the same error.
func (w *Writer) Close() error {
	w.closed.Do(func() {
		w.mu.Lock()
		w.ended = true
		if len(w.line) > 0 {
			w.endLine()
		}
		w.mu.Unlock()
		late, last := time.AfterFunc(hurryTime, w.keepLastWords), time.AfterFunc(closeTime, w.cancel)
		defer late.Stop()
		defer last.Stop()
		close(w.close)
		<-w.done
		w.cancel()
	})
	if w.cause != nil {
		return deploy.Errorf(deploy.Internal, "logs: write "+w.stream, "%d lines lost: %w", w.lost, w.cause)
	}
	return nil
}

// endLine takes the line in.
func (w *Writer) endLine() {
	text := strings.ToValidUTF8(string(bytes.TrimSuffix(w.line, []byte("\r"))), "\uFFFD")
	w.line = w.line[:0]
	if text == "" {
		text = " " // the service takes no empty event
	}
	text = deploy.Cut(quiet(text), MaxText)

	w.last = max(w.last, w.now().UnixMilli())
	line := queued{InputLogEvent: types.InputLogEvent{Timestamp: aws.Int64(w.last), Message: &text}, stands: 1}
	if len(w.tail.lines) == 0 && w.pending.bytes+line.size() <= maxPending {
		w.pending.add(line)
		return
	}

	w.tail.add(line)
	w.dropped += w.tail.keep(maxTail)
}
