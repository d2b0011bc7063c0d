package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/store"
)

// onAlias is an app with one environment, on an alias of the function shop.
func onAlias(name, alias string) *deploy.App {
	target := deploy.Target{Type: deploy.TargetLambda, Function: "shop", Alias: alias}
	return &deploy.App{Name: name, Environments: map[string]deploy.Settings{"production": {Target: target}}}
}

// before stores an app as it was stored when nobody claimed an alias.
func before(ctx context.Context, table string, a *deploy.App) error {
	a.Version = 1
	it, err := attributevalue.MarshalMapWithOptions(a, func(o *attributevalue.EncoderOptions) { o.TagKey = "json" })
	if err != nil {
		return err
	}
	it["pk"], it["sk"] = &types.AttributeValueMemberS{Value: "APPS"}, &types.AttributeValueMemberS{Value: a.Name}
	_, err = db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: it})
	return err
}

// taken checks that an alias was refused, and that the error names both sides.
func taken(t *testing.T, err error, owner string) {
	t.Helper()
	if deploy.KindOf(err) != deploy.Conflict || deploy.FieldOf(err) != "environments.production.target" || !strings.Contains(err.Error(), "environment production of app "+owner) {
		t.Errorf("got %v, want a Conflict with app %s", err, owner)
	}
}

func TestOneAliasOneApp(t *testing.T) {
	ctx, s := t.Context(), store.New(db, ownTable(t))
	for range 2 { // the owner may apply again
		if err := s.PutApp(ctx, onAlias("aa", "live")); err != nil {
			t.Fatal(err)
		}
	}
	taken(t, s.PutApp(ctx, onAlias("bb", "live")), "aa")
	if _, err := s.App(ctx, "bb"); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("the app that was refused: %v", err)
	}

	// Once its owner went to another alias, it may be another's, and is then out of reach for the first.
	for _, a := range []*deploy.App{onAlias("aa", "next"), onAlias("bb", "live")} {
		if err := s.PutApp(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	taken(t, s.PutApp(ctx, onAlias("aa", "live")), "bb")
	if a, err := s.App(ctx, "aa"); err != nil || a.Environments["production"].Target.Alias != "next" || a.Version != 3 {
		t.Errorf("the app that was refused is %+v, %v", a, err)
	}
}

// Apps of before go on as they are; the next apply says which other one has the alias too.
func TestOneAliasOfBefore(t *testing.T) {
	ctx, table := t.Context(), ownTable(t)
	s := store.New(db, table)
	for _, name := range []string{"aa", "bb"} {
		if err := before(ctx, table, onAlias(name, "live")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.App(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	taken(t, s.PutApp(ctx, onAlias("cc", "live")), "aa")
	taken(t, s.PutApp(ctx, onAlias("aa", "live")), "bb")
	taken(t, s.PutApp(ctx, onAlias("bb", "live")), "aa")
	if err := s.PutApp(ctx, onAlias("bb", "next")); err != nil {
		t.Fatal(err)
	}
	if err := s.PutApp(ctx, onAlias("aa", "live")); err != nil {
		t.Errorf("once the other went away: %v", err)
	}
	taken(t, s.PutApp(ctx, onAlias("cc", "live")), "aa")
}

// together is a client whose first reads of all apps end together, so that nobody has written yet when the last one looks.
type together struct {
	*dynamodb.Client
	looked sync.WaitGroup
	left   atomic.Int64
}

func (c *together) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := c.Client.Query(ctx, in, opts...)
	if c.left.Add(-1) >= 0 {
		c.looked.Done()
		c.looked.Wait()
	}
	return out, err
}

// Of apps that want one alias at the same time, one gets it.
func TestOneAliasAtOnce(t *testing.T) {
	errs := make([]error, 6)
	client := &together{Client: db}
	client.looked.Add(len(errs))
	client.left.Store(int64(len(errs)))
	ctx, s := t.Context(), store.New(client, ownTable(t))
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = s.PutApp(ctx, onAlias(fmt.Sprintf("app-%d", i), "live")) })
	}
	all.Wait()
	owner := ""
	for i, err := range errs {
		if err == nil {
			if owner != "" {
				t.Errorf("both %s and app-%d have it", owner, i)
			}
			owner = fmt.Sprintf("app-%d", i)
		}
	}
	for _, err := range errs {
		if err != nil {
			taken(t, err, owner)
		}
	}
}

// An answer that is lost, and sent for again, doesn't make an app stand in its own way.
func TestOneAliasLostAnswer(t *testing.T) {
	for _, applied := range []bool{true, false} {
		table := ownTable(t)
		err := store.New(&faulty{db, 1, applied}, table).PutApp(t.Context(), onAlias("aa", "live"))
		if (err == nil) != applied {
			t.Errorf("applied %v: %v", applied, err)
		}
		if err := store.New(db, table).PutApp(t.Context(), onAlias("aa", "live")); err != nil {
			t.Errorf("applied %v, and again: %v", applied, err)
		}
	}
}
