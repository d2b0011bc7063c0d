package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
)

// run is the writer's one goroutine. It ends at Close.
func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for closing := false; !closing; {
		select {
		case <-tick.C:
		case <-w.full:
		case <-w.close:
			closing = true
		}
		for batch := w.take(); len(batch) > 0; batch = w.take() {
			w.deliver(batch)
		}
	}
}

// take removes the next batch from what waits, and moves the latest lines up once there is room for them.
func (w *Writer) take() []queued {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.pending.take()
	if w.pending.bytes+w.tail.bytes <= maxPending {
		w.join()
	}
	if len(batch) == 0 {
		batch = w.pending.take()
	}
	return batch
}

// join puts the latest lines behind those that wait, with a word in the gap.
func (w *Writer) join() {
	if w.dropped > 0 {
		w.pending.add(w.gap())
		w.dropped = 0
	}
	for _, line := range w.tail.lines {
		w.pending.add(line)
	}
	w.tail = queue{}
}

// gap is the line that stands for those that were dropped.
func (w *Writer) gap() queued {
	text := fmt.Sprintf("[slipway: %d lines dropped here; CloudWatch Logs was slower than the script]", w.dropped)
	at := w.last
	if len(w.tail.lines) > 0 {
		at = *w.tail.lines[0].Timestamp
	}
	return queued{InputLogEvent: types.InputLogEvent{Timestamp: &at, Message: &text}, stands: w.dropped}
}

// keepLastWords gives up what waits but for the latest lines, and the call that is under way, so that those have the rest of Close's
// time. Where nothing waits, they are in that call.
func (w *Writer) keepLastWords() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending.lines)+len(w.tail.lines) == 0 {
		return
	}
	w.shorten(nil)
	w.hurry()
}

// shorten keeps the latest lines of a batch and of what waits behind it.
func (w *Writer) shorten(batch []queued) {
	var all queue
	for _, lines := range [][]queued{batch, w.pending.lines, w.tail.lines} {
		for _, line := range lines {
			all.add(line)
		}
	}
	w.dropped += all.keep(lastWords)
	w.pending, w.tail = queue{}, all
}

// deliver tries until the service has the batch, refuses it for good, or the time for it is over. A batch whose answer was lost may
// arrive twice.
func (w *Writer) deliver(batch []queued) {
	ctx := w.early
	if ctx.Err() != nil {
		ctx = w.ctx
	}
	for {
		err := w.put(ctx, batch)
		if err == nil {
			return
		}
		if ctx.Err() != nil && w.ctx.Err() == nil { // given up, but its end may be among the last words
			w.mu.Lock()
			w.shorten(batch)
			w.mu.Unlock()
			return
		}
		if transient(err) && pause(ctx) {
			continue
		}
		w.lost += stand(batch)
		if w.cause == nil {
			w.cause = err
		}
		return
	}
}

// pause waits before the next try; false where the time is over. The end of the time for all but the last words is found by the next
// try.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(interval):
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *Writer) put(ctx context.Context, batch []queued) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &w.log.group, LogStreamName: &w.stream, LogEvents: events(batch)}
	out, err := w.log.client.PutLogEvents(ctx, in)
	// The stream lacks only at a deployment's first script.
	if lacks := (*types.ResourceNotFoundException)(nil); errors.As(err, &lacks) {
		if err := w.log.create(ctx, w.stream); err != nil {
			return err
		}
		out, err = w.log.client.PutLogEvents(ctx, in)
	}
	if err != nil {
		return err
	}
	if out.RejectedLogEventsInfo != nil {
		return errors.New("some of the lines are too old or too new for the service; is the clock right?")
	}
	return nil
}

func (l *Log) create(ctx context.Context, stream string) error {
	_, err := l.client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &l.group, LogStreamName: &stream})
	if there := (*types.ResourceAlreadyExistsException)(nil); errors.As(err, &there) {
		return nil
	}
	return err
}

// transient tells what may go better later: throttles and the service's own faults, and whatever kept a call from an answer.
func transient(err error) bool {
	var call *smithy.OperationError
	if !errors.As(err, &call) {
		return false
	}
	var api smithy.APIError
	return !errors.As(err, &api) || api.ErrorFault() == smithy.FaultServer ||
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err).Bool()
}
