// Package store keeps deployments, heads, releases and apps in DynamoDB. Every write is a compare-and-swap, no call scans.
package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/retry"
)

// Store is the deployments table.
type Store struct {
	db    Client
	table string
}

// Client is what the store needs of DynamoDB.
type Client interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// New makes a store over a table.
func New(db Client, table string) *Store { return &Store{db: db, table: table} }

// Bounds on the pause before a write that others overtook is decided anew. Two hundred deployments that ask for the lock at one moment
// keep a table busy for many seconds: the longer they wait, the sooner all are through.
const (
	firstPause = 10 * time.Millisecond
	maxPause   = 2 * time.Second
)

// stamp is the attribute that tells one's own write from another's when the answer to it was lost.
const stamp = "write_id"

// errOvertaken: the item is no longer what the decision was made on.
var errOvertaken = errors.New("overtaken by another write")

func encode(v any) (attributes, error) {
	return attributevalue.MarshalMapWithOptions(v, func(o *attributevalue.EncoderOptions) { o.TagKey = "json" })
}

func decode(item attributes, v any) error {
	return attributevalue.UnmarshalMapWithOptions(item, v, func(o *attributevalue.DecoderOptions) { o.TagKey = "json" })
}

// get reads one item consistently; nil where there is none.
func (s *Store) get(ctx context.Context, key attributes, v any) (attributes, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "store", "read %s: %w", keyText(key), err)
	}
	if len(out.Item) == 0 {
		return nil, nil
	}
	if err := decode(out.Item, v); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "store", "decode %s: %w", keyText(key), err)
	}
	return out.Item, nil
}

// named reads the item that a request names. NotFound says which, by the field and the name it was asked for with.
func (s *Store) named(ctx context.Context, key attributes, v any, field, name string) error {
	it, err := s.get(ctx, key, v)
	if err == nil && it == nil {
		return &deploy.Error{Kind: deploy.NotFound, Field: field, Err: fmt.Errorf("there is no %s %q", field, deploy.Cut(name, 80))}
	}
	return err
}

// item encodes v under key with a new stamp.
func item(key attributes, v any, more attributes) (attributes, error) {
	it, err := encode(v)
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "store", "encode %s: %w", keyText(key), err)
	}
	for _, extra := range []attributes{key, more, {stamp: str(rand.Text())}} {
		for name, value := range extra {
			it[name] = value
		}
	}
	return it, nil
}

// put writes it where the stored version is still the given one; 0 means that nothing is stored. errOvertaken where
// it isn't. A write whose answer was lost, and that the SDK sent again, is known by its stamp.
func (s *Store) put(ctx context.Context, it attributes, version int64) error {
	in := &dynamodb.PutItemInput{TableName: &s.table, Item: it,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	in.ConditionExpression, in.ExpressionAttributeValues = versionIs(version)
	if in.ExpressionAttributeValues != nil {
		in.ExpressionAttributeNames = versionName
	}
	err := s.putOnce(ctx, in)
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		if sameStamp(failed.Item, it) {
			return nil
		}
		return errOvertaken
	}
	return deploy.Errorf(deploy.Internal, "store", "write %s: %w", keyText(it), err)
}

// putOnce waits for a transaction that is at work on the item to end. That may leave the item as it was, so that it is no sign
// that the write was overtaken.
func (s *Store) putOnce(ctx context.Context, in *dynamodb.PutItemInput) (refused error) {
	err := again(ctx, keyText(in.Item), func() error {
		var ongoing *types.TransactionConflictException
		if _, refused = s.db.PutItem(ctx, in); errors.As(refused, &ongoing) {
			return errOvertaken
		}
		return nil
	})
	return cmp.Or(err, refused)
}

var versionName = map[string]string{"#version": "version"}

func versionIs(version int64) (*string, attributes) {
	if version == 0 {
		return aws.String("attribute_not_exists(pk)"), nil
	}
	return aws.String("#version = :version"), attributes{":version": &types.AttributeValueMemberN{Value: strconv.FormatInt(version, 10)}}
}

func sameStamp(a, b attributes) bool {
	x, ok := a[stamp].(*types.AttributeValueMemberS)
	y, ok2 := b[stamp].(*types.AttributeValueMemberS)
	return ok && ok2 && x.Value == y.Value
}

// again runs try until it isn't overtaken any more, with longer pauses each time, for as long as the caller has time.
func again(ctx context.Context, what string, try func() error) error {
	end := retry.End(ctx)
	for n := 0; ; n++ {
		err := try()
		if !errors.Is(err, errOvertaken) {
			return err
		}
		if time.Now().After(end) {
			return deploy.Errorf(deploy.Internal, "store", "write %s: overtaken by other writes %d times", what, n+1)
		}

		select {
		case <-ctx.Done():
			return deploy.Errorf(deploy.Internal, "store", "write %s: %w", what, context.Cause(ctx))
		case <-time.After(mathrand.N(min(firstPause<<min(n, 10), maxPause))):
		}
	}
}

// keyText says which item a key, or an item with one, is.
func keyText(key attributes) string {
	text := func(name string) string {
		if s, ok := key[name].(*types.AttributeValueMemberS); ok {
			return s.Value
		}
		return "?"
	}
	return text(pk) + "/" + text(sk)
}

func sameKey(a, b attributes) bool { return keyText(a) == keyText(b) }
