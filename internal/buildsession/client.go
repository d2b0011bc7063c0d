package buildsession

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Bounds on asking for a session.
const (
	attempts       = 6 // with the pauses between them, for about half a minute
	firstPause     = time.Second
	attemptTimeout = 30 * time.Second
	maxSession     = 1 << 20 // bytes of an answer
)

// errTryAgain marks what may be different in a moment.
var errTryAgain = errors.New("try again")

// Ask asks for the session of the build whose credentials cfg has, at the API's base URL. It repeats what a moment may change: throttles,
// errors of the server, and a connection that failed.
func Ask(ctx context.Context, cfg aws.Config, api string) (*Session, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		s, err := askOnce(ctx, cfg, api)
		if err == nil || !errors.Is(err, errTryAgain) || attempt == attempts {
			return s, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
		pause *= 2
	}
}

func askOnce(ctx context.Context, cfg aws.Config, api string) (*Session, error) {
	ctx, stop := context.WithTimeout(ctx, attemptTimeout)
	defer stop()
	url := strings.TrimSuffix(api, "/") + Path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	key, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	empty := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(ctx, key, request, hex.EncodeToString(empty[:]), "execute-api", cfg.Region, time.Now()); err != nil {
		return nil, err
	}

	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect, which would hand the signature on
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", url, errTryAgain, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxSession))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", url, errTryAgain, err)
	}
	return read(url, response, text)
}

func read(url string, response *http.Response, text []byte) (*Session, error) {
	switch code := response.StatusCode; {
	case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%s: %w: %s", url, errTryAgain, response.Status)
	case code != http.StatusOK:
		var said struct{ Detail, Message string }
		_ = json.Unmarshal(text, &said) // a gateway in between may answer anything
		return nil, fmt.Errorf("%s: %s: %s%s", url, response.Status, said.Detail, said.Message)
	}
	var s Session
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: the answer is no session: %w", url, err)
	}
	return &s, nil
}
