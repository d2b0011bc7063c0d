package ofrep

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// hash is the SHA-256 of an evaluation key's whole text, which is all that is kept of it.
type hash [sha256.Size]byte

// The text of a key: its prefix and 32 random bytes in base64url. Anything else is refused without asking the table.
const (
	keyPrefix = "slipway_"
	keyLength = len(keyPrefix) + 43
)

// maxKeys bounds how many keys are kept in memory. The next one forgets all of them, and each costs one read again.
const maxKeys = 1000

// keyRule makes a revoked key end within ten seconds: what was good nine seconds ago is looked at before the answer,
// and the rest is for the way there.
var keyRule = rule{every: 4 * time.Second, within: 9 * time.Second, patience: time.Second, limit: 3 * time.Second}

// key is an evaluation key that was good once.
type key struct {
	hash        hash
	environment *environment
	revoked     atomic.Bool
	fresh       fresh
}

// open finds the environment that the text of a key opens. It is nil for a key that opens none; the error is the
// table's, and only for a key that wasn't seen before.
func (s *Server) open(ctx context.Context, text string, now int64) (*environment, error) {
	if !plausible(text) {
		return nil, nil
	}
	sum := hash(sha256.Sum256([]byte(text)))
	k, ok := (*s.keys.Load())[sum]
	if !ok {
		return s.meet(ctx, sum)
	}
	if subtle.ConstantTimeCompare(k.hash[:], sum[:]) != 1 {
		return nil, nil
	}
	if err := k.fresh.ensure(ctx, now); err != nil {
		return nil, err
	}
	if k.revoked.Load() {
		return nil, nil
	}
	return k.environment, nil
}

// plausible tells whether text has the form of a key.
func plausible(text string) bool {
	if len(text) != keyLength || !strings.HasPrefix(text, keyPrefix) {
		return false
	}
	for i := len(keyPrefix); i < len(text); i++ {
		c := text[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// meet asks the table for a key that it hasn't seen. Unknown keys aren't remembered: a new one is good at once, and
// guesses don't fill the memory.
func (s *Server) meet(ctx context.Context, sum hash) (*environment, error) {
	begun := s.Now().UnixNano()
	ctx, cancel := context.WithTimeout(ctx, keyRule.limit)
	defer cancel()
	app, name, err := s.Source.EvaluationKey(ctx, hex.EncodeToString(sum[:]))
	if deploy.KindOf(err) == deploy.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := &key{hash: sum, environment: s.environment(place{app, name})}
	k.fresh.rule, k.fresh.now = keyRule, s.Now
	k.fresh.look = func(ctx context.Context) error { return s.lookAt(ctx, k) }
	k.fresh.seen.Store(begun)
	s.remember(k)
	return k.environment, nil
}

// lookAt sees whether a key is still good. A revoked one never becomes good again, and stays remembered as that, so that
// a client that goes on using it costs nothing.
func (s *Server) lookAt(ctx context.Context, k *key) error {
	_, _, err := s.Source.EvaluationKey(ctx, hex.EncodeToString(k.hash[:]))
	if err != nil && deploy.KindOf(err) == deploy.NotFound {
		k.revoked.Store(true)
		return nil
	}
	if err != nil {
		s.Log.Error("an evaluation key can't be checked; it stays as it was", "app", k.environment.app,
			"environment", k.environment.name, "error", err)
	}
	return err
}

func (s *Server) remember(k *key) {
	s.writing.Lock()
	defer s.writing.Unlock()
	known := *s.keys.Load()
	if len(known) >= maxKeys {
		known = nil
	}
	next := make(map[hash]*key, len(known)+1)
	maps.Copy(next, known)
	next[k.hash] = k
	s.keys.Store(&next)
}
