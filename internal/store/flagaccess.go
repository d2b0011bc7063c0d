package store

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// keyItem is board.Key with its hash, which nothing else writes out.
type keyItem struct {
	board.Key
	SHA256 string `json:"hash"`
}

// CreateKey stores an evaluation key. Conflict where the environment has as many as it may.
func (f *Flags) CreateKey(ctx context.Context, k *board.Key) error {
	stored, err := f.Keys(ctx, k.App, k.Environment)
	if err != nil {
		return err
	}
	if len(stored) >= board.MaxKeys {
		return deploy.Errorf(deploy.Conflict, "", "%s of %s has %d evaluation keys; at most %d are kept", k.Environment, k.App, len(stored), board.MaxKeys)
	}
	return f.putKey(ctx, k, "attribute_not_exists(pk)")
}

// putKey writes a key where it is asked for and where it is listed.
func (f *Flags) putKey(ctx context.Context, k *board.Key, condition string) error {
	var writes []types.TransactWriteItem
	for _, at := range []attributes{secretKey(k.Hash), keysKey(k.App, k.Environment, k.ID)} {
		it, err := item(at, keyItem{*k, k.Hash}, nil)
		if err != nil {
			return err
		}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &f.table, Item: it, ConditionExpression: aws.String(condition)}})
	}
	if _, err := f.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes}); err != nil {
		return deploy.Errorf(deploy.Internal, "flags", "write an evaluation key: %w", err)
	}
	return nil
}

// Keys lists an environment's evaluation keys by their ids, revoked ones too.
func (f *Flags) Keys(ctx context.Context, app, environment string) ([]board.Key, error) {
	out, err := f.db.Query(ctx, &dynamodb.QueryInput{
		TableName: &f.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": pk},
		ExpressionAttributeValues: attributes{":pk": str(flagsPartition("KEYS", app, environment))},
	})
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "flags", "list evaluation keys: %w", err)
	}
	keys := make([]board.Key, len(out.Items))
	for i, it := range out.Items {
		var k keyItem
		if err := decode(it, &k); err != nil {
			return nil, deploy.Errorf(deploy.Internal, "flags", "decode %s: %w", keyText(it), err)
		}
		keys[i], keys[i].Hash = k.Key, k.SHA256
	}
	return keys, nil
}

// RevokeKey ends a key, for good. One that is revoked already stays as it is. NotFound where there is none.
func (f *Flags) RevokeKey(ctx context.Context, app, environment, id, by string, now time.Time) (*board.Key, error) {
	var stored keyItem
	if err := f.get(ctx, keysKey(app, environment, id), &stored); err != nil {
		return nil, err
	}
	if stored.ID == "" {
		return nil, &deploy.Error{Kind: deploy.NotFound, Field: "id", Err: fmt.Errorf("there is no evaluation key %q", deploy.Cut(id, 80))}
	}
	k := stored.Key
	k.Hash = stored.SHA256
	if k.RevokedAt != nil {
		return &k, nil
	}
	k.RevokedAt, k.RevokedBy = &now, by
	return &k, f.putKey(ctx, &k, "attribute_exists(pk)")
}

// EvaluationKey tells which environment a key opens, by the SHA-256 of its text in hex. NotFound where there is no such
// key, or it was revoked: whoever asks isn't told which.
func (f *Flags) EvaluationKey(ctx context.Context, hash string) (app, environment string, err error) {
	var k keyItem
	if err := f.get(ctx, secretKey(hash), &k); err != nil {
		return "", "", err
	}
	if k.ID == "" || k.RevokedAt != nil {
		return "", "", deploy.Errorf(deploy.NotFound, "", "there is no such evaluation key")
	}
	return k.App, k.Environment, nil
}
