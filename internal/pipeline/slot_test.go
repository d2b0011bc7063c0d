package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// oneRecord keeps one deployment and its environment as DynamoDB does: each reader has a copy, and a write is a compare-and-swap.
type oneRecord struct {
	mu   sync.Mutex
	d    deploy.Deployment
	head deploy.Head
}

// seat is one function's way to the table, which may be cut.
type seat struct {
	*oneRecord
	cut       atomic.Bool
	overtaken bool // by somebody else's write, as each seat's first write is
}

var errCut = errors.New("connection refused")

func (s *seat) Deployment(context.Context, string) (*deploy.Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut.Load() {
		return nil, errCut
	}
	d := copyOf(s.d)
	return &d, nil
}

func (s *seat) Update(_ context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut.Load() {
		return errCut
	}
	if !s.overtaken {
		s.overtaken = true
		s.d.Version++
	}
	for {
		if err := change(d); err != nil {
			return err
		}
		if d.Version == s.d.Version {
			d.Version++
			s.d = copyOf(*d)
			return nil
		}
		*d = copyOf(s.d)
	}
}

func (s *seat) Head(context.Context, string, string) (*deploy.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := copyOf(s.head)
	return &h, nil
}

func (s *seat) Place(ctx context.Context, app, environment, id string) (*deploy.Place, error) {
	d, err := s.Deployment(ctx, id)
	if err != nil {
		return nil, err
	}
	h, err := s.Head(ctx, app, environment)
	return &deploy.Place{Head: h, Deployment: d}, err
}

func (s *seat) Change(_ context.Context, _, _ string, decide func(*deploy.Head, func(string) (*deploy.Deployment, error)) error, _ *deploy.Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, d := copyOf(s.head), copyOf(s.d)
	if err := decide(&h, func(string) (*deploy.Deployment, error) { return &d, nil }); err != nil {
		return err
	}
	d.Version++
	s.head, s.d = h, d
	return nil
}

// nothing is a commit without files and an app without secrets.
type nothing struct{ pipeline.Sources }

func (nothing) Fetch(context.Context, *deploy.Bundle, *os.File) (string, error) { return "", nil }

func (nothing) Resolve(_ context.Context, _ string, vars map[string]string) (map[string]string, []string, error) {
	return vars, nil, nil
}

type unread struct{ io.Writer }

func (unread) Close() error { return nil }

// scene is a deployment that holds its environment, with functions that run its stages.
type scene struct {
	*oneRecord
	t   *testing.T
	dir string // $SERVE of its scripts
}

func newScene(t *testing.T, scripts deploy.Scripts) *scene {
	t.Helper()
	t.Parallel()
	s := &scene{t: t, dir: t.TempDir(), oneRecord: &oneRecord{}}
	now := time.Now()
	config := deploy.DefaultConfig()
	config.Scripts = scripts
	d := deploy.New("deploy-20260101-000000000-aaaaaaaa", deploy.Deploy, "shop", "production", now)
	d.Config, d.Source, d.Fence, d.Release, d.Plan = &config, &deploy.Bundle{Key: "k"}, 1, &deploy.Release{}, deploy.AllAtOnce()
	d.Variables = map[string]string{"SERVE": s.dir} // for tests, which get no environment's
	d.Settings = &deploy.Settings{Target: deploy.Target{Type: deploy.TargetScript}, Variables: d.Variables}
	d.Status, d.Execution = deploy.Running, executionOf(d.ID)
	d.Begin("admit", now)
	d.Finish("admit", deploy.Passed, now)
	if scripts.PostDeploy != "" { // which comes after Deploy
		d.Begin("deploy", now)
		d.Finish("deploy", deploy.Passed, now)
	}
	s.d = *d
	s.head = deploy.Head{App: "shop", Environment: "production", Fence: 1, Holder: &deploy.Turn{Deployment: d.ID}}
	return s
}

// patience is short, so that the tests are.
const patience = time.Second

// function is one function's process, with its own way to the table.
func (s *scene) function() (*seat, pipeline.Workshop) {
	way := &seat{oneRecord: s.oneRecord}
	return way, pipeline.Workshop{
		Desk: pipeline.Desk{Records: way, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Sources: nothing{}, Secrets: nothing{},
		Unpack: func(io.Reader, string) error { return nil }, Patience: patience,
		Output: func(context.Context, string) io.WriteCloser { return unread{io.Discard} },
	}
}

// run runs a stage as the machine does, with the fence that the record has now.
func (s *scene) run(stage pipeline.Stage) <-chan error {
	return s.runAfter(stage, pipeline.Failure{})
}

// runAfter is run for a stage that the machine enters after a failure.
func (s *scene) runAfter(stage pipeline.Stage, failed pipeline.Failure) <-chan error {
	d, _ := (&seat{oneRecord: s.oneRecord}).Deployment(s.t.Context(), "")
	text, _ := json.Marshal(pipeline.State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Fence: d.Fence, Error: failed})
	call, ended := pipeline.Call{State: text, Execution: d.Execution}, make(chan error, 1)
	go func() {
		_, err := stage.Run(s.t.Context(), call)
		ended <- err
	}()
	return ended
}

