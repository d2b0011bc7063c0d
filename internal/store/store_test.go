package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/store"
	"github.com/slipway-cd/slipway/internal/store/storetest"
)

var (
	db    *dynamodb.Client
	table = localtest.Name("store-test")
)

func TestMain(m *testing.M) {
	localtest.Main(m, "../..", func(ctx context.Context, c *local.Cloud) (func(), error) {
		db = dynamodb.NewFromConfig(c.Config())
		return storetest.CreateTable(ctx, db, table)
	})
}

// ownTable is a table for one test, which would meet others' on its pages.
func ownTable(t *testing.T) string {
	t.Helper()
	name := localtest.Name("store-test")
	undo, err := storetest.CreateTable(t.Context(), db, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	return name
}

// faulty loses the answers of writes: those that it counts down to fail, before they reach the table or after.
type faulty struct {
	*dynamodb.Client
	fail    int
	applied bool
}

var errLost = errors.New("the connection was reset")

func (f *faulty) lose() bool { f.fail--; return f.fail == 0 }

func (f *faulty) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if !f.lose() {
		return f.Client.PutItem(ctx, in, opts...)
	}
	if f.applied {
		if _, err := f.Client.PutItem(ctx, in, opts...); err != nil {
			return nil, err
		}
		return f.Client.PutItem(ctx, in, opts...) // the SDK sends it again
	}
	return nil, errLost
}

func (f *faulty) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if !f.lose() {
		return f.Client.TransactWriteItems(ctx, in, opts...)
	}
	if f.applied {
		in.ClientRequestToken = aws.String("token-" + fmt.Sprint(time.Now().UnixNano()))
		if _, err := f.Client.TransactWriteItems(ctx, in, opts...); err != nil {
			return nil, err
		}
		return f.Client.TransactWriteItems(ctx, in, opts...)
	}
	return nil, errLost
}

// busy is DynamoDB under load: each write is refused as often as it counts down, for a reason that passes by itself.
type busy struct {
	*dynamodb.Client
	reason string
	left   int
}

func (b *busy) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if b.left--; b.left >= 0 {
		return nil, &types.TransactionConflictException{Message: aws.String("Transaction is ongoing for the item")}
	}
	return b.Client.PutItem(ctx, in, opts...)
}

func (b *busy) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if b.left--; b.left >= 0 {
		return nil, &types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{{Code: aws.String("None")}, {Code: &b.reason}}}
	}
	return b.Client.TransactWriteItems(ctx, in, opts...)
}

// TestBusy: what DynamoDB refuses only for the moment is written in the end, and is no conflict.
func TestBusy(t *testing.T) {
	for n, reason := range []string{"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"} {
		t.Run(reason, func(t *testing.T) {
			ctx := t.Context()
			s := func() *store.Store { return store.New(&busy{db, reason, 3}, table) }
			d := newDeployment("throttled", 10*n)
			if err := s().Create(ctx, d); err != nil {
				t.Fatal(err)
			}
			line := func(d *deploy.Deployment) error { d.Logs = append(d.Logs, "once"); return nil }
			if err := s().Update(ctx, d, line); err != nil || len(d.Logs) != 1 {
				t.Errorf("update: %v, lines %q", err, d.Logs)
			}
			if r, err := s().PutRelease(ctx, &deploy.Release{App: d.App, CommitSHA: d.ID}, false); err != nil || r == nil {
				t.Errorf("release: %+v, %v", r, err)
			}
			admit := func(h *deploy.Head, _ func(string) (*deploy.Deployment, error)) error {
				h.Admit(deploy.Turn{Deployment: d.ID, Action: deploy.Deploy}, time.Now())
				return nil
			}
			if err := s().Change(ctx, d.App, "production", admit, nil); err != nil {
				t.Errorf("change: %v", err)
			}
			next := newDeployment(d.App, 10*n+1)
			tip := &deploy.Tip{App: d.App, Environment: "production", Branch: reason}
			if taken, err := s().CreateOnce(ctx, next, request(d.App+reason, next.StartTime.Add(time.Hour)), "", tip); taken != nil || err != nil {
				t.Errorf("create once: %+v, %v", taken, err)
			}
		})
	}
}

func newDeployment(app string, n int) *deploy.Deployment {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return deploy.New(deploy.NewID(start, []byte(app+"-----")), deploy.Deploy, app, "production", start)
}

