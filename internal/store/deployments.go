package store

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Create stores a new deployment. Conflict where its id is taken.
func (s *Store) Create(ctx context.Context, d *deploy.Deployment) error {
	d.Version = 1
	it, err := deploymentItem(d)
	if err != nil {
		return err
	}
	if err := s.put(ctx, it, 0); errors.Is(err, errOvertaken) {
		return deploy.Errorf(deploy.Conflict, "", "deployment %s exists", d.ID)
	} else if err != nil {
		return err
	}
	return nil
}

// Deployment reads one, consistently. NotFound names the id.
func (s *Store) Deployment(ctx context.Context, id string) (*deploy.Deployment, error) {
	var d deploy.Deployment
	if err := s.named(ctx, deploymentKey(id), &d, "deployment", id); err != nil {
		return nil, err
	}
	return &d, nil
}

// Update changes a deployment: change is given it as read before, and, when another write came between, as it is by
// then; it is called anew each time and its error ends the update with nothing written. Afterwards d is what is stored.
func (s *Store) Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	return again(ctx, d.ID, func() error {
		if err := change(d); err != nil {
			return err
		}
		version := d.Version
		d.Version++
		it, err := deploymentItem(d)
		if err != nil {
			return err
		}
		err = s.put(ctx, it, version)
		if errors.Is(err, errOvertaken) {
			fresh, readErr := s.Deployment(ctx, d.ID)
			if readErr != nil {
				return readErr
			}
			*d = *fresh
		}
		return err
	})
}

func deploymentItem(d *deploy.Deployment) (attributes, error) {
	more := attributes{"kind": str(kindDeployment), "app_environment": str(appEnvironment(d.App, d.Environment))}
	if !d.Status.Ended() {
		more["open"] = str(kindDeployment)
	}
	return item(deploymentKey(d.ID), d, more)
}

// Open lists the ids of all deployments that have not ended, the oldest first. It may lag behind the last second.
func (s *Store) Open(ctx context.Context) (ids []string, err error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, IndexName: aws.String(indexOpen), KeyConditionExpression: aws.String("#open = :open"),
		ExpressionAttributeNames:  map[string]string{"#open": "open"},
		ExpressionAttributeValues: attributes{":open": str(kindDeployment)},
	}
	for {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, deploy.Errorf(deploy.Internal, "store", "list open deployments: %w", err)
		}
		for _, it := range out.Items {
			var d struct {
				ID string `json:"id"`
			}
			if err := decode(it, &d); err != nil {
				return nil, deploy.Errorf(deploy.Internal, "store", "decode an open deployment: %w", err)
			}
			ids = append(ids, d.ID)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return ids, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// maxEvaluated bounds what one page may read where a status filters most of it away.
const maxEvaluated = 1000

// List pages through deployments, the newest first: summaries, without timeline, stages and checks. A page filtered by
// status may be short, even empty, and still have a next cursor. Invalid for a cursor that List did not make.
func (s *Store) List(ctx context.Context, q deploy.Query) ([]deploy.Deployment, string, error) {
	in, err := s.listInput(q)
	if err != nil {
		return nil, "", err
	}
	page := make([]deploy.Deployment, 0, q.Limit)
	for evaluated := 0; ; {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, "", deploy.Errorf(deploy.Internal, "store", "list deployments: %w", err)
		}
		for _, it := range out.Items {
			var d deploy.Deployment
			if err := decode(it, &d); err != nil {
				return nil, "", deploy.Errorf(deploy.Internal, "store", "decode a deployment: %w", err)
			}
			page = append(page, d)
			if len(page) == q.Limit {
				return page, nextCursor(d.ID, out.LastEvaluatedKey, len(page) < len(out.Items)), nil
			}
		}
		evaluated += int(out.ScannedCount)
		if len(out.LastEvaluatedKey) == 0 {
			return page, "", nil
		}
		if evaluated >= maxEvaluated {
			var last deploy.Deployment
			if err := decode(out.LastEvaluatedKey, &last); err != nil {
				return nil, "", deploy.Errorf(deploy.Internal, "store", "decode a page's end: %w", err)
			}
			return page, cursor(last.ID), nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// nextCursor gives the cursor behind id where there may be more.
func nextCursor(id string, last attributes, more bool) string {
	if len(last) == 0 && !more {
		return ""
	}
	return cursor(id)
}

func (s *Store) listInput(q deploy.Query) (*dynamodb.QueryInput, error) {
	index, name, value := indexByTime, "kind", kindDeployment
	switch {
	case q.Environment != "":
		index, name, value = indexByEnvironment, "app_environment", appEnvironment(q.App, q.Environment)
	case q.App != "":
		index, name, value = indexByApp, "app", q.App
	}
	in := &dynamodb.QueryInput{
		TableName: &s.table, IndexName: &index, ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(q.Limit)),
		KeyConditionExpression:    aws.String("#partition = :partition"),
		ExpressionAttributeNames:  map[string]string{"#partition": name},
		ExpressionAttributeValues: attributes{":partition": str(value)},
	}
	if q.Status != "" {
		in.FilterExpression = aws.String("#status = :status")
		in.ExpressionAttributeNames["#status"] = "status"
		in.ExpressionAttributeValues[":status"] = str(string(q.Status))
		in.Limit = aws.Int32(deploy.MaxPage)
	}
	if q.Cursor != "" {
		id, err := parseCursor(q.Cursor, deploy.ValidID)
		if err != nil {
			return nil, err
		}
		in.ExclusiveStartKey = deploymentKey(id)
		in.ExclusiveStartKey["id"], in.ExclusiveStartKey[name] = str(id), str(value)
	}
	return in, nil
}