func (s *scene) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, name))
	return strings.TrimSpace(string(text))
}

func (s *scene) waits(name string) {
	s.t.Helper()
	waitFor(s.t, name, func() (int, bool) { return 0, s.read(name) != "" })
}

// fence gives the deployment another execution, as Sweep does.
func (s *scene) fence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.d.Version++
	s.d.Fence = s.head.Recover(s.d.ID, time.Now())
}

// alone checks that no script began beside another one, and that the slot is free.
func (s *scene) alone() {
	s.t.Helper()
	if overlaps := s.read("overlaps"); overlaps != "" {
		s.t.Errorf("%s; history:\n%s", overlaps, s.read("history"))
	}
	if s.d.Scripts != nil {
		s.t.Errorf("slot %+v, want it free", *s.d.Scripts)
	}
}

// first is a script that goes on for a minute where it runs for the first time, whatever signals it gets.
func first(name string) string {
	return locked(name, fmt.Sprintf(`trap '' TERM; test -e "$SERVE/%[1]s" || { echo yes > "$SERVE/%[1]s"; for i in $(seq 600); do sleep 0.1; done; }`, name))
}

func within(t *testing.T, what string, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("%s did not end", what)
		return nil
	}
}

// TestStageIsRetried: Lambda runs a stage again while its first run goes on. The second one's script waits for the first one's end.
func TestStageIsRetried(t *testing.T) {
	for name, c := range map[string]struct {
		scripts deploy.Scripts
		stage   func(*seat, pipeline.Workshop) pipeline.Stage
		history string
	}{
		"deploy": {deploy.Scripts{Deploy: first("deploy")}, func(way *seat, w pipeline.Workshop) pipeline.Stage {
			return &pipeline.Deploy{Workshop: w, Heads: way}
		}, "deploy begins\ndeploy begins\ndeploy ends"},
		"pre_deploy": {deploy.Scripts{PreDeploy: first("pre_deploy")}, func(way *seat, w pipeline.Workshop) pipeline.Stage {
			return &pipeline.Deploy{Workshop: w, Heads: way}
		}, "pre_deploy begins\npre_deploy begins\npre_deploy ends"},
		"shift": {deploy.Scripts{PostDeploy: first("post_deploy")}, func(_ *seat, w pipeline.Workshop) pipeline.Stage {
			return &pipeline.Shift{Workshop: w}
		}, "post_deploy begins\npost_deploy begins\npost_deploy ends"},
		"test": {deploy.Scripts{Test: first("test")}, func(_ *seat, w pipeline.Workshop) pipeline.Stage {
			return &pipeline.Test{Workshop: w}
		}, "test begins\ntest begins\ntest ends"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, c.scripts)
			one := s.run(c.stage(s.function()))
			s.waits("history")
			two := s.run(c.stage(s.function()))
			if err := within(t, "the first", one); deploy.KindOf(err) != deploy.Fenced {
				t.Errorf("the first: %v, want Fenced", err)
			}
			if err := within(t, "the second", two); err != nil {
				t.Errorf("the second: %v", err)
			}
			if got := s.read("history"); got != c.history {
				t.Errorf("history:\n%s", got)
			}
			s.alone()
		})
	}
}

// TestWayBackWaits: the way back begins while the deploy script runs, by another execution or by the same one after a time-out.
func TestWayBackWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fenced, cut bool }{
		"another execution":                           {true, false},
		"the same execution":                          {false, false},
		"another execution, the record out of reach":  {true, true},
		"the same execution, the record out of reach": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, deploy.Scripts{Deploy: first("deploy"), Rollback: locked("rollback", "true")})
			way, w := s.function()
			one := s.run(&pipeline.Deploy{Workshop: w, Heads: way})
			s.waits("history")
			way.cut.Store(c.cut)
			if c.fenced {
				s.fence()
			}
			back, other := s.function()
			two := s.run(&pipeline.Rollback{Workshop: other, Heads: back})
			want := deploy.Fenced
			if c.cut {
				want = deploy.DeployFailed
			}
			if err := within(t, "deploy", one); deploy.KindOf(err) != want {
				t.Errorf("deploy: %v, want %s", err, want)
			}
			if err := within(t, "rollback", two); err != nil {
				t.Errorf("rollback: %v", err)
			}
			if got := s.read("history"); got != "deploy begins\nrollback begins\nrollback ends" {
				t.Errorf("history:\n%s", got)
			}
			s.alone()
			if confirmed := !strings.Contains(strings.Join(s.d.Logs, "\n"), "did not confirm"); confirmed == c.cut {
				t.Errorf("confirmed %v; timeline:\n%s", confirmed, strings.Join(s.d.Logs, "\n"))
			}
		})
	}
}

