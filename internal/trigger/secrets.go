package trigger

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// How long the webhook's secrets are believed, and how soon a signature that fits none may ask for them again: a new
// secret works within seconds, and whoever sends rubbish does not call Secrets Manager each time.
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

// get gives the secrets as they were at most age ago. One that can't be looked up leaves the old ones.
func (s *Secrets) get(ctx context.Context, age time.Duration) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.Now(); s.known == nil || now.Sub(s.looked) >= age {
		text, err := s.Look(ctx)
		if err == nil {
			s.known, err = secretsOf(text)
		}
		if err != nil && s.known == nil {
			return nil, deploy.Errorf(deploy.Internal, "webhook's secret", "%w", err)
		}
		s.looked = now
	}
	return s.known, nil
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
