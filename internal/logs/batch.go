package logs

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// take removes the next batch from what waits. Now that there is room, it says what had none.
func (w *Writer) take() []types.InputLogEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := fits(w.pending)
	batch := slices.Clone(w.pending[:n])
	w.pending = slices.Delete(w.pending, 0, n)
	w.bytes -= size
	if w.dropped > 0 {
		w.accept(fmt.Sprintf("[slipway: %d lines dropped here; CloudWatch Logs was slower than the script]", w.dropped))
		w.dropped = 0
	}
	return batch
}

// fits tells how many of the events, from the first, PutLogEvents takes at once, and their size as it counts.
func fits(events []types.InputLogEvent) (n, size int) {
	for _, e := range events {
		more := len(*e.Message) + eventOverhead
		if n == maxEvents || size+more > maxBatch || *e.Timestamp-*events[0].Timestamp >= maxSpan.Milliseconds() {
			break
		}
		n, size = n+1, size+more
	}
	return n, size
}

// deliver tries until the service has the batch, refuses it for good, or Close's time is over. A batch whose answer was lost may
// arrive twice.
func (w *Writer) deliver(batch []types.InputLogEvent) {
	for {
		err := w.put(batch)
		if err == nil {
			return
		}
		if transient(err) && w.pause() {
			continue
		}
		w.lost += len(batch)
		if w.cause == nil {
			w.cause = err
		}
		return
	}
}

func (w *Writer) pause() bool {
	select {
	case <-time.After(interval):
		return true
	case <-w.ctx.Done():
		return false
	}
}

func (w *Writer) put(batch []types.InputLogEvent) error {
	ctx, cancel := context.WithTimeout(w.ctx, callTime)
	defer cancel()
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &w.log.group, LogStreamName: &w.stream, LogEvents: batch}
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