func TestRecord(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	d := newDeployment("record", 1)
	d.Metadata["pull_request"] = 7.0
	if err := s.Create(ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, newDeployment("record", 1)); deploy.KindOf(err) != deploy.Conflict {
		t.Errorf("the same id again: %v, want a Conflict", err)
	}
	got, err := s.Deployment(ctx, d.ID)
	if err != nil || got.Metadata["pull_request"] != 7.0 || !got.StartTime.Equal(d.StartTime) || got.Logs == nil || got.Version != 1 {
		t.Errorf("read back %+v, %v", got, err)
	}
	if _, err := s.Deployment(ctx, "nothing"); deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("one that isn't there: %v", err)
	}
}

func TestUpdateIsDecidedAnew(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	d := newDeployment("update", 1)
	if err := s.Create(ctx, d); err != nil {
		t.Fatal(err)
	}
	stale := *d
	add := func(line string) func(*deploy.Deployment) error {
		return func(d *deploy.Deployment) error { d.Logs = append(d.Logs, line); return nil }
	}
	if err := s.Update(ctx, d, add("first")); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, &stale, add("second")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(stale.Logs, " "); got != "first second" || stale.Version != 3 {
		t.Errorf("logs %q, version %d", got, stale.Version)
	}
	refuse := func(*deploy.Deployment) error { return deploy.Errorf(deploy.Fenced, "", "no") }
	if err := s.Update(ctx, d, refuse); deploy.KindOf(err) != deploy.Fenced {
		t.Errorf("a change that refuses: %v", err)
	}
}

func TestLostAnswers(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			ctx := t.Context()
			d := newDeployment(map[bool]string{true: "kept-answer", false: "gone-answer"}[applied], 1)
			if err := store.New(&faulty{db, 1, applied}, table).Create(ctx, d); (err == nil) != applied {
				t.Errorf("create: %v", err)
			}
			s := store.New(db, table)
			if !applied {
				if err := s.Create(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			line := func(d *deploy.Deployment) error { d.Logs = append(d.Logs, "once"); return nil }
			if err := store.New(&faulty{db, 1, applied}, table).Update(ctx, d, line); (err == nil) != applied {
				t.Errorf("update: %v", err)
			}
			got, err := s.Deployment(ctx, d.ID)
			if want := map[bool]int{true: 1, false: 0}[applied]; err != nil || len(got.Logs) != want {
				t.Errorf("lines %q, want %d; %v", got.Logs, want, err)
			}
			admit := func(h *deploy.Head, record func(string) (*deploy.Deployment, error)) error {
				r, err := record(d.ID)
				if err != nil {
					return err
				}
				h.Admit(deploy.Turn{Deployment: d.ID, Action: deploy.Deploy}, time.Now())
				r.Fence = h.Fence
				return nil
			}
			if err := store.New(&faulty{db, 1, applied}, table).Change(ctx, d.App, "production", admit, nil); (err == nil) != applied {
				t.Errorf("change: %v", err)
			}
			h, err := s.Head(ctx, d.App, "production")
			got, readErr := s.Deployment(ctx, d.ID)
			if err != nil || readErr != nil || h.Fence != got.Fence || (h.Fence == 1) != applied {
				t.Errorf("the head has turn %d, the record %d; %v, %v", h.Fence, got.Fence, err, readErr)
			}
		})
	}
}

func TestChangeConcurrently(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := s.Change(ctx, "busy", "production", func(h *deploy.Head, _ func(string) (*deploy.Deployment, error)) error {
				h.Fence++
				return nil
			}, nil)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h, err := s.Head(ctx, "busy", "production"); err != nil || h.Fence != 20 || h.Version != 20 {
		t.Errorf("head %+v, %v; want 20 turns by 20 writes", h, err)
	}
}

// busyTable answers a batch with nothing but a part of its keys, as a throttled table does.
type busyTable struct {
	*dynamodb.Client
	left int // keys, from the last, that it doesn't get round to
}

func (b busyTable) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	keys := in.RequestItems[table].Keys
	kept, left := keys[:len(keys)-b.left], keys[len(keys)-b.left:]
	out := &dynamodb.BatchGetItemOutput{}
	if len(kept) > 0 {
		in.RequestItems[table] = types.KeysAndAttributes{Keys: kept, ConsistentRead: aws.Bool(true)}
		var err error
		if out, err = b.Client.BatchGetItem(ctx, in, opts...); err != nil {
			return nil, err
		}
	}
	out.UnprocessedKeys = map[string]types.KeysAndAttributes{table: {Keys: left}}
	return out, nil
}

