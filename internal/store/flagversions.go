package store

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// What of a change's versions goes into its transaction; the rest of 100 items and 4 MB are the snapshot's.
const (
	maxTogether      = 80
	maxTogetherBytes = 700 << 10
	batch            = 25 // items that BatchWriteItem takes
	writers          = 8  // batches at a time
)

// versions makes the items of a change's versions.
func (f *Flags) versions(app, environment, change string, all []board.Version) ([]attributes, error) {
	items := make([]attributes, len(all))
	for i, v := range all {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, deploy.Errorf(deploy.Internal, "flags", "encode version %d of %s: %w", v.Version, v.Key, err)
		}
		it := versionKey(app, environment, v.Key, v.Version, change)
		it["entry"], it["change"] = str(string(text)), str(change)
		it["revision"] = &types.AttributeValueMemberN{Value: strconv.FormatInt(v.Revision, 10)}
		items[i] = it
	}
	return items, nil
}

func entryOf(it attributes) string {
	text, _ := it["entry"].(*types.AttributeValueMemberS)
	if text == nil {
		return ""
	}
	return text.Value
}

func fits(versions []attributes) bool {
	total := 0
	for _, it := range versions {
		total += len(entryOf(it))
	}
	return len(versions) <= maxTogether && total <= maxTogetherBytes
}

// stage writes versions ahead of their transaction and marks them so.
func (f *Flags) stage(ctx context.Context, versions []attributes) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	batches := make(chan []attributes)
	for range writers {
		group.Go(func() {
			for each := range batches {
				if err := f.writeBatch(ctx, each); err != nil {
					stop(err)
				}
			}
		})
	}
	for each := range slices.Chunk(versions, batch) {
		batches <- each
	}
	close(batches)
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return deploy.Errorf(deploy.Internal, "flags", "write %d versions: %w", len(versions), err)
	}
	return nil
}

// writeBatch writes until nothing is left over: a table that has to grow first takes some items and not others.
func (f *Flags) writeBatch(ctx context.Context, items []attributes) error {
	left := make([]types.WriteRequest, len(items))
	for i, it := range items {
		it["staged"] = &types.AttributeValueMemberBOOL{Value: true}
		left[i] = types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
	}
	for pause := 20 * time.Millisecond; ; pause *= 2 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		out, err := f.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{f.table: left}})
		if err != nil {
			return err
		}
		if left = out.UnprocessedItems[f.table]; len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Versions pages through a flag's versions, the newest first. The versions of a deleted flag are there too.
func (f *Flags) Versions(ctx context.Context, app, environment, flag string, limit int, after string) ([]board.Version, string, error) {
	in := &dynamodb.QueryInput{
		TableName: &f.table, ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(limit)), ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk AND #sk < :before"),
		ExpressionAttributeNames:  map[string]string{"#pk": pk, "#sk": sk},
		ExpressionAttributeValues: attributes{":pk": str(versionsPartition(app, environment, flag)), ":before": str("W")},
	}
	if after != "" {
		name, err := parseCursor(after, validVersion)
		if err != nil {
			return nil, "", err
		}
		version, _ := strconv.ParseInt(name, 10, 64)
		in.ExpressionAttributeValues[":before"] = str(versionSort(version))
	}
	found := []board.Version{}
	for {
		page, last, err := f.versionPage(ctx, app, environment, in)
		if err != nil {
			return nil, "", err
		}
		found = append(found, page...)
		switch {
		case len(found) >= limit:
			found = found[:limit]
			return found, cursor(strconv.FormatInt(found[limit-1].Version, 10)), nil
		case last == nil:
			return found, "", nil
		}
		in.ExclusiveStartKey = last
	}
}

func validVersion(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && n > 0 && n <= 99_999_999
}

// Version reads one version of a flag. NotFound where there never was such.
func (f *Flags) Version(ctx context.Context, app, environment, flag string, version int64) (*board.Version, error) {
	if !validVersion(strconv.FormatInt(version, 10)) {
		return nil, noVersion(flag, version)
	}
	found, _, err := f.versionPage(ctx, app, environment, &dynamodb.QueryInput{
		TableName: &f.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :version)"),
		ExpressionAttributeNames:  map[string]string{"#pk": pk, "#sk": sk},
		ExpressionAttributeValues: attributes{":pk": str(versionsPartition(app, environment, flag)), ":version": str(versionSort(version))},
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noVersion(flag, version)
	}
	return &found[0], nil
}

// versionPage reads one page and leaves out what was staged for a change that never came.
func (f *Flags) versionPage(ctx context.Context, app, environment string, in *dynamodb.QueryInput) ([]board.Version, attributes, error) {
	out, err := f.db.Query(ctx, in)
	if err != nil {
		return nil, nil, deploy.Errorf(deploy.Internal, "flags", "list versions: %w", err)
	}
	var found []board.Version
	for _, it := range out.Items {
		var v board.Version
		if err := json.Unmarshal([]byte(entryOf(it)), &v); err != nil {
			return nil, nil, deploy.Errorf(deploy.Internal, "flags", "decode %s: %w", keyText(it), err)
		}
		if it["staged"] != nil {
			if came, err := f.came(ctx, app, environment, v.Revision, it); err != nil {
				return nil, nil, err
			} else if !came {
				continue
			}
		}
		found = append(found, v)
	}
	if len(out.LastEvaluatedKey) == 0 {
		return found, nil, nil
	}
	return found, out.LastEvaluatedKey, nil
}

// came tells whether the change that it was staged for made its revision.
func (f *Flags) came(ctx context.Context, app, environment string, revision int64, it attributes) (bool, error) {
	var made struct {
		Change string `json:"change"`
	}
	if err := f.get(ctx, changeKey(app, environment, revision), &made); err != nil {
		return false, err
	}
	change, _ := it["change"].(*types.AttributeValueMemberS)
	return change != nil && made.Change == change.Value, nil
}
