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

// Remember keeps the answer to a request that made nothing by itself, where the key is new.
func (s *Store) Remember(ctx context.Context, r deploy.Request) error {
	it, err := item(requestKey(r.Key), r, nil)
	if err != nil {
		return err
	}
	if err := s.put(ctx, it, 0); !errors.Is(err, errOvertaken) {
		return err
	}
	return nil
}

// Tip reads a branch's last deployed push, consistently; nil where nothing of it was deployed yet.
func (s *Store) Tip(ctx context.Context, app, environment, branch string) (*deploy.Tip, error) {
	var t deploy.Tip
	it, err := s.get(ctx, tipKey(app, environment, branch), &t)
	if err != nil || it == nil {
		return nil, err
	}
	return &t, nil
}

// MoveTip stores what is known of a branch's pushes over the version before, without a deployment. Superseded where it has moved.
func (s *Store) MoveTip(ctx context.Context, tip deploy.Tip) error {
	version := tip.Version
	tip.Version++
	it, err := item(tipKey(tip.App, tip.Environment, tip.Branch), tip, nil)
	if err != nil {
		return err
	}
	if err = s.put(ctx, it, version); errors.Is(err, errOvertaken) {
		return deploy.Errorf(deploy.Superseded, "", "another push to %s was told of meanwhile", tip.Branch)
	}
	return err
}

// CreateOnce stores a new deployment together with the request that it is for, and, if tip isn't nil, the branch's new tip
// over the one of the version before: all of them, or none. Where the key is taken, the request that has it is the answer,
// else nil. A key is free when it has expired by the deployment's start, or belongs to the deployment that the new one
// replaces. Superseded where the tip has moved.
func (s *Store) CreateOnce(ctx context.Context, d *deploy.Deployment, r deploy.Request, replaces string, tip *deploy.Tip) (taken *deploy.Request, err error) {
	d.Version, r.Deployment = 1, d.ID
	writes, err := s.once(d, r, replaces, tip)
	if err != nil {
		return nil, err
	}
	err = again(ctx, "request "+r.Key, func() error {
		taken = nil
		err := overtaken(s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes}))
		if !errors.Is(err, errOvertaken) {
			return err
		}
		taken, err = s.holder(ctx, d, r.Key, replaces, tip)
		return err
	})
	return taken, err
}

func (s *Store) once(d *deploy.Deployment, r deploy.Request, replaces string, tip *deploy.Tip) ([]types.TransactWriteItem, error) {
	record, err := deploymentItem(d)
	if err != nil {
		return nil, err
	}
	request, err := item(requestKey(r.Key), r, nil)
	if err != nil {
		return nil, err
	}
	tx := transaction{store: s}
	writes := []types.TransactWriteItem{tx.write(record, 0),
		{Put: &types.Put{TableName: &s.table, Item: request,
			ConditionExpression:      aws.String("attribute_not_exists(pk) OR #expires <= :now OR #deployment = :replaces"),
			ExpressionAttributeNames: map[string]string{"#expires": "expires", "#deployment": "deployment"},
			ExpressionAttributeValues: attributes{
				":now": &types.AttributeValueMemberN{Value: strconv.FormatInt(d.StartTime.Unix(), 10)}, ":replaces": str(replaces),
			},
		}},
	}
	if tip == nil {
		return writes, nil
	}
	moved := *tip
	moved.Deployment, moved.Started = d.ID, d.StartTime
	moved.Version++
	it, err := item(tipKey(tip.App, tip.Environment, tip.Branch), moved, nil)
	return append(writes, tx.write(it, tip.Version)), err
}

// holder finds who has the key that d could not get. It is nil where d has it: an earlier answer was lost.
func (s *Store) holder(ctx context.Context, d *deploy.Deployment, key, replaces string, tip *deploy.Tip) (*deploy.Request, error) {
	r, err := s.Request(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case r != nil && r.Deployment == d.ID:
		return nil, nil
	case r != nil && r.Expires > d.StartTime.Unix() && r.Deployment != replaces:
		return r, nil
	}
	if _, err := s.Deployment(ctx, d.ID); err == nil {
		return nil, deploy.Errorf(deploy.Conflict, "", "deployment %s exists", d.ID)
	}
	if tip == nil {
		return nil, errOvertaken
	}
	now, err := s.Tip(ctx, tip.App, tip.Environment, tip.Branch)
	if err == nil && now != nil && now.Version != tip.Version {
		err = deploy.Errorf(deploy.Superseded, "", "%s was pushed to %s meanwhile", deploy.ShortCommit(now.CommitSHA), tip.Branch)
	} else if err == nil {
		err = errOvertaken
	}
	return nil, err
}

// overtaken makes one error of the ways in which a transaction says that it would go another way when it is decided anew.
func overtaken(_ *dynamodb.TransactWriteItemsOutput, err error) error {
	if isOvertaken(err) {
		return errOvertaken
	}
	if err != nil {
		return deploy.Errorf(deploy.Internal, "store", "write at once: %w", err)
	}
	return nil
}
