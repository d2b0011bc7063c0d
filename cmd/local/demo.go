package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
)

const (
	demoTimeout = 5 * time.Minute
	stepTimeout = 90 * time.Second // for one deployment
	lookEvery   = 200 * time.Millisecond
)

// stage is where the demo plays: a cloud, Slipway in it, and the example app in a repository.
type stage struct {
	*program
	cloud *local.Cloud
	out   local.Outputs
	repo  *repository

	evaluationKey string // of production's flags
}

// demo plays the whole story on a cloud of its own, and leaves nothing running. Whatever isn't as told is an error.
func (p *program) demo(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	begin := p.now()
	p.title("From nothing: a cloud on this machine, Slipway in it, and what happens to a shop.")
	cloud, err := local.Start(ctx, local.Options{Root: p.root, Log: filepath.Join(p.state(), "demo.log"), Say: p.say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Stop()) }()
	s := &stage{program: p, cloud: cloud}
	if err := s.set(ctx, filepath.Join(cloud.State, "demo"), begin); err != nil {
		return err
	}
	for i, a := range acts {
		if err := s.play(ctx, i+1, a); err != nil {
			return fmt.Errorf("%s: %w (the local cloud's log: %s)", a.title, err, p.relative(cloud.Log))
		}
	}
	if err := s.close(ctx); err != nil {
		return err
	}
	p.say("\nAll as told, in %s. Nothing is left running.\n\n%s", seconds(p.now().Sub(begin)), encore)
	return nil
}

// encore is what to try next.
const encore = `What to try next
  make up                     the same cloud, and it stays: the console in your hand is bin/slipway
  bin/slipway --help          deploy, status, logs -f, history, cancel, rollback
  make test                   everything that can go wrong, made to go wrong
  make deploy                 the same template into your own AWS account`

// set prepares the stage: the stacks, the repository and the app's settings.
func (s *stage) set(ctx context.Context, dir string, begin time.Time) (err error) {
	s.fact("a cloud", "MiniStack at %s, no Docker, no account", s.cloud.Endpoint())
	if s.out, err = s.cloud.Deploy(ctx); err != nil {
		return err
	}
	s.fact("Slipway", "functions, a state machine, two tables, an API: %s so far", seconds(s.now().Sub(begin)))
	repo, home := filepath.Join(dir, "shop"), filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	if s.repo, err = newRepository(ctx, filepath.Join(s.root, "examples", "shop"), repo, home); err != nil {
		return err
	}
	app := filepath.Join(dir, "app.yaml")
	if err := writeApp(ctx, app, s.out.ShopURL); err != nil {
		return err
	}
	if _, err := s.slipway(ctx, "app", "apply", "-f", app); err != nil {
		return err
	}
	s.fact("an app", "examples/shop, a web shop in Go, to be deployed to production")
	return s.expectVersion(ctx, "none")
}

// play performs one act and compares its end with what was told.
func (s *stage) play(ctx context.Context, number int, a act) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	s.heading(number, a)
	start := s.deploy
	if a.rollback {
		start = s.rollBack
	}
	begin := s.now()
	id, err := start(ctx, a)
	if err != nil {
		return err
	}
	d, err := s.follow(ctx, id)
	if err != nil {
		return err
	}
	d.Error = strings.ReplaceAll(d.Error, s.out.ShopURL, "") // an address that means nothing to anybody
	s.outcome(d, s.now().Sub(begin))
	if d.Status == deploy.Failed {
		s.quote(ctx, id)
	}
	if d.Status != a.status {
		return fmt.Errorf("deployment %s ended %s, not %s: %s", id, d.Status, a.status, d.Error)
	}
	if touched := d.Changed != nil; touched == a.untouched {
		return fmt.Errorf("deployment %s: the target was touched: %t", id, touched)
	}
	if err := s.expectVersion(ctx, a.serves); err != nil || a.then == nil {
		return err
	}
	return a.then(ctx, s)
}

// deploy commits the act's edits and has the client deploy the commit.
func (s *stage) deploy(ctx context.Context, a act) (string, error) {
	commit, err := s.repo.commit(ctx, a.title, a.edits...)
	if err != nil {
		return "", err
	}
	s.line("%s", s.dim("git commit "+deploy.ShortCommit(commit)+", slipway deploy"))
	text, err := s.slipway(ctx, "deploy", "--app", "shop", "--env", "production", "-o", "json")
	if err != nil {
		return "", err
	}
	var d deploy.Deployment
	if err := json.Unmarshal(text, &d); err != nil {
		return "", fmt.Errorf("slipway deploy: %w", err)
	}
	return d.ID, nil
}

