package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

const (
	batch   = 25 // BatchWriteItem's bound
	writers = 4
)

// epoch is the first stored deployment's start; the others follow a second apart.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// loader fills the table with copies of a real deployment's record.
type loader struct {
	db    *dynamodb.Client
	table string
	item  map[string]types.AttributeValue
	ids   []string // stored so far
}

// template takes the copies' original: a deployment that the pipeline has made.
func (l *loader) template(ctx context.Context, id string) error {
	out, err := l.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &l.table, Key: key(id)})
	if err != nil {
		return err
	}
	if len(out.Item) == 0 {
		return fmt.Errorf("no record of %s", id)
	}
	l.item = out.Item
	return nil
}

func key(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "DEPLOYMENT#" + id}, "sk": &types.AttributeValueMemberS{Value: "RECORD"},
	}
}

// fill brings the number of copies to n.
func (l *loader) fill(ctx context.Context, n int) error {
	from := len(l.ids)
	for i := from; i < n; i++ {
		l.ids = append(l.ids, deploy.NewID(epoch.Add(time.Duration(i)*time.Second), binary.BigEndian.AppendUint64(nil, uint64(i)<<24)))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan []string)
	var workers sync.WaitGroup
	for range writers {
		workers.Go(func() {
			for ids := range batches {
				if err := l.write(ctx, ids); err != nil {
					cancel(err)
				}
			}
		})
	}
	for ids := range slices.Chunk(l.ids[from:], batch) {
		batches <- ids
	}
	close(batches)
	workers.Wait()
	return context.Cause(ctx)
}

func (l *loader) write(ctx context.Context, ids []string) error {
	var writes []types.WriteRequest
	for _, id := range ids {
		item := maps.Clone(l.item)
		maps.Copy(item, key(id))
		item["id"] = &types.AttributeValueMemberS{Value: id}
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
	}
	out, err := l.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{l.table: writes}})
	if err != nil {
		return err
	}
	if left := len(out.UnprocessedItems[l.table]); left > 0 {
		return fmt.Errorf("%d of %d items were not taken", left, len(writes))
	}
	return nil
}

// middle is the copy before the one that a page in the middle begins with; the pages go back in time.
func (l *loader) middle() string { return l.ids[len(l.ids)/2+page/2] }
