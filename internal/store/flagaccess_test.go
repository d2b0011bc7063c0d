package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/store"
)

func evaluationKey(app string, n byte) *board.Key {
	text := board.KeyText([32]byte{n})
	return &board.Key{ID: fmt.Sprintf("key-abcdefghijklmno%c", 'a'+n), App: app, Environment: "production", Name: "web",
		Hash: board.HashKey(text), CreatedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), CreatedBy: "eve"}
}

func TestEvaluationKeys(t *testing.T) {
	ctx, f, now := t.Context(), store.NewFlags(db, table), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	k := evaluationKey("access", 1)
	if err := f.CreateKey(ctx, k); err != nil {
		t.Fatal(err)
	}
	if app, environment, err := f.EvaluationKey(ctx, k.Hash); app != "access" || environment != "production" || err != nil {
		t.Error(app, environment, err)
	}
	if _, _, err := f.EvaluationKey(ctx, board.HashKey("slipway_other")); deploy.KindOf(err) != deploy.NotFound {
		t.Error(err)
	}
	if err := f.CreateKey(ctx, k); err == nil {
		t.Error("the same key was made twice")
	}
	for late := range 2 { // the second time changes nothing
		revoked, err := f.RevokeKey(ctx, "access", "production", k.ID, "mallory", now.Add(time.Duration(late)*time.Hour))
		if err != nil || revoked.RevokedAt == nil || !revoked.RevokedAt.Equal(now) {
			t.Fatal(revoked, err)
		}
		if _, _, err := f.EvaluationKey(ctx, k.Hash); deploy.KindOf(err) != deploy.NotFound {
			t.Errorf("a revoked key opens: %v", err)
		}
	}
	keys, err := f.Keys(ctx, "access", "production")
	if err != nil || len(keys) != 1 || keys[0].RevokedBy != "mallory" || keys[0].Name != "web" {
		t.Errorf("%+v, %v", keys, err)
	}
	if _, err := f.RevokeKey(ctx, "access", "staging", k.ID, "mallory", now); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("revoked through another environment: %v", err)
	}
}

func TestCounts(t *testing.T) {
	ctx, f := t.Context(), store.NewFlags(db, table)
	hour := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	var counts []deploy.Evaluations
	for i := range 60 { // more than one transaction
		counts = append(counts, deploy.Evaluations{Flag: fmt.Sprintf("f-%02d", i), Variant: "on", Hour: hour, N: 3})
	}
	counts = append(counts, deploy.Evaluations{Flag: "f-00", Variant: "a#b", Hour: hour, N: 1},
		deploy.Evaluations{Flag: "f-00", Variant: "a#b", Hour: hour.Add(time.Hour), N: 1}, deploy.Evaluations{Flag: "f-00", Hour: hour, N: 1})
	for range 2 {
		if err := f.AddCounts(ctx, "counts", "production", counts); err != nil {
			t.Fatal(err)
		}
	}
	out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "COUNT#counts#production"}, "sk": &types.AttributeValueMemberS{Value: "f-07#on#2026-11-23T07"}}})
	if err != nil || out.Item["count"].(*types.AttributeValueMemberN).Value != "6" || out.Item["expires"] == nil {
		t.Errorf("%v, %v", out.Item, err)
	}
	all, err := f.Seen(ctx, "counts", "production", "", "")
	if err != nil || len(all) != 60 || len(all["f-00"]) != 3 {
		t.Fatalf("%d, %v, %v", len(all), all["f-00"], err)
	}
	for _, s := range all["f-00"] {
		if s.Variant == "a#b" && (!s.First.Equal(hour) || !s.Last.Equal(hour.Add(time.Hour))) {
			t.Errorf("%+v", s)
		}
	}
	some, err := f.Seen(ctx, "counts", "production", "f-05", "f-07")
	if err != nil || len(some) != 3 {
		t.Errorf("%v, %v", some, err)
	}
	f = store.NewFlags(&faulty{Client: db, fail: 2}, table)
	if err := f.AddCounts(ctx, "counts", "production", counts); err == nil || err.Error() != "flags: 33 of 183 evaluations could not be counted: the connection was reset" {
		t.Error(err)
	}
}