func TestPlace(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	d := newDeployment("place", 1)
	if _, err := s.Place(ctx, d.App, "production", d.ID); deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), d.ID) {
		t.Errorf("a deployment that isn't there: %v", err)
	}
	if err := s.Create(ctx, d); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Place(ctx, d.App, "production", d.ID); err != nil || p.Head.App != d.App || p.Head.Version != 0 || p.Deployment.ID != d.ID {
		t.Errorf("an environment that nothing was deployed to: %+v, %v", p, err)
	}
	turn := func(h *deploy.Head, record func(string) (*deploy.Deployment, error)) error {
		r, err := record(d.ID)
		h.Fence++
		r.Fence = h.Fence
		return err
	}
	if err := s.Change(ctx, d.App, "production", turn, nil); err != nil {
		t.Fatal(err)
	}
	stale, err := s.Place(ctx, d.App, "production", d.ID)
	if err != nil {
		t.Fatal(err)
	}
	for left := range 3 {
		p, err := store.New(busyTable{db, left}, table).Place(ctx, d.App, "production", d.ID)
		if err != nil || p.Head.Fence != 1 || p.Deployment.Fence != 1 {
			t.Errorf("%d of the two left out: %+v, %v", left, p, err)
		}
	}
	for turns := int64(2); turns <= 3; turns++ { // the second time what was read is out of date
		if err := s.Change(ctx, d.App, "production", turn, stale); err != nil {
			t.Fatal(err)
		}
		p, err := s.Place(ctx, d.App, "production", d.ID)
		if err != nil || p.Head.Fence != turns || p.Deployment.Fence != turns {
			t.Errorf("head has turn %d, the record %d, want %d; %v", p.Head.Fence, p.Deployment.Fence, turns, err)
		}
		stale.Head.Version, stale.Head.Fence = 1, 1
	}
}

func TestList(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	for n := range 7 {
		d := newDeployment("list", n)
		if n%3 == 0 {
			d.Status = deploy.Success
		}
		if err := s.Create(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []deploy.Query{{App: "list"}, {App: "list", Environment: "production"}, {App: "list", Status: deploy.Success}} {
		var ids []string
		for q.Limit = 3; ; {
			page, next, err := s.List(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				ids = append(ids, d.ID)
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		want := 7
		if q.Status != "" {
			want = 3
		}
		if len(ids) != want {
			t.Errorf("%+v: %d, want %d: %v", q, len(ids), want, ids)
		}
		for i := 1; i < len(ids); i++ {
			if ids[i-1] <= ids[i] {
				t.Errorf("%+v: not the newest first: %v", q, ids)
			}
		}
	}
	for _, bad := range []string{"x", "!!", "MS4", "MS5kZXBsb3k"} {
		if _, _, err := s.List(ctx, deploy.Query{App: "list", Limit: 3, Cursor: bad}); deploy.FieldOf(err) != "cursor" {
			t.Errorf("cursor %q: %v, want an error about the cursor", bad, err)
		}
	}
}

func TestAppsAndReleases(t *testing.T) {
	ctx, s := t.Context(), store.New(db, table)
	for _, name := range []string{"bb", "aa", "cc"} {
		if err := s.PutApp(ctx, &deploy.App{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	again := &deploy.App{Name: "aa"}
	if err := s.PutApp(ctx, again); err != nil || again.Version != 2 {
		t.Errorf("stored over: version %d, %v", again.Version, err)
	}
	page, next, err := s.Apps(ctx, 2, "")
	if err != nil || len(page) != 2 || page[0].Name != "aa" || next == "" {
		t.Fatalf("first page %v, %q, %v", page, next, err)
	}
	if page, next, err = s.Apps(ctx, 2, next); err != nil || len(page) != 1 || page[0].Name != "cc" || next != "" {
		t.Errorf("second page %v, %q, %v", page, next, err)
	}
	if _, err := s.App(ctx, "zz"); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("an unknown app: %v", err)
	}
	first := &deploy.Release{App: "aa", CommitSHA: "c", BuiltBy: "one"}
	if _, err := s.PutRelease(ctx, first, false); err != nil {
		t.Fatal(err)
	}
	if kept, err := s.PutRelease(ctx, &deploy.Release{App: "aa", CommitSHA: "c", BuiltBy: "two"}, false); err != nil || kept.BuiltBy != "one" {
		t.Errorf("a second build of one commit: %+v, %v; want the first", kept, err)
	}

	for by, c := range map[string]struct {
		variables string
		replace   bool
	}{"other variables": {"digest", false}, "a rebuild": {"", true}} {
		r := &deploy.Release{App: "aa", CommitSHA: "c", BuiltBy: by, BuildVariables: c.variables}
		kept, err := s.PutRelease(ctx, r, c.replace)
		stored, readErr := s.Release(ctx, "aa", "c")
		if err != nil || readErr != nil || kept.BuiltBy != by || stored.BuiltBy != by {
			t.Errorf("%s: %+v, stored %+v, %v, %v", by, kept, stored, err, readErr)
		}
	}
}
