package store

import (
	"context"
	"errors"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Request reads what was remembered under a key; nil where nothing was. DynamoDB deletes an expired one when it pleases,
// so that one may still come back.
func (s *Store) Request(ctx context.Context, key string) (*deploy.Request, error) {
	var r deploy.Request
	it, err := s.get(ctx, requestKey(key), &r)
	if err != nil || it == nil {
		return nil, err
	}
	return &r, nil
}

// CreateOnce stores a new deployment together with the request that it is for: both, or neither where the key is taken.
// Then the request that has it is the answer, else nil. A key is free when it has expired by the deployment's start, or
// belongs to the deployment that the new one replaces.
func (s *Store) CreateOnce(ctx context.Context, d *deploy.Deployment, r deploy.Request, replaces string) (taken *deploy.Request, err error) {
	d.Version, r.Deployment = 1, d.ID
	record, err := deploymentItem(d)
	if err != nil {
		return nil, err
	}
	request, err := item(requestKey(r.Key), r, nil)
	if err != nil {
		return nil, err
	}
	in := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &s.table, Item: record, ConditionExpression: aws.String("attribute_not_exists(pk)")}},
		{Put: &types.Put{TableName: &s.table, Item: request,
			ConditionExpression:      aws.String("attribute_not_exists(pk) OR #expires <= :now OR #deployment = :replaces"),
			ExpressionAttributeNames: map[string]string{"#expires": "expires", "#deployment": "deployment"},
			ExpressionAttributeValues: attributes{
				":now": &types.AttributeValueMemberN{Value: strconv.FormatInt(d.StartTime.Unix(), 10)}, ":replaces": str(replaces),
			},
		}},
	}}
	err = again(ctx, "request "+r.Key, func() error {
		taken = nil
		err := overtaken(s.db.TransactWriteItems(ctx, in))
		if !errors.Is(err, errOvertaken) {
			return err
		}
		taken, err = s.holder(ctx, d, r.Key, replaces)
		return err
	})
	return taken, err
}

// holder finds who has the key that d could not get. It is nil where d has it: an earlier answer was lost.
func (s *Store) holder(ctx context.Context, d *deploy.Deployment, key, replaces string) (*deploy.Request, error) {
	r, err := s.Request(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case r == nil, r.Expires <= d.StartTime.Unix(), r.Deployment == replaces: // free again: it wasn't the key, or not for long
		if _, err := s.Deployment(ctx, d.ID); err == nil {
			return nil, deploy.Errorf(deploy.Conflict, "", "deployment %s exists", d.ID)
		}
		return nil, errOvertaken
	case r.Deployment == d.ID:
		return nil, nil
	}
	return r, nil
}

// overtaken makes one error of the ways in which a transaction says that an item is not as it was thought to be.
func overtaken(_ *dynamodb.TransactWriteItemsOutput, err error) error {
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		for _, reason := range cancelled.CancellationReasons {
			switch aws.ToString(reason.Code) {
			case "ConditionalCheckFailed", "TransactionConflict":
				return errOvertaken
			}
		}
	}
	var conflict *types.TransactionConflictException
	if errors.As(err, &conflict) {
		return errOvertaken
	}
	if err != nil {
		return deploy.Errorf(deploy.Internal, "store", "write at once: %w", err)
	}
	return nil
}
