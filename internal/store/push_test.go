package store_test

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/launch"
	"github.com/slipway-cd/slipway/internal/store"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// unreliable is DynamoDB and Step Functions in a bad hour: three calls in ten don't do what was asked, or don't say that they did.
type unreliable struct {
	*dynamodb.Client
	mu     sync.Mutex
	starts map[string]int // of each execution, told or not
}

// attempt makes a write, or loses the request or its answer, or has it refused for the moment.
func attempt[T any](write func() (*T, error), refused error) (*T, error) {
	switch rand.IntN(10) {
	case 0:
		return nil, errLost
	case 1:
		_, _ = write()
		return nil, errLost
	case 2:
		return nil, refused
	}
	return write()
}

func (u *unreliable) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return attempt(func() (*dynamodb.PutItemOutput, error) { return u.Client.PutItem(ctx, in, opts...) }, &types.TransactionConflictException{})
}

func (u *unreliable) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	return attempt(func() (*dynamodb.TransactWriteItemsOutput, error) {
		return u.Client.TransactWriteItems(ctx, in, opts...)
	},
		&types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{{Code: aws.String("ThrottlingError")}}})
}

// Start implements launch.Machine.
func (u *unreliable) Start(_ context.Context, id string) (string, error) {
	arn, err := attempt(func() (*string, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.starts[id]++
		return aws.String("arn:" + id), nil
	}, errLost)
	return aws.ToString(arn), err
}

// Stat implements launch.Sources: every commit was uploaded.
func (*unreliable) Stat(context.Context, string, string) (*deploy.Bundle, error) {
	return &deploy.Bundle{Key: "k"}, nil
}

// pushes are a branch's, some twice and three times, neighbours out of order, each fourth puts back what was there three before, and
// no clock is right.
func pushes(app string, n int) (all []trigger.Push, newest string) {
	begin := time.Now()
	newest = fmt.Sprintf("%040x", 0)
	for i := range n {
		p := trigger.Push{App: app, Branch: "main", CommitSHA: fmt.Sprintf("%040x", 100+i), Before: newest, Door: "event", HasTime: true,
			Told: begin.Add(-rand.N(time.Hour)), Sent: begin.Add(rand.N(20*time.Hour) - 10*time.Hour)}
		if i%4 == 3 {
			p.CommitSHA = fmt.Sprintf("%040x", 100+i-3)
		}
		newest = p.CommitSHA
		for range 1 + rand.IntN(3) {
			all = append(all, p)
		}
	}
	for i := range len(all) - 4 {
		j := i + rand.IntN(4)
		all[i], all[j] = all[j], all[i]
	}
	return all, newest
}

// TestPushesInABadHour: whatever is lost on the way, and in whatever order pushes come, three at a time, each tried again until it is
// through: the newest one's deployment is started and has the last id, and no push is launched twice.
// A commit may be launched again later: with clocks this wrong, and pushes between still missing, the branch seems to move back. The first
// push's commit may be launched twice in turn: that push created the branch, and may seem to have created it again, at the commit that
// the fourth one put back.
func TestPushesInABadHour(t *testing.T) {
	const name = "shop"
	table := ownTable(t)
	good, bad := store.New(db, table), &unreliable{Client: db, starts: map[string]int{}}
	s := store.New(bad, table)
	tr := &trigger.Trigger{Store: s, Now: time.Now, Launcher: &launch.Launcher{Store: s, Sources: bad, Machine: bad, Now: time.Now, Entropy: crand.Reader}}
	settings := deploy.Settings{DeployOnPush: []string{"main"}}
	if err := good.PutApp(t.Context(), &deploy.App{Name: name, Environments: map[string]deploy.Settings{"production": settings}}); err != nil {
		t.Fatal(err)
	}
	all, newest := pushes(name, 24)
	created := fmt.Sprintf("%040x", 100)
	var wg sync.WaitGroup
	work := make(chan trigger.Push)
	for range 3 {
		wg.Go(func() {
			for p := range work {
				_, err := tr.Push(t.Context(), p)
				for try := 1; err != nil && try < 50; try++ {
					_, err = tr.Push(t.Context(), p)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, p := range all {
		work <- p
	}
	close(work)
	wg.Wait()
	tip, err := good.Tip(t.Context(), name, "production", "main")
	if err != nil || tip == nil || tip.CommitSHA != newest {
		t.Fatalf("the branch is at %+v, want %s; %v", tip, newest, err)
	}
	made, _, err := good.List(t.Context(), deploy.Query{App: name, Limit: deploy.MaxPage})
	launched, next := 0, deploy.Deployment{}
	for _, d := range made { // newest first
		if d.Status != deploy.Failed { // else its start was not told; what came again made another
			launched++
		}
		if d.ID > tip.Deployment || d.ID == tip.Deployment && (bad.starts[d.ID] == 0 || d.CommitSHA != newest) {
			t.Errorf("%s of %s: started %d times; the newest is %s, and the last %s", d.ID, d.CommitSHA, bad.starts[d.ID], newest, tip.Deployment)
		}
		if d.Status != deploy.Failed && next.Status != deploy.Failed && d.CommitSHA == next.CommitSHA && d.CommitSHA != created {
			t.Errorf("%s and %s are of the same push of %s", d.ID, next.ID, d.CommitSHA)
		}
		next = d
	}
	if err != nil || launched == 0 || made[0].ID != tip.Deployment || made[0].Status == deploy.Failed {
		t.Errorf("%d launched, the last is %s; %v", launched, tip.Deployment, err)
	}
	t.Logf("%d events, %d records, %d launched", len(all), len(made), launched)
}
