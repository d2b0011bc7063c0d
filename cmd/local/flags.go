package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// theFlag is the one that the sixth commit brings.
const theFlag = "express-delivery"

// ramp takes the release's flag to a fifth of the users, kills it, and brings it to everybody.
func ramp(ctx context.Context, s *stage) error {
	if err := s.key(ctx); err != nil {
		return err
	}
	if err := s.expectShare(ctx, few, 0, 0); err != nil { // the deployment made it, off
		return err
	}
	for _, step := range []struct {
		args        []string
		users       int
		least, most float64 // percent
	}{
		{[]string{"rollout", theFlag, "20"}, 1000, 15, 25},
		{[]string{"disable", theFlag, "--why", "the couriers are on strike"}, few, 0, 0},
		{[]string{"enable", theFlag}, few, 100, 100},
	} {
		if err := s.flag(ctx, step.args...); err != nil {
			return err
		}
		if err := s.expectShare(ctx, step.users, step.least, step.most); err != nil {
			return err
		}
	}
	return nil
}

// gone sees that the rollback took the flag down with its release.
func gone(ctx context.Context, s *stage) error { return s.expectShare(ctx, few, 0, 0) }

// flag has the client change the flag.
func (s *stage) flag(ctx context.Context, args ...string) error {
	line := "slipway flag"
	for _, arg := range args {
		line += " " + arg
	}
	s.line("%s", s.dim(line))
	_, err := s.slipway(ctx, append(append([]string{"flag"}, args...), "--app", "shop", "--env", "production")...)
	return err
}

// key makes the evaluation key that the shop's users are evaluated with.
func (s *stage) key(ctx context.Context) error {
	text, err := s.slipway(ctx, "flag", "key", "create", "demo", "--app", "shop", "--env", "production", "-o", "json")
	if err != nil {
		return err
	}
	var made struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return fmt.Errorf("slipway flag key create: %w", err)
	}
	s.evaluationKey = made.Key
	return nil
}

// few is how many users tell whether a change has reached every process of the function.
const few = 100

// expectShare asks for each of so many users, and shows for how many the flag is on. A change takes about two seconds to
// get everywhere, so a few are asked first, until their share is as told twice in turn.
func (s *stage) expectShare(ctx context.Context, users int, least, most float64) error {
	percent, err := s.settledShare(ctx, least, most)
	if err == nil && users != few {
		percent, err = s.share(ctx, users)
	}
	if err != nil {
		return err
	}
	s.line("OFREP  %s  %s is on for %s of %d users", s.dim("→"), theFlag, s.bold(fmt.Sprintf("%.1f %%", percent)), users)
	if percent < least || percent > most {
		return fmt.Errorf("the flag is on for %.1f %% of the users, not %.0f to %.0f %%", percent, least, most)
	}
	return nil
}

func (s *stage) settledShare(ctx context.Context, least, most float64) (percent float64, err error) {
	for before := -1.0; ; before = percent {
		if percent, err = s.share(ctx, few); err != nil {
			return 0, err
		}
		if percent == before && least <= percent && percent <= most {
			return percent, nil
		}
		if err := pause(ctx); err != nil {
			return 0, fmt.Errorf("the flag stays on for %.1f %% of the users: %w", percent, err)
		}
	}
}

// askers is how many users are asked for at a time.
const askers = 16

// share evaluates the flag for so many users, over OFREP, and gives the percentage that it is on for.
func (s *stage) share(ctx context.Context, users int) (percent float64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, on atomic.Int64
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(users) && ctx.Err() == nil; n = next.Add(1) {
				yes, err := s.evaluate(ctx, fmt.Sprintf("user-%d", n))
				if err != nil {
					cancel(err)
				}
				if yes {
					on.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return 100 * float64(on.Load()) / float64(users), nil
}

func (s *stage) evaluate(ctx context.Context, user string) (bool, error) {
	body := fmt.Appendf(nil, `{"context":{"targetingKey":%q}}`, user)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.out.FlagsURL+"/ofrep/v1/evaluate/flags/"+theFlag, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+s.evaluationKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, fmt.Errorf("evaluate %s: %w", theFlag, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, fmt.Errorf("evaluate %s: %w", theFlag, err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return false, fmt.Errorf("evaluate %s: %d %s", theFlag, resp.StatusCode, text)
	}
	var answer struct{ Value bool }
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, fmt.Errorf("evaluate %s: %s: %w", theFlag, text, err)
	}
	return answer.Value, nil
}
