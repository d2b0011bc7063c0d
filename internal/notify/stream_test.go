package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/notify"
)

// written is a record of the stream, with lists and maps as the store writes them; old is "" for a new item.
func written(kind, old, status, version string) string {
	item := func(status string) string {
		return fmt.Sprintf(`{"pk":{"S":"DEPLOYMENT#%[1]s"},"sk":{"S":"RECORD"},"kind":{"S":%[2]q},"id":{"S":%[1]q},"app":{"S":"shop"},"environment":{"S":"production"},
			"action":{"S":"deploy"},"status":{"S":%[3]q},"version":{"N":%[4]q},"start_time":{"S":"2026-11-25T09:00:00.123Z"},"end_time":{"NULL":true},"commit_sha":{"S":%[5]q},
			"dirty":{"BOOL":true},"error":{"S":"it said \"no\""},"stages":{"L":[{"M":{"name":{"S":"test"}}}]},"metadata":{"M":{}},"artifacts":{"M":{"a":{"S":"b"}}}}`, older, kind, status, version, commit)
	}
	before := ""
	if old != "" {
		before = `"OldImage":` + item(old) + `,`
	}
	return `{"eventName":"MODIFY","dynamodb":{"ApproximateCreationDateTime":1.7959e9,"SequenceNumber":"1",` + before + `"NewImage":` + item(status) + `}}`
}

func record(t testing.TB, text string) notify.Record {
	t.Helper()
	var r notify.Record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestChangeOf(t *testing.T) {
	got, err := notify.ChangeOf(record(t, written("deployment", "running", "failed", "7")))
	want := deploy.Change{Version: 1, Deployment: older, App: "shop", Environment: "production", Action: deploy.Deploy, CommitSHA: commit, PreviousStatus: deploy.Running,
		Status: deploy.Failed, Sequence: 7, Time: time.Unix(1_795_900_000, 0).UTC(), StartTime: time.Date(2026, 11, 25, 9, 0, 0, 123e6, time.UTC), Error: `it said "no"`, Dirty: true}
	if err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	repair := strings.ReplaceAll(written("deployment", "running", "success", "8"), `"metadata":`,
		`"repairs":{"S":"deploy-1"},"repairing":{"M":{"of":{"S":"deploy-1"},"by":{"S":"arn:eve"},"why":{"S":"the network is back"},"skip_scripts":{"BOOL":true}}},"metadata":`)
	if got, err := notify.ChangeOf(record(t, repair)); err != nil || got.Repairs != "deploy-1" || got.RequestedBy != "arn:eve" || got.Why != "the network is back" {
		t.Errorf("a repair: %+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"no change":    written("deployment", "running", "running", "7"),
		"a head":       written("head", "running", "success", "7"),
		"taken away":   `{"eventName":"REMOVE","dynamodb":{"OldImage":{"kind":{"S":"deployment"},"status":{"S":"failed"}}}}`,
		"nothing":      `{}`,
		"another item": `{"dynamodb":{"NewImage":{"kind":{"N":"1"}}}}`,
	} {
		if got, err := notify.ChangeOf(record(t, text)); got != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := notify.ChangeOf(record(t, written("deployment", "", "", "1"))); err == nil {
		t.Errorf("a new one without a status: %+v", got)
	}
	good := written("deployment", "running", "failed", "7")
	for _, cut := range [][2]string{{`"S":"` + older, `"S":"other`}, {`"S":"failed"`, `"S":"fine"`}, {`"S":"running"`, `"S":"walking"`}, {`"S":"shop"`, `"N":"1"`}, {`"S":"production"`, `"S":""`},
		{`"N":"7"`, `"N":"x"`}, {`"N":"7"`, `"S":"7"`}, {`"S":"2026-`, `"S":"26-`}, {`{"NULL":true}`, `{"S":"soon"}`}, {`1.7959e9`, `-1`}, {`"S":"deploy"`, `"S":"sing"`}} {
		if got, err := notify.ChangeOf(record(t, strings.ReplaceAll(good, cut[0], cut[1]))); err == nil || got == nil && !strings.HasPrefix(err.Error(), "stream record 1: ") {
			t.Errorf("%v: %+v, %v", cut, got, err)
		}
	}
}

// bus fails at what it is told to, and notes the rest.
type bus struct {
	told []string
	fail string
}

func (b *bus) Put(_ context.Context, kind string, detail []byte) error {
	var c deploy.Change
	if err := json.Unmarshal(detail, &c); err != nil || kind != "Deployment Status Changed" {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if string(c.Status) == b.fail {
		return errors.New("no bus")
	}
	b.told = append(b.told, string(c.Status))
	return nil
}

// TestStreamGoesOn: what failed is told again with what comes behind it, and nothing is told before what came before it.
func TestStreamGoesOn(t *testing.T) {
	records := []notify.Record{record(t, written("deployment", "", "pending", "1")), record(t, written("deployment", "pending", "running", "2")),
		record(t, written("deployment", "running", "running", "3")), record(t, written("deployment", "running", "success", "4"))}
	b := &bus{fail: "running"}
	h := notify.Notifier{Bus: b}
	if _, err := h.Handle(t.Context(), notify.Call{Records: records}); err == nil || fmt.Sprint(b.told) != "[pending]" {
		t.Errorf("%v, told %v", err, b.told)
	}
	b.fail = ""
	if _, err := h.Handle(t.Context(), notify.Call{Records: records}); err != nil || fmt.Sprint(b.told) != "[pending pending running success]" {
		t.Errorf("%v, told %v", err, b.told)
	}
	if _, err := h.Handle(t.Context(), notify.Call{Records: append([]notify.Record{record(t, written("deployment", "", "fine", "1"))}, records...)}); err == nil || len(b.told) != 4 {
		t.Errorf("one that can't be read: %v, told %v", err, b.told)
	}
}

// FuzzChangeOf: whatever a record holds, it is told of rightly, told of not at all, or an error.
func FuzzChangeOf(f *testing.F) {
	f.Add([]byte(written("deployment", "running", "failed", "7")))
	f.Add([]byte(written("deployment", "", "pending", "1")))
	f.Add([]byte(`{"dynamodb":{"NewImage":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r notify.Record
		if json.Unmarshal(text, &r) != nil {
			return
		}
		c, err := notify.ChangeOf(r)
		if c == nil || err != nil {
			return
		}
		if !deploy.ValidID(c.Deployment) || !c.Status.Valid() || c.Status == c.PreviousStatus || c.Sequence < 1 || c.StartTime.IsZero() {
			t.Errorf("%+v", c)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
	})
}
