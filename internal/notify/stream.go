// Package notify tells of deployments: each change of a status on Slipway's bus, and from there in the channels of the app.
package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Record is one write to the deployments table, as DynamoDB's stream tells it.
type Record struct {
	Name   string `json:"eventName"`
	Change struct {
		Time     float64 `json:"ApproximateCreationDateTime"` // seconds since 1970
		Sequence string  `json:"SequenceNumber"`
		Old      image   `json:"OldImage"`
		New      image   `json:"NewImage"`
	} `json:"dynamodb"`
}

// image is an item in DynamoDB's own JSON; lists, of which a change tells nothing, are passed over.
type image map[string]struct {
	S    *string `json:"S"`
	N    *string `json:"N"`
	BOOL *bool   `json:"BOOL"`
	M    image   `json:"M"`
}

func (i image) text(name string) string {
	if s := i[name].S; s != nil {
		return *s
	}
	return ""
}

// kind is that of the items which are deployments (internal/store).
const kind = "deployment"

// ChangeOf gives the change of status that a record tells of, nil where it tells of none. A deployment's record that can't be read
// is an error: a change must not be lost.
func ChangeOf(r Record) (*deploy.Change, error) {
	item, old := r.Change.New, r.Change.Old
	if item.text("kind") != kind || item.text("status") == old.text("status") && old != nil {
		return nil, nil
	}
	c := &deploy.Change{Version: deploy.ChangeVersion, Deployment: item.text("id"), App: item.text("app"), Environment: item.text("environment"),
		Action: deploy.Action(item.text("action")), CommitSHA: item.text("commit_sha"), Branch: item.text("branch"),
		PreviousStatus: deploy.Status(old.text("status")), Status: deploy.Status(item.text("status")),
		Error: item.text("error"), ErrorKind: deploy.Kind(item.text("error_kind")), RollbackFrom: item.text("rollback_from"), SupersededBy: item.text("superseded_by")}
	if !deploy.ValidID(c.Deployment) || !deploy.ValidName(c.App) || !deploy.ValidName(c.Environment) || !c.Status.Valid() {
		return nil, unread(r, "no deployment's id, app, environment or status: %q, %q, %q, %q", c.Deployment, c.App, c.Environment, c.Status)
	}
	if c.PreviousStatus != "" && !c.PreviousStatus.Valid() || c.Action != deploy.Deploy && c.Action != deploy.Rollback {
		return nil, unread(r, "status %q before, action %q", c.PreviousStatus, c.Action)
	}
	if b := item["dirty"].BOOL; b != nil {
		c.Dirty = *b
	}
	c.Repairs = item.text("repairs")
	if repairing := item["repairing"].M; repairing != nil {
		c.Repairs = cmp.Or(c.Repairs, repairing.text("of"))
		c.RequestedBy, c.Why = repairing.text("by"), repairing.text("why")
	}
	return c, times(r, c)
}

// times fills in what orders the changes.
func times(r Record, c *deploy.Change) (err error) {
	n := r.Change.New["version"].N
	if n == nil {
		return unread(r, "no version")
	}
	if c.Sequence, err = strconv.ParseInt(*n, 10, 64); err != nil || c.Sequence < 1 {
		return unread(r, "version %q", *n)
	}
	if c.StartTime, err = time.Parse(time.RFC3339Nano, r.Change.New.text("start_time")); err != nil {
		return unread(r, "start_time: %v", err)
	}
	if text := r.Change.New.text("end_time"); text != "" {
		end, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return unread(r, "end_time: %v", err)
		}
		c.EndTime = &end
	}
	if at := r.Change.Time; at < 0 || at > math.MaxUint32 {
		return unread(r, "time %v", at)
	}
	c.Time = time.Unix(int64(r.Change.Time), 0).UTC()
	return nil
}

func unread(r Record, format string, args ...any) error {
	return deploy.Errorf(deploy.Internal, "stream record "+deploy.Cut(r.Change.Sequence, 40), format, args...)
}

// Bus is where the changes are told.
type Bus interface {
	Put(ctx context.Context, detailType string, detail []byte) error
}

// tell puts the changes of records on the bus, one after the other. It ends at the first that fails: the stream gives the records
// again, so that a change may be told twice, but never after a later one of its deployment alone.
func tell(ctx context.Context, bus Bus, records []Record) error {
	for _, r := range records {
		c, err := ChangeOf(r)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		detail, err := json.Marshal(c)
		if err != nil {
			return deploy.Errorf(deploy.Internal, "event of "+c.Deployment, "%w", err)
		}
		if err := bus.Put(ctx, deploy.EventStatus, detail); err != nil {
			return err
		}
	}
	return nil
}
