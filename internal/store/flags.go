package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// Flags is the flags table.
type Flags struct {
	db     FlagClient
	table  string
	states cache
}

// FlagClient is what Flags needs of DynamoDB.
type FlagClient interface {
	Client
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
}

// NewFlags makes a Flags over a table.
func NewFlags(db FlagClient, table string) *Flags { return &Flags{db: db, table: table} }

// get reads one item consistently; v stays as it is where there is none.
func (f *Flags) get(ctx context.Context, key attributes, v any) error {
	out, err := f.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &f.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return deploy.Errorf(deploy.Internal, "flags", "read %s: %w", keyText(key), err)
	}
	if err := decode(out.Item, v); err != nil {
		return deploy.Errorf(deploy.Internal, "flags", "decode %s: %w", keyText(key), err)
	}
	return nil
}

// Change makes one change of an environment's flags and gives the state after it. decide makes the draft of it; it is
// called anew on a fresh state where another change came between, so it must have no other effect. Its error, and that
// of the draft's own check, ends the change with nothing written.
func (f *Flags) Change(ctx context.Context, app, environment string, o board.Origin, decide func(*board.Draft) error) (*board.State, error) {
	var after *board.State
	err := again(ctx, "flags of "+appEnvironment(app, environment), func() error {
		s, _, err := f.state(ctx, app, environment)
		if err != nil {
			return err
		}
		draft := s.Draft(o)
		if err := decide(draft); err != nil {
			return err
		}
		c, err := draft.Commit()
		if after = s; err != nil || c == nil {
			return err
		}
		after = c.Next
		return f.commit(ctx, app, environment, c)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// commit writes a change: all of it in one transaction, but for more versions than that takes, which are written
// before. Nobody sees those until the transaction has named their change as the one that made the revision.
func (f *Flags) commit(ctx context.Context, app, environment string, c *board.Commit) error {
	change := strings.ToLower(rand.Text())
	versions, err := f.versions(app, environment, change, c.Versions)
	if err != nil {
		return err
	}
	document, err := f.puts(c.Next.JSON(), func(n int) attributes { return documentKey(app, environment, n) }, c.Next.Revision, maxDocumentChunks)
	if err != nil {
		return err
	}
	entries, err := json.Marshal(c.Next.Index)
	if err != nil {
		return deploy.Errorf(deploy.Internal, "flags", "encode the index: %w", err)
	}
	index, err := f.puts(entries, func(n int) attributes { return indexKey(app, environment, n) }, c.Next.Revision, maxIndexChunks)
	if err != nil {
		return err
	}
	audit, err := f.audit(app, environment, change, &c.Audit)
	if err != nil {
		return err
	}
	flip, err := f.flip(app, environment, c.Base.Revision, revision{Revision: c.Next.Revision, Chunks: len(document),
		IndexChunks: len(index), Flags: len(c.Next.Flags), Change: change, UpdatedAt: c.Audit.Time})
	if err != nil {
		return err
	}
	writes := append(append([]types.TransactWriteItem{flip, audit}, document...), index...)
	if fits(versions) {
		for _, it := range versions {
			writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &f.table, Item: it}})
		}
	} else if err := f.stage(ctx, versions); err != nil {
		return err
	}
	return f.settle(ctx, app, environment, change, writes)
}

// settle sends the transaction. Where its condition fails, it may be our own earlier try whose answer was lost.
func (f *Flags) settle(ctx context.Context, app, environment, change string, writes []types.TransactWriteItem) error {
	_, err := f.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if err == nil {
		return nil
	}
	overtaken := isOvertaken(err)
	if !overtaken {
		return deploy.Errorf(deploy.Internal, "flags", "write %d items at once: %w", len(writes), err)
	}
	var r revision
	if err := f.get(ctx, revisionKey(app, environment), &r); err == nil && r.Change == change {
		return nil
	}
	return errOvertaken
}

// isOvertaken tells whether a transaction failed on what others wrote, or on a table that was busy: the SDK tries a request again
// that is throttled, but not a transaction that is cancelled for it.
func isOvertaken(err error) bool {
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		for _, reason := range cancelled.CancellationReasons {
			switch aws.ToString(reason.Code) {
			case "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
				return true
			}
		}
	}
	var conflict *types.TransactionConflictException
	return errors.As(err, &conflict)
}

func (f *Flags) audit(app, environment, change string, a *board.Audit) (types.TransactWriteItem, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return types.TransactWriteItem{}, deploy.Errorf(deploy.Internal, "flags", "encode an audit entry: %w", err)
	}
	it := changeKey(app, environment, a.Revision)
	it["change"], it["entry"], it["by"], it["at"] = str(change), str(string(text)), str(a.By), str(a.Time.Format(hourForm))
	return types.TransactWriteItem{Put: &types.Put{TableName: &f.table, Item: it}}, nil
}

// NoVersion is the error for a version that a flag never had.
func noVersion(flag string, version int64) error {
	return &deploy.Error{Kind: deploy.NotFound, Field: "version", Err: fmt.Errorf("there is no version %d of flag %q", version, deploy.Cut(flag, 128))}
}
