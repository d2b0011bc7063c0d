// Package ofrep serves flags to applications: OpenFeature's remote evaluation protocol (OFREP 0.3.0), and the flagd
// document for those that evaluate in process. It answers from memory, and from its last good snapshot while the table fails.
package ofrep

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Source is where evaluation keys and flags are kept.
type Source interface {
	// EvaluationKey finds whose key has this SHA-256, in hex. The error is NotFound where nobody's has, or it was revoked.
	EvaluationKey(ctx context.Context, hash string) (app, environment string, err error)
	// Revision is cheap, and larger after every change of the environment's flags; 0 before the first.
	Revision(ctx context.Context, app, environment string) (int64, error)
	// Snapshot reads the whole environment as a document that flag.Compile takes, and its revision.
	Snapshot(ctx context.Context, app, environment string) (document []byte, revision int64, err error)
}

// Ledger adds to the counts of evaluations.
type Ledger interface {
	AddCounts(ctx context.Context, app, environment string, counts []deploy.Evaluations) error
}

// Metrics that the server writes; infra has an alarm for each.
const (
	// PoisonedMetric counts flags that can't be evaluated, once a minute for each environment that has some and is asked.
	PoisonedMetric = "PoisonedFlags"
	// StaleMetric is 1 once a minute for each environment that is asked, and answered from a snapshot that nobody could
	// confirm for more than StaleAfter.
	StaleMetric = "StaleFlags"
	// StaleAfter is how old a snapshot may be before it counts as stale.
	StaleAfter = time.Minute
)

// Config is what a Server is made of. All fields are wanted.
type Config struct {
	Source Source
	Ledger Ledger
	Now    func() time.Time
	Log    *slog.Logger
	Metric func(name string, value int)
}

// Server answers for every environment that it holds an evaluation key's hash of. It is safe for concurrent use.
type Server struct {
	Config
	keys    atomic.Pointer[map[hash]*key] // copied on write, so that reading takes no lock
	writing sync.Mutex                    // of keys and environments
	// environments are never dropped: their number is bounded by the keys that somebody was given.
	environments map[place]*environment
	counter      counter
}

// place names an environment.
type place struct{ app, name string }

// New makes a server that knows nothing yet; the first request of an environment reads its flags.
func New(c Config) *Server {
	s := &Server{Config: c, environments: map[place]*environment{}}
	s.keys.Store(&map[hash]*key{})
	return s
}

// environment finds or makes the state of an environment.
func (s *Server) environment(p place) *environment {
	s.writing.Lock()
	defer s.writing.Unlock()
	e, ok := s.environments[p]
	if !ok {
		e = newEnvironment(s, p)
		s.environments[p] = e
	}
	return e
}

// everyEnvironment is a copy of the list.
func (s *Server) everyEnvironment() []*environment {
	s.writing.Lock()
	defer s.writing.Unlock()
	all := make([]*environment, 0, len(s.environments))
	for _, e := range s.environments {
		all = append(all, e)
	}
	return all
}