// rollBack starts the machine by hand, with three words of input, as anybody may in AWS's console.
func (s *stage) rollBack(ctx context.Context, _ act) (string, error) {
	const input = `{"action":"rollback","app":"shop","environment":"production"}`
	s.line("%s", s.dim("StartExecution "+input))
	client := sfn.NewFromConfig(s.cloud.Config())
	_, err := client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(s.out.StateMachineARN), Input: aws.String(input)})
	if err != nil {
		return "", fmt.Errorf("StartExecution: %w", err)
	}
	for { // Prepare makes the record: it takes a moment until there is one
		list, err := s.history(ctx)
		if err != nil {
			return "", err
		}
		if len(list) > 0 && list[0].Action == deploy.Rollback {
			return list[0].ID, nil
		}
		if err := pause(ctx); err != nil {
			return "", fmt.Errorf("no rollback in the history: %w", err)
		}
	}
}

// follow shows the stages as they end, until the deployment does.
func (s *stage) follow(ctx context.Context, id string) (*deploy.Deployment, error) {
	shown := 0
	for {
		text, err := s.slipway(ctx, "status", id, "-o", "json")
		if err != nil {
			return nil, err
		}
		var d deploy.Deployment
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("slipway status: %w", err)
		}
		for shown < len(d.Stages) && d.Stages[shown].End != nil {
			s.stage(d.Stages[shown])
			shown++
		}
		if d.Status.Ended() {
			return &d, nil
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("deployment %s is still %s: %w", id, d.Status, err)
		}
	}
}

// quote shows what the scripts printed about a test that failed.
func (s *stage) quote(ctx context.Context, id string) {
	text, err := s.slipway(ctx, "logs", id)
	if err != nil {
		return // it would only have been nice to have
	}
	for line := range strings.Lines(string(text)) {
		if _, said, ok := strings.Cut(line, "_test.go:"); ok {
			s.line("%s", s.dim(deploy.Cut("shop_test.go:"+strings.TrimSpace(said), lineWidth)))
		}
	}
}

// expectVersion asks the app itself, by HTTP.
func (s *stage) expectVersion(ctx context.Context, want string) error {
	version, err := shopVersion(ctx, s.out.ShopURL)
	if err != nil {
		return fmt.Errorf("ask the shop: %w", err)
	}
	s.answer(version)
	if version != want {
		return fmt.Errorf("version %q serves, not %q", version, want)
	}
	return nil
}

// history gives the environment's deployments, newest first.
func (s *stage) history(ctx context.Context) ([]deploy.Deployment, error) {
	text, err := s.slipway(ctx, "history", "--app", "shop", "--env", "production", "-o", "json")
	if err != nil {
		return nil, err
	}
	var page struct{ Deployments []deploy.Deployment }
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, fmt.Errorf("slipway history: %w", err)
	}
	return page.Deployments, nil
}

// close shows the history as the client does, and holds it to the story.
func (s *stage) close(ctx context.Context) error {
	text, err := s.slipway(ctx, "history", "--app", "shop", "--env", "production", "-o", "table")
	if err != nil {
		return err
	}
	s.title("\nWhat happened: slipway history --app shop --env production")
	s.block(text)
	list, err := s.history(ctx)
	if err != nil {
		return err
	}
	if len(list) != len(acts) {
		return fmt.Errorf("the history has %d deployments, not %d", len(list), len(acts))
	}
	for i, a := range acts {
		if d := list[len(list)-1-i]; d.Status != a.finally {
			return fmt.Errorf("in the end %q (%s) is %s, not %s", a.title, d.ID, d.Status, a.finally)
		}
	}
	return nil
}

// slipway runs the client in the app's repository, with the local cloud's environment and nothing else.
func (s *stage) slipway(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, "bin", "slipway"), args...)
	cmd.Dir = s.repo.dir
	cmd.Env = append(s.cloud.Environ(s.out), "PATH="+os.Getenv("PATH"), "HOME="+s.repo.home, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("slipway %s: %w: %s", args[0], err, exit.Stderr)
	}
	return out, err
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lookEvery):
		return nil
	}
}
