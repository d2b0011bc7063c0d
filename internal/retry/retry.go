// Package retry decides how calls of AWS are retried: for as long as the caller has time, not for a number of attempts.
//
// [Use] changes a configuration, and with it all clients that are made of it. A call is retried after each error that may pass (5xx,
// throttles, connections that broke, answers that broke off) until its context's deadline, less a [reserve] in which the caller can
// still record and name the error. The pauses have full jitter and grow to [maxPause], so that many callers together leave a service
// that is overloaded alone; the SDK's token bucket, which ends retries early, is not used. All other errors end a call at once.
//
// A request may reach its service more than once. So each call that Slipway makes is one that may: a read, a write with a condition that
// knows its own earlier write, or one with a token.
package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"
)

// Bounds on the pause before a retry: before the first one, before the first one after a throttle, and before any.
const (
	firstPause    = 50 * time.Millisecond
	throttlePause = 250 * time.Millisecond
	maxPause      = 5 * time.Second
)

// reserve is what is left of the caller's time when retries end; a quarter where the caller has less than four times as much.
const reserve = 5 * time.Second

// patience is how long a call is retried whose context has no deadline.
const patience = time.Minute

// Use makes all clients of a configuration retry as this package says.
func Use(cfg *aws.Config) {
	cfg.Retryer = func() aws.Retryer { return New() }
	cfg.APIOptions = append(cfg.APIOptions, remember)
}

// Retryer implements aws.RetryerV2. Only GetRetryToken knows the call's context, so the pause is made there.
type Retryer struct {
	retryable awsretry.IsErrorRetryables
	throttle  awsretry.IsErrorThrottles
}

// New makes a Retryer. Its clients need the configuration's APIOptions too: see [Use].
func New() *Retryer {
	retryable := append(awsretry.IsErrorRetryables{awsretry.IsErrorRetryableFunc(brokenOff)}, awsretry.DefaultRetryables...)
	return &Retryer{retryable: retryable, throttle: awsretry.DefaultThrottles}
}

// brokenOff knows an answer that ended in its middle. The SDK takes it for one that can't be decoded.
func brokenOff(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// MaxAttempts returns 0: there is no such bound.
func (r *Retryer) MaxAttempts() int { return 0 }

// IsErrorRetryable reports whether the error may pass.
func (r *Retryer) IsErrorRetryable(err error) bool { return r.retryable.IsErrorRetryable(err).Bool() }

// RetryDelay returns 0: GetRetryToken has waited.
func (r *Retryer) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

// GetRetryToken waits before a retry. It returns an error, which ends the call, where the caller's time is over. The SDK joins it to the
// error of the last attempt.
func (r *Retryer) GetRetryToken(ctx context.Context, cause error) (func(error) error, error) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return nil, errors.New("not retried: the client lacks the middleware of retry.Use")
	}

	pause := firstPause
	if r.throttle.IsErrorThrottle(cause).Bool() {
		pause = throttlePause
	}
	pause = min(pause<<min(c.retries, 10), maxPause)
	pause = rand.N(pause) // full jitter
	c.retries++

	left := time.Until(c.end)
	if left <= 0 {
		return nil, fmt.Errorf("not retried any more after %d attempts: no time is left", c.retries)
	}
	timer := time.NewTimer(min(pause, left))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		return release, nil
	}
}

// GetAttemptToken returns a token that does nothing.
func (r *Retryer) GetAttemptToken(context.Context) (func(error) error, error) { return release, nil }

// GetInitialToken returns a token that does nothing.
func (r *Retryer) GetInitialToken() func(error) error { return release }

func release(error) error { return nil }

// call is what is known about a call of an API, all its attempts together.
type call struct {
	retries int
	end     time.Time // no retry begins later
}

type callKey struct{}

// remember adds the step that begins a call.
func remember(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("SlipwayRetry", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(context.WithValue(ctx, callKey{}, &call{end: End(ctx)}), in)
	}), middleware.Before)
}

// End returns when retries end of what begins now.
func End(ctx context.Context) time.Time {
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		return now.Add(patience)
	}
	return deadline.Add(-min(reserve, deadline.Sub(now)/4))
}
