package logs

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// queued is a line that waits.
type queued struct {
	types.InputLogEvent
	stands int // lines of output that it stands for; more than 1 for a gap
}

// size is what the service counts.
func (q queued) size() int { return len(*q.Message) + eventOverhead }

// stand adds up the lines of output that a batch stands for.
func stand(batch []queued) (lines int) {
	for _, q := range batch {
		lines += q.stands
	}
	return lines
}

func events(batch []queued) []types.InputLogEvent {
	events := make([]types.InputLogEvent, len(batch))
	for i, q := range batch {
		events[i] = q.InputLogEvent
	}
	return events
}

// queue is lines in their order.
type queue struct {
	lines []queued
	bytes int // as the service counts
}

func (q *queue) add(line queued) {
	q.lines = append(q.lines, line)
	q.bytes += line.size()
}

// keep drops the oldest lines until the queue is within bytes, and returns how many lines of output those were.
func (q *queue) keep(bytes int) (dropped int) {
	n := 0
	for ; q.bytes > bytes; n++ {
		q.bytes -= q.lines[n].size()
		dropped += q.lines[n].stands
	}
	q.lines = q.lines[n:]
	return dropped
}

// take removes what PutLogEvents takes at once, from the first.
func (q *queue) take() []queued {
	n, size := 0, 0
	for _, line := range q.lines {
		more := line.size()
		if n == maxEvents || size+more > maxBatch || *line.Timestamp-*q.lines[0].Timestamp >= maxSpan.Milliseconds() {
			break
		}
		n, size = n+1, size+more
	}
	batch := slices.Clone(q.lines[:n])
	q.lines = slices.Delete(q.lines, 0, n)
	q.bytes -= size
	return batch
}