// TestRecordOutOfReach: a script whose record can't be read for too long is ended while it could touch the environment. One that
// runs before the lock is held goes on.
func TestRecordOutOfReach(t *testing.T) {
	for name, c := range map[string]struct {
		scripts deploy.Scripts
		stage   func(*seat, pipeline.Workshop) pipeline.Stage
		admit   bool
		want    string
	}{
		"deploy": {deploy.Scripts{Deploy: locked("deploy", "sleep 60")}, func(way *seat, w pipeline.Workshop) pipeline.Stage {
			return &pipeline.Deploy{Workshop: w, Heads: way}
		}, true, "deploy begins"},
		"test": {deploy.Scripts{Test: locked("test", "for i in 1 2 3 4 5 6; do sleep 0.5; done")}, func(_ *seat, w pipeline.Workshop) pipeline.Stage {
			return &pipeline.Test{Workshop: w}
		}, false, "test begins\ntest ends"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, c.scripts)
			if !c.admit {
				s.d.Stages = []deploy.Stage{}
			}
			way, w := s.function()
			ended := s.run(c.stage(way, w))
			s.waits("history")
			way.cut.Store(true)
			err := within(t, name, ended)
			if c.admit != strings.Contains(fmt.Sprint(err), "the record could not be read for 1s") {
				t.Errorf("%v", err)
			}
			if got := s.read("history"); got != c.want {
				t.Errorf("history:\n%s", got)
			}
		})
	}
}

// TestLateRun: a run of a stage that Lambda starts late, after the way back has begun, runs nothing and disturbs nothing.
func TestLateRun(t *testing.T) {
	s := newScene(t, deploy.Scripts{PreDeploy: locked("pre_deploy", "true"), Deploy: "exit 1", Rollback: locked("rollback", "for i in $(seq 20); do sleep 0.1; done")})
	now := time.Now()
	s.d.Changed, s.d.Previous = &now, &deploy.Live{}
	way, w := s.function()
	back := s.run(&pipeline.Rollback{Workshop: w, Heads: way})
	s.waits("history")
	late, other := s.function()
	if err := within(t, "deploy", s.run(&pipeline.Deploy{Workshop: other, Heads: late})); deploy.KindOf(err) != deploy.Fenced {
		t.Errorf("the late deploy: %v, want Fenced", err)
	}
	if err := within(t, "rollback", back); err != nil {
		t.Errorf("rollback: %v", err)
	}
	if got := s.read("history"); got != "rollback begins\nrollback ends" {
		t.Errorf("history:\n%s", got)
	}
	s.alone()
}

// nobody waits for the lock.
type nobody struct{ pipeline.Tokens }

// TestSettleWaits: the lock goes to nobody else while a script may be at work, though nothing is to be undone.
func TestSettleWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fenced, cut bool }{
		"another execution": {true, false}, "the same execution": {false, false}, "the record out of reach": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, deploy.Scripts{PreDeploy: first("pre_deploy")})
			way, w := s.function()
			one := s.run(&pipeline.Deploy{Workshop: w, Heads: way})
			s.waits("history")
			way.cut.Store(c.cut)
			if c.fenced {
				s.fence()
			}
			end, other := s.function()
			settled := s.runAfter(&pipeline.Settle{Workshop: other, Heads: end, Tokens: nobody{}}, pipeline.Failure{Error: "States.Timeout"})
			if err := within(t, "settle", settled); err != nil {
				t.Errorf("settle: %v", err)
			}
			if err := exec.Command("flock", "-n", filepath.Join(s.dir, "lock"), "true").Run(); err != nil {
				t.Errorf("the environment is free, and a script at work: %v", err)
			}
			_ = within(t, "deploy", one)
			if s.head.Holder != nil || !s.d.Status.Ended() {
				t.Errorf("head %+v, %s", s.head, s.d.Status)
			}
			s.alone()
		})
	}
}
