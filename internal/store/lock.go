package store

import (
	"context"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Head reads an environment's state, consistently. One that nothing was ever deployed to has an empty head.
func (s *Store) Head(ctx context.Context, app, environment string) (*deploy.Head, error) {
	h := deploy.Head{App: app, Environment: environment}
	if _, err := s.get(ctx, headKey(app, environment), &h); err != nil {
		return nil, err
	}
	return &h, nil
}

// Place reads a deployment's record and its environment's head in one request, both consistently. NotFound names the
// deployment.
func (s *Store) Place(ctx context.Context, app, environment, id string) (*deploy.Place, error) {
	keys := []attributes{headKey(app, environment), deploymentKey(id)}
	out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		s.table: {Keys: keys, ConsistentRead: aws.Bool(true)},
	}})
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "store", "read %s and %s: %w", keyText(keys[0]), keyText(keys[1]), err)
	}
	p := &deploy.Place{Head: &deploy.Head{App: app, Environment: environment}}
	for _, it := range out.Responses[s.table] {
		v := any(p.Head)
		if sameKey(it, keys[1]) {
			p.Deployment = &deploy.Deployment{}
			v = p.Deployment
		}
		if err := decode(it, v); err != nil {
			return nil, deploy.Errorf(deploy.Internal, "store", "decode %s: %w", keyText(it), err)
		}
	}
	return p, s.rest(ctx, p, out.UnprocessedKeys[s.table].Keys, id)
}

// rest reads one by one what a busy table left out.
func (s *Store) rest(ctx context.Context, p *deploy.Place, left []attributes, id string) (err error) {
	for _, key := range left {
		if !sameKey(key, deploymentKey(id)) {
			if p.Head, err = s.Head(ctx, p.Head.App, p.Head.Environment); err != nil {
				return err
			}
		}
	}
	if p.Deployment == nil {
		p.Deployment, err = s.Deployment(ctx, id)
	}
	return err
}

// Change makes one decision about an environment: decide is given its head and may read records with the function, and
// change all of them; what it changed is written in one transaction, or nothing is. It is called anew on fresh copies
// where another write came between, so it must have no other effect. Its own error ends the change. What the caller has
// read already, if at is not nil, is not read again for the first try.
func (s *Store) Change(ctx context.Context, app, environment string,
	decide func(h *deploy.Head, record func(id string) (*deploy.Deployment, error)) error, at *deploy.Place) error {
	return again(ctx, "head of "+appEnvironment(app, environment), func() (err error) {
		tx, h := transaction{store: s, ctx: ctx}, (*deploy.Head)(nil)
		if at != nil {
			if err := tx.take(at.Deployment); err != nil {
				return err
			}
			h, at = at.Head, nil // good for one try
		}
		if h == nil {
			if h, err = s.Head(ctx, app, environment); err != nil {
				return err
			}
		}
		before, err := encode(h)
		if err != nil {
			return deploy.Errorf(deploy.Internal, "store", "encode: %w", err)
		}
		if err := decide(h, tx.record); err != nil {
			return err
		}
		return tx.commit(before, h)
	})
}

// transaction is one try of a Change.
type transaction struct {
	store   *Store
	ctx     context.Context //nolint:containedctx // lives as long as the call that made it
	ids     []string
	before  []attributes
	records []*deploy.Deployment
}

func (t *transaction) record(id string) (*deploy.Deployment, error) {
	if i := slices.Index(t.ids, id); i >= 0 {
		return t.records[i], nil
	}
	d, err := t.store.Deployment(t.ctx, id)
	if err != nil {
		return nil, err
	}
	return d, t.take(d)
}

func (t *transaction) take(d *deploy.Deployment) error {
	before, err := encode(d)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "store", "encode %s: %w", d.ID, err)
	}
	t.ids, t.before, t.records = append(t.ids, d.ID), append(t.before, before), append(t.records, d)
	return nil
}

func (t *transaction) commit(before attributes, h *deploy.Head) error {
	var writes []types.TransactWriteItem
	if same, err := unchanged(before, h); err != nil {
		return err
	} else if !same {
		version := h.Version
		h.Version++
		it, err := item(headKey(h.App, h.Environment), h, nil)
		if err != nil {
			return err
		}
		writes = append(writes, t.write(it, version))
	}
	for i, d := range t.records {
		if same, err := unchanged(t.before[i], d); err != nil {
			return err
		} else if same {
			continue
		}
		version := d.Version
		d.Version++
		it, err := deploymentItem(d)
		if err != nil {
			return err
		}
		writes = append(writes, t.write(it, version))
	}
	if len(writes) == 0 {
		return nil
	}
	return t.send(writes)
}

func (t *transaction) write(it attributes, version int64) types.TransactWriteItem {
	put := &types.Put{TableName: &t.store.table, Item: it}
	put.ConditionExpression, put.ExpressionAttributeValues = versionIs(version)
	if put.ExpressionAttributeValues != nil {
		put.ExpressionAttributeNames = versionName
	}
	return types.TransactWriteItem{Put: put}
}

// send writes all or nothing. The SDK's own tries carry one token, so that a lost answer does no harm.
func (t *transaction) send(writes []types.TransactWriteItem) error {
	return overtaken(t.store.db.TransactWriteItems(t.ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes}))
}

func unchanged(before attributes, v any) (bool, error) {
	after, err := encode(v)
	if err != nil {
		return false, deploy.Errorf(deploy.Internal, "store", "encode: %w", err)
	}
	return reflect.DeepEqual(before, after), nil
}
