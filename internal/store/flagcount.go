package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

const (
	countsKept  = 90 * 24 * time.Hour // by the table's TTL
	countsAtOne = 50                  // two items each, of a transaction's hundred
)

// AddCounts adds up evaluations, fifty a transaction; each flag, variant and hour is there once. On an error the rest was tried all the same; it
// says how many evaluations were lost. Adding twice what may or may not have been added would be worse.
func (f *Flags) AddCounts(ctx context.Context, app, environment string, counts []deploy.Evaluations) error {
	var lost, all int64
	var failure error
	for each := range slices.Chunk(counts, countsAtOne) {
		var n int64
		writes := make([]types.TransactWriteItem, 0, 2*len(each))
		for i, c := range each {
			n += c.N
			writes = append(writes, f.add(app, environment, c))
			if first, latest := span(each, i); latest {
				writes = append(writes, f.seen(app, environment, c, first))
			}
		}
		all += n
		_, err := f.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes, ClientRequestToken: aws.String(rand.Text())})
		if err != nil {
			lost, failure = lost+n, err
		}
	}
	if failure != nil {
		return deploy.Errorf(deploy.Internal, "flags", "%d of %d evaluations could not be counted: %w", lost, all, failure)
	}
	return nil
}

// span gives the first hour of all counts of a variant, and whether the i-th is its last: a transaction takes an item
// only once.
func span(counts []deploy.Evaluations, i int) (first time.Time, latest bool) {
	mine := counts[i]
	first, latest = mine.Hour, true
	for j, c := range counts {
		if c.Flag != mine.Flag || c.Variant != mine.Variant {
			continue
		}
		if c.Hour.Before(first) {
			first = c.Hour
		}
		latest = latest && !c.Hour.After(mine.Hour) && (j <= i || c.Hour.Before(mine.Hour))
	}
	return first, latest
}

func (f *Flags) add(app, environment string, c deploy.Evaluations) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &f.table, Key: countKey(app, environment, c.Flag, c.Variant, c.Hour),
		UpdateExpression:         aws.String("ADD #count :n SET #expires = :expires"),
		ExpressionAttributeNames: map[string]string{"#count": "count", "#expires": "expires"},
		ExpressionAttributeValues: attributes{
			":n":       &types.AttributeValueMemberN{Value: strconv.FormatInt(c.N, 10)},
			":expires": &types.AttributeValueMemberN{Value: strconv.FormatInt(c.Hour.Add(countsKept).Unix(), 10)},
		},
	}}
}

// seen moves the hour in which a variant was served last. One that is late moves it back by at most its own lateness,
// which is the time between two batches.
func (f *Flags) seen(app, environment string, c deploy.Evaluations, first time.Time) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &f.table, Key: lastKey(app, environment, c.Flag, c.Variant),
		UpdateExpression:          aws.String("SET #last = :hour, #first = if_not_exists(#first, :first)"),
		ExpressionAttributeNames:  map[string]string{"#last": "last", "#first": "first"},
		ExpressionAttributeValues: attributes{":hour": str(c.Hour.UTC().Format(time.RFC3339)), ":first": str(first.UTC().Format(time.RFC3339))},
	}}
}

// Seen tells what was served of the flags from one key to another, both included; "" and "" are all.
func (f *Flags) Seen(ctx context.Context, app, environment, from, to string) (map[string][]board.Seen, error) {
	in := &dynamodb.QueryInput{
		TableName:                &f.table,
		KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :from AND :to"),
		ExpressionAttributeNames: map[string]string{"#pk": pk, "#sk": sk},
		ExpressionAttributeValues: attributes{":pk": str(flagsPartition("LAST", app, environment)),
			":from": str(from + "#"), ":to": str(to + "$")}, // $ follows #
	}
	if to == "" {
		in.ExpressionAttributeValues[":from"], in.ExpressionAttributeValues[":to"] = str("#"), str("~")
	}
	found := map[string][]board.Seen{}
	for {
		out, err := f.db.Query(ctx, in)
		if err != nil {
			return nil, deploy.Errorf(deploy.Internal, "flags", "read what was evaluated: %w", err)
		}
		for _, it := range out.Items {
			flag, seen, err := seenOf(it)
			if err != nil {
				return nil, err
			}
			found[flag] = append(found[flag], seen)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return found, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func seenOf(it attributes) (flag string, seen board.Seen, err error) {
	var times struct {
		SK    string    `json:"sk"`
		First time.Time `json:"first"`
		Last  time.Time `json:"last"`
	}
	if err := decode(it, &times); err != nil {
		return "", seen, fmt.Errorf("decode %s: %w", keyText(it), err)
	}
	flag, seen.Variant = cutLast(times.SK)
	seen.First, seen.Last = times.First, times.Last
	return flag, seen, nil
}
