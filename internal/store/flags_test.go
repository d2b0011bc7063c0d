package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
	"github.com/slipway-cd/slipway/internal/store"
)

func origin(by string) board.Origin {
	return board.Origin{Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), By: by, SourceIP: "192.0.2.1"}
}

func put(key, text string, m board.Match) func(*board.Draft) error {
	return func(d *board.Draft) error { return d.Put(key, []byte(text), m) }
}

func mustChange(t *testing.T, f *store.Flags, app string, decide func(*board.Draft) error) *board.State {
	t.Helper()
	s, err := f.Change(t.Context(), app, "production", origin("eve"), decide)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFlags(t *testing.T) {
	ctx, f := t.Context(), store.NewFlags(db, table)
	text, n, err := f.Snapshot(ctx, "flags", "production")
	if err != nil || n != 0 || string(text) != `{"flags":{}}` {
		t.Fatalf("of nothing: %s, %d, %v", text, n, err)
	}
	mustChange(t, f, "flags", put("cart", `{"enabled":true}`, board.Match{}))
	after := mustChange(t, f, "flags", put("cart", `{"enabled":false,"users":["<eve>"]}`, board.Is(1)))
	if n, err := f.Revision(ctx, "flags", "production"); n != 2 || err != nil {
		t.Errorf("revision %d, %v", n, err)
	}
	text, n, err = f.Snapshot(ctx, "flags", "production")
	if err != nil || n != 2 || !bytes.Equal(text, after.JSON()) || !strings.Contains(string(text), "<eve>") {
		t.Errorf("%s, %d, %v", text, n, err)
	}
	if _, problems := flag.CompileLenient(text); len(problems) > 0 {
		t.Error(problems)
	}
	s, err := f.State(ctx, "flags", "production")
	if err != nil || s.Index["cart"].Version != 2 || s.Index["cart"].CreatedBy != "eve" {
		t.Errorf("%+v, %v", s, err)
	}
	page, next, err := f.Versions(ctx, "flags", "production", "cart", 1, "")
	if err != nil || len(page) != 1 || page[0].Version != 2 || page[0].SourceIP != "192.0.2.1" || len(page[0].Difference) == 0 {
		t.Fatalf("%+v, %v", page, err)
	}
	page, next, err = f.Versions(ctx, "flags", "production", "cart", 1, next)
	if err != nil || len(page) != 1 || page[0].Version != 1 || string(page[0].Definition) == "" {
		t.Fatalf("%+v, %q, %v", page, next, err)
	}
	if _, _, err := f.Versions(ctx, "flags", "production", "cart", 1, "nonsense"); deploy.FieldOf(err) != "cursor" {
		t.Error(err)
	}
	v, err := f.Version(ctx, "flags", "production", "cart", 1)
	if err != nil || v.Action != board.Create {
		t.Errorf("%+v, %v", v, err)
	}
	for _, never := range []int64{-1, 0, 3, 1 << 60} {
		if _, err := f.Version(ctx, "flags", "production", "cart", never); deploy.KindOf(err) != deploy.NotFound {
			t.Errorf("version %d: %v", never, err)
		}
	}
}

// TestFlagWriters: twenty writers each add a user of their own to one flag, and toggle flags of their own beside it. Nothing
// is lost, and the versions have no gap.
func TestFlagWriters(t *testing.T) {
	const writers = 20
	ctx, f := t.Context(), store.NewFlags(db, table)
	mustChange(t, f, "writers", put("one", `{"enabled":false}`, board.Match{}))
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			user := fmt.Sprintf("user-%d", i)
			_, err := f.Change(ctx, "writers", "production", origin(user), func(d *board.Draft) error {
				return d.Edit(board.Patch, "one", board.Match{Any: true}, func(def flag.Definition) (flag.Definition, error) {
					simple := *def.Simple
					simple.Users = append(append([]string{}, simple.Users...), user)
					def.Simple = &simple
					return def, nil
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s, err := f.State(ctx, "writers", "production")
	if err != nil {
		t.Fatal(err)
	}
	for i := range writers {
		if !strings.Contains(string(s.Flags["one"]), fmt.Sprintf(`"user-%d"`, i)) {
			t.Errorf("the update of writer %d is lost: %s", i, s.Flags["one"])
		}
	}
	versions, _, err := f.Versions(ctx, "writers", "production", "one", 100, "")
	if err != nil || len(versions) != writers+1 || s.Revision != writers+1 {
		t.Fatalf("%d versions, revision %d, %v", len(versions), s.Revision, err)
	}
	for i, v := range versions {
		if want := int64(writers + 1 - i); v.Version != want || v.Revision != want {
			t.Errorf("version %d, revision %d, want %d", v.Version, v.Revision, want)
		}
	}
}

// TestFlagRace: of twenty writers that know the same version, one writes.
func TestFlagRace(t *testing.T) {
	ctx, f := t.Context(), store.NewFlags(db, table)
	mustChange(t, f, "race", put("one", `{"enabled":false}`, board.Match{}))
	var all sync.WaitGroup
	var won, late atomic.Int32
	for i := range 20 {
		all.Go(func() {
			_, err := f.Change(ctx, "race", "production", origin("eve"), put("one", fmt.Sprintf(`{"rollout_percent":%d}`, i+1), board.Is(1)))
			var u *board.Unmatched
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &u) && u.Version == 2:
				late.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || late.Load() != 19 {
		t.Errorf("%d won, %d were late", won.Load(), late.Load())
	}
}

func many(n int, percent int) *flag.Document {
	doc := &flag.Document{Flags: map[string]flag.Definition{}}
	for i := range n {
		doc.Flags[fmt.Sprintf("flag-%05d", i)] = flag.Definition{Simple: &flag.Simple{RolloutPercent: float64(percent), Users: []string{fmt.Sprintf("user-%d", i*7919)}}}
	}
	return doc
}

// TestTenThousandFlags: an import of as many flags as there may be is seen whole or not at all.
func TestTenThousandFlags(t *testing.T) {
	ctx, f := t.Context(), store.NewFlags(db, table)
	load := func(percent int) {
		begin := time.Now()
		mustChange(t, f, "many", func(d *board.Draft) error {
			return d.Import(many(board.MaxFlags, percent), false, board.Is(int64(percent-1)))
		})
		t.Logf("import %d: %v", percent, time.Since(begin).Round(time.Millisecond))
	}
	load(1)
	ctx, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() {
		for ctx.Err() == nil {
			text, n, err := f.Snapshot(ctx, "many", "production")
			if ctx.Err() != nil {
				return
			}
			if got := strings.Count(string(text), fmt.Sprintf(`"rollout_percent":%d,`, n)); err != nil || got != board.MaxFlags {
				t.Errorf("revision %d has %d of its flags, %v", n, got, err)
				return
			}
		}
	})
	load(2)
	load(3)
	stop()
	readers.Wait()
	begin := time.Now()
	mustChange(t, f, "many", put("flag-00007", `{"enabled":true}`, board.Is(3)))
	t.Logf("one flag of them: %v", time.Since(begin).Round(time.Millisecond))
	versions, _, err := f.Versions(t.Context(), "many", "production", "flag-00007", 10, "")
	if err != nil || len(versions) != 4 || versions[1].Action != board.Import {
		t.Errorf("%+v, %v", versions, err)
	}
	over := many(1, 9).Flags["flag-00000"]
	_, err = f.Change(t.Context(), "many", "production", origin("eve"), func(d *board.Draft) error {
		text, _ := json.Marshal(over)
		return d.Put("one-too-many", text, board.Match{})
	})
	if deploy.KindOf(err) != deploy.TooLarge {
		t.Error(err)
	}
}

// dying is a process that ends before its transaction.
type dying struct{ *dynamodb.Client }

func (dying) TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return nil, errLost
}

// TestStagedIsNotSeen: what a dead import left behind is no version of anything, not even when the revision that it was
// meant for has been made by somebody else.
func TestStagedIsNotSeen(t *testing.T) {
	ctx, f := t.Context(), store.NewFlags(db, table)
	mustChange(t, f, "staged", put("flag-00000", `{"enabled":false}`, board.Match{}))
	_, err := store.NewFlags(dying{db}, table).Change(ctx, "staged", "production", origin("mallory"), func(d *board.Draft) error {
		return d.Import(many(200, 50), false, board.Is(1))
	})
	if !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	history := func() string {
		versions, _, err := f.Versions(ctx, "staged", "production", "flag-00000", 10, "")
		var all []string
		for _, v := range versions {
			all = append(all, fmt.Sprintf("%d %s by %s", v.Version, v.Action, v.By))
		}
		if err != nil {
			t.Error(err)
		}
		return strings.Join(all, ", ")
	}
	if got := history(); got != "1 create by eve" {
		t.Error(got)
	}
	mustChange(t, f, "staged", func(d *board.Draft) error { return d.Import(many(150, 20), false, board.Is(1)) })
	if got := history(); got != "2 import by eve, 1 create by eve" {
		t.Error(got)
	}
	if v, err := f.Version(ctx, "staged", "production", "flag-00000", 2); err != nil || !strings.Contains(string(v.Definition), "20") {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := f.Version(ctx, "staged", "production", "flag-00199", 1); deploy.KindOf(err) != deploy.NotFound {
		t.Error(err)
	}
}

// TestFlagAnswersLost: a transaction whose answer was lost has happened once, or not at all.
func TestFlagAnswersLost(t *testing.T) {
	for _, applied := range []bool{true, false} {
		app := fmt.Sprintf("lost-%v", applied)
		f := store.NewFlags(&faulty{Client: db, fail: 1, applied: applied}, table)
		_, err := f.Change(t.Context(), app, "production", origin("eve"), put("one", `{"enabled":true}`, board.Match{}))
		n, readErr := f.Revision(t.Context(), app, "production")
		switch {
		case readErr != nil:
			t.Error(readErr)
		case applied && (err != nil || n != 1):
			t.Errorf("applied: revision %d, %v", n, err)
		case !applied && (!errors.Is(err, errLost) || n != 0):
			t.Errorf("not applied: revision %d, %v", n, err)
		}
	}
}

// forgetful sends each transaction once more, as a client does that has neither heard the answer nor kept its token.
type forgetful struct{ *dynamodb.Client }

func (f forgetful) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if _, err := f.Client.TransactWriteItems(ctx, in, opts...); err != nil {
		return nil, err
	}
	again := *in
	again.ClientRequestToken = nil
	return f.Client.TransactWriteItems(ctx, &again, opts...)
}

// TestOwnFlagWriteIsKnown: a change that finds its own earlier try there is done.
func TestOwnFlagWriteIsKnown(t *testing.T) {
	f := store.NewFlags(forgetful{db}, table)
	for want, match := range []board.Match{{}, board.Is(1)} {
		want := int64(want)
		s := mustChange(t, f, "forgetful", put("one", fmt.Sprintf(`{"rollout_percent":%d}`, want+1), match))
		if s.Revision != want+1 || s.Index["one"].Version != want+1 {
			t.Errorf("revision %d, version %d, want %d", s.Revision, s.Index["one"].Version, want+1)
		}
	}
}

func TestRelease(t *testing.T) {
	ctx, f, now := t.Context(), store.NewFlags(db, table), time.Now()
	for _, want := range []string{"[a b]", "[]"} {
		created, err := f.Introduce(ctx, "release", "production", []string{"a", "b"}, "deploy-1", now)
		if err != nil || fmt.Sprint(created) != want {
			t.Fatal(created, err)
		}
	}
	mustChange(t, f, "release", put("a", `{"enabled":true}`, board.Match{Any: true}))
	for _, want := range []string{"[a]", "[]"} {
		off, err := f.SwitchOff(ctx, "release", "production", []string{"a", "b", "absent"}, "deploy-2", now)
		if err != nil || fmt.Sprint(off) != want {
			t.Fatal(off, err)
		}
	}
	v, err := f.Version(ctx, "release", "production", "a", 3)
	if err != nil || v.Action != board.Disable || v.Deployment != "deploy-2" || v.By != "slipway" {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestBrokenFlagGoesOff: a flag that an older version stored broken is switched off with the release's others, and what was
// stored of it stays in its history.
func TestBrokenFlagGoesOff(t *testing.T) {
	ctx, f, now := t.Context(), store.NewFlags(db, table), time.Now()
	const broken = `{"enabled":false,"rollout_percent":5,"schedule":{"ramp":[{"at":"2026-01-01T00:00:00Z","percent":54}]}}`
	mustChange(t, f, "broken", put("bad", `{"enabled":true}`, board.Match{}))
	mustChange(t, f, "broken", put("good", `{"enabled":true}`, board.Match{}))
	mustChange(t, f, "broken", put("other", `{"enabled":true}`, board.Match{}))
	mustChange(t, f, "broken", func(d *board.Draft) error {
		d.State().Flags["bad"] = json.RawMessage(broken) // past the checks, as no writer can
		return d.Disable("other", board.Match{Any: true})
	})

	f = store.NewFlags(db, table)
	off, err := f.SwitchOff(ctx, "broken", "production", []string{"bad", "good"}, "deploy-1", now)
	if err != nil || fmt.Sprint(off) != "[bad good]" {
		t.Fatal(off, err)
	}
	text, _, err := f.Snapshot(ctx, "broken", "production")
	if err != nil {
		t.Fatal(err)
	}
	set, err := flag.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"bad", "good"} {
		if r := set.Evaluate(key, &flag.Context{TargetingKey: "eve"}); r.Value != false || r.Reason != flag.Disabled {
			t.Errorf("%s answers %+v", key, r)
		}
	}
	v, err := f.Version(ctx, "broken", "production", "bad", 2)
	if err != nil || v.Action != board.Disable || !strings.Contains(fmt.Sprintf("%s", v.Difference), "54") {
		t.Errorf("%+v, %v; want what was stored in the difference", v, err)
	}
}
