package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// A state is kept as two compressed texts, in chunks that are overwritten in place: what readers evaluate, and what
// only the control API asks for. They go into the same transaction as the revision, which takes 4 MB in all.
const (
	chunkBytes        = 300 << 10 // under DynamoDB's 400 KB an item
	maxDocumentChunks = 7
	maxIndexChunks    = 3
)

// revision is the item that readers look at, once a second and each time the same: it is small.
type revision struct {
	Revision    int64     `json:"revision"`
	Chunks      int       `json:"chunks"`       // of the document
	IndexChunks int       `json:"index_chunks"` // of the index
	Flags       int       `json:"flags"`
	Change      string    `json:"change"` // that made it
	UpdatedAt   time.Time `json:"updated_at"`
}

// chunk is a piece of a compressed text.
type chunk struct {
	Revision int64  `json:"revision"`
	Chunks   int    `json:"chunks"` // of the whole text
	Part     []byte `json:"part"`
}

// errTorn: chunks of different revisions were read, since a write came between.
var errTorn = errors.New("the snapshot was overwritten while it was read")

// Revision tells which revision of an environment's flags is the newest, 0 before the first. It is one read, and may be
// behind by the moment that DynamoDB's eventual consistency takes.
func (f *Flags) Revision(ctx context.Context, app, environment string) (int64, error) {
	key := revisionKey(app, environment)
	out, err := f.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &f.table, Key: key,
		ProjectionExpression: aws.String("#revision"), ExpressionAttributeNames: map[string]string{"#revision": "revision"}})
	if err != nil {
		return 0, deploy.Errorf(deploy.Internal, "flags", "read %s: %w", keyText(key), err)
	}
	var r revision
	if err := decode(out.Item, &r); err != nil {
		return 0, deploy.Errorf(deploy.Internal, "flags", "decode %s: %w", keyText(key), err)
	}
	return r.Revision, nil
}

// Snapshot gives the newest document for evaluation, as flag.CompileLenient reads it, and its revision. An environment
// that nobody wrote to has no flags, and revision 0.
func (f *Flags) Snapshot(ctx context.Context, app, environment string) ([]byte, int64, error) {
	var text []byte
	r, err := f.whole(ctx, app, environment, func(r *revision) (err error) {
		text, err = f.text(ctx, func(n int) attributes { return documentKey(app, environment, n) }, r.Revision, r.Chunks)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if r.Revision == 0 {
		return []byte(`{"flags":{}}`), 0, nil
	}
	return text, r.Revision, nil
}

// State reads an environment's flags with all that is known of them, consistently.
func (f *Flags) State(ctx context.Context, app, environment string) (*board.State, error) {
	s, _, err := f.state(ctx, app, environment)
	return s, err
}

func (f *Flags) state(ctx context.Context, app, environment string) (*board.State, *revision, error) {
	var known *board.State
	var document, index []byte
	r, err := f.whole(ctx, app, environment, func(r *revision) (err error) {
		if known = f.states.get(r.Change); known != nil {
			return nil
		}
		document, err = f.text(ctx, func(n int) attributes { return documentKey(app, environment, n) }, r.Revision, r.Chunks)
		if err != nil {
			return err
		}
		index, err = f.text(ctx, func(n int) attributes { return indexKey(app, environment, n) }, r.Revision, r.IndexChunks)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if known != nil {
		return known, r, nil
	}
	s := board.Empty()
	s.Revision = r.Revision
	if r.Revision == 0 {
		return s, r, nil
	}
	if err := errors.Join(json.Unmarshal(document, &s.Document), json.Unmarshal(index, &s.Index)); err != nil {
		return nil, nil, deploy.Errorf(deploy.Internal, "flags", "decode the snapshot of %s: %w", appEnvironment(app, environment), err)
	}
	f.states.keep(r.Change, s)
	return s, r, nil
}

// cache keeps the states that were read last, by the changes that made them: nobody alters a state in place, and a page of
// ten thousand flags isn't worth reading them all for.
type cache struct {
	mu    sync.Mutex
	order []string // the oldest first
	by    map[string]*board.State
}

// cached bounds what a warm function keeps: a few MB each where environments are full.
const cached = 4

func (c *cache) get(change string) *board.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[change]
}

func (c *cache) keep(change string, s *board.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]*board.State{}
	}
	if c.by[change] != nil {
		return
	}
	if c.by[change], c.order = s, append(c.order, change); len(c.order) > cached {
		delete(c.by, c.order[0])
		c.order = c.order[1:]
	}
}

// maxReads bounds how often a snapshot is read anew that writes tore apart.
const maxReads = 40

// whole reads the revision and then what read makes of it, again where a write tore it apart.
func (f *Flags) whole(ctx context.Context, app, environment string, read func(*revision) error) (*revision, error) {
	for range maxReads {
		var r revision
		if err := f.get(ctx, revisionKey(app, environment), &r); err != nil {
			return nil, err
		}
		if r.Revision == 0 {
			return &r, nil
		}
		if err := read(&r); !errors.Is(err, errTorn) {
			return &r, err
		}
	}
	return nil, deploy.Errorf(deploy.Internal, "flags", "read the snapshot of %s: %w, %d times", appEnvironment(app, environment), errTorn, maxReads)
}

// text reads the chunks of one revision.
func (f *Flags) text(ctx context.Context, key func(n int) attributes, revision int64, chunks int) ([]byte, error) {
	var packed bytes.Buffer
	for n := range chunks {
		var c chunk
		if err := f.get(ctx, key(n), &c); err != nil {
			return nil, err
		}
		if c.Revision != revision || c.Chunks != chunks {
			return nil, errTorn
		}
		packed.Write(c.Part)
	}
	r, err := gzip.NewReader(&packed)
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "flags", "unpack %s: %w", keyText(key(0)), err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, deploy.Errorf(deploy.Internal, "flags", "unpack %s: %w", keyText(key(0)), err)
	}
	return text, nil
}

// puts packs a text into the writes of its chunks.
func (f *Flags) puts(text []byte, key func(n int) attributes, revision int64, most int) ([]types.TransactWriteItem, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, deploy.Errorf(deploy.Internal, "flags", "pack: %w", err)
	}
	chunks := (packed.Len() + chunkBytes - 1) / chunkBytes
	if chunks > most {
		return nil, deploy.Errorf(deploy.TooLarge, "", "the environment's flags would have %d KB compressed; at most %d", packed.Len()>>10, most*chunkBytes>>10)
	}
	var writes []types.TransactWriteItem
	for n := range chunks {
		it, err := item(key(n), chunk{revision, chunks, packed.Next(chunkBytes)}, nil)
		if err != nil {
			return nil, err
		}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &f.table, Item: it}})
	}
	return writes, nil
}

// flip is the write of the revision item: it holds the whole change to the state that it was decided on.
func (f *Flags) flip(app, environment string, was int64, r revision) (types.TransactWriteItem, error) {
	it, err := item(revisionKey(app, environment), r, nil)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	put := &types.Put{TableName: &f.table, Item: it, ConditionExpression: aws.String("attribute_not_exists(pk)")}
	if was != 0 {
		put.ConditionExpression = aws.String("#revision = :revision")
		put.ExpressionAttributeNames = map[string]string{"#revision": "revision"}
		put.ExpressionAttributeValues = attributes{":revision": &types.AttributeValueMemberN{Value: strconv.FormatInt(was, 10)}}
	}
	return types.TransactWriteItem{Put: put}, nil
}

func number3(n int) string { return fmt.Sprintf("%03d", n) }
