package trigger

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// How long the webhook's secrets are believed, and how soon a signature that fits none may ask for them again, or any where there
// are none: a new secret works within seconds, and whoever sends rubbish does not call Secrets Manager each time.
const (
	fresh = 5 * time.Minute
	retry = 10 * time.Second
)

// minSecret is the fewest characters of a secret, so that none can be guessed.
const minSecret = 16

// Secrets are the webhook's valid secrets, cached: one, or two while one replaces the other.
type Secrets struct {
	Look func(ctx context.Context) (string, error) // the text that holds them, one a line
	Now  func() time.Time

	mu     sync.Mutex
	known  []string
	none   error // why nothing is known, where only somebody's doing changes that
	looked time.Time
}

// Any tells whether test holds for the secrets. Where it doesn't for those that are cached, they are looked up again.
func (s *Secrets) Any(ctx context.Context, test func([]string) bool) (bool, error) {
	secrets, err := s.get(ctx, fresh)
	if err != nil || test(secrets) {
		return err == nil, err
	}
	secrets, err = s.get(ctx, retry)
	return err == nil && test(secrets), err
}

// get gives the secrets as they were at most age ago. Where they can't be looked up, the old ones stay; where there are none any
// more, or none that can be right, nobody is let in.
func (s *Secrets) get(ctx context.Context, age time.Duration) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	since := now.Sub(s.looked)
	if s.known != nil && since < age || s.none != nil && since < retry {
		return s.known, s.none
	}
	secrets, err := s.look(ctx)
	switch kind := deploy.KindOf(err); {
	case err == nil:
		s.known, s.none = secrets, nil
	case kind == deploy.NotFound:
		s.known, s.none = nil, err
	case kind == deploy.Invalid:
		s.known, s.none = nil, deploy.Errorf(deploy.Internal, "webhook's secret", "%w", err)
	case s.known == nil:
		return nil, deploy.Errorf(deploy.Internal, "webhook's secret", "%w", err)
	}
	s.looked = now
	return s.known, s.none
}

func (s *Secrets) look(ctx context.Context) ([]string, error) {
	text, err := s.Look(ctx)
	if err != nil {
		return nil, err
	}
	return secretsOf(text)
}

func secretsOf(text string) ([]string, error) {
	secrets := strings.Fields(text)
	if len(secrets) < 1 || len(secrets) > 2 {
		return nil, deploy.Errorf(deploy.Invalid, "", "holds %d of them; want one a line, two at most", len(secrets))
	}
	for _, each := range secrets {
		if len(each) < minSecret {
			return nil, deploy.Errorf(deploy.Invalid, "", "one has %d characters; want %d at least", len(each), minSecret)
		}
	}
	return secrets, nil
}
