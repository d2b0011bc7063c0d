// Package logs keeps the output of deployments in CloudWatch Logs, one stream a deployment, and reads it back.
package logs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// MaxLines is the most that Read gives at once, GetLogEvents' own bound.
const MaxLines = 10_000

// emptyPages is how many pages without a line Read passes over. GetLogEvents may answer with some while lines follow.
const emptyPages = 5

// cursorPattern is the form of a forward token, loosely: what is in it is the service's business.
var cursorPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^f/[0-9A-Za-z/:=+_.-]{1,512}$`) })

// Line is one line of output.
type Line = deploy.Line

// Log is a log group.
type Log struct {
	client *cloudwatchlogs.Client
	group  string
}

// New makes a Log of a group that exists.
func New(client *cloudwatchlogs.Client, group string) *Log { return &Log{client: client, group: group} }

// Read gives at most limit lines of a stream (MaxLines where limit is 0) in the order in which they were written: from the first,
// or from where the call that gave cursor ended. next is always good to go on with; one equal to cursor says that nothing more is
// there yet. A stream that nobody has written to has no lines. The error is Invalid on field limit or cursor, or Internal.
func (l *Log) Read(ctx context.Context, stream, cursor string, limit int) (lines []Line, next string, err error) {
	if limit < 0 || limit > MaxLines {
		return nil, "", deploy.FieldErrorf("limit", "%d; want 1 to %d", limit, MaxLines)
	}
	if limit == 0 {
		limit = MaxLines
	}
	if cursor != "" && !cursorPattern().MatchString(cursor) {
		return nil, "", badCursor(cursor, errors.New("a forward token begins with f/"))
	}
	next = cursor
	for range emptyPages {
		at := next
		out, err := l.client.GetLogEvents(ctx, l.page(stream, at, limit))
		if err != nil {
			return nil, cursor, l.explain(err, stream, cursor)
		}
		lines, next = fromEvents(out.Events), aws.ToString(out.NextForwardToken)
		if len(lines) > 0 || next == at {
			break
		}
	}
	return lines, next, nil
}

func (l *Log) page(stream, cursor string, limit int) *cloudwatchlogs.GetLogEventsInput {
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &l.group, LogStreamName: &stream, StartFromHead: aws.Bool(true),
		Limit: aws.Int32(int32(limit))}
	if cursor != "" {
		in.NextToken = &cursor
	}
	return in
}

// explain gives err its Kind; nil where there is just nothing to read yet.
func (l *Log) explain(err error, stream, cursor string) error {
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) && !strings.Contains(gone.ErrorMessage(), "log group") {
		return nil
	}
	if bad := (*types.InvalidParameterException)(nil); errors.As(err, &bad) && cursor != "" {
		return badCursor(cursor, err)
	}
	return deploy.Errorf(deploy.Internal, "logs: read "+stream, "group %s: %w", l.group, err)
}

// badCursor keeps AWS's cause where the service was asked.
func badCursor(cursor string, cause error) error {
	return &deploy.Error{Kind: deploy.Invalid, Field: "cursor",
		Err: fmt.Errorf("%q is none of ours; want the next_cursor of an earlier answer: %w", deploy.Cut(cursor, 80), cause)}
}

func fromEvents(events []types.OutputLogEvent) []Line {
	lines := make([]Line, 0, len(events))
	for _, e := range events {
		lines = append(lines, Line{Time: time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC(), Text: loud(aws.ToString(e.Message))})
	}
	return lines
}
