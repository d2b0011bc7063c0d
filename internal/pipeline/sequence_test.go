package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// table keeps records and one environment's state in memory, as JSON, so that nothing is shared with who reads or writes it.
type table struct {
	mu      sync.Mutex
	head    []byte
	records map[string][]byte
}

func copyOf[T any](v T) (c T) {
	if err := json.Unmarshal(encoded(v), &c); err != nil {
		panic(err)
	}
	return c
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func (s *table) Deployment(_ context.Context, id string) (*deploy.Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.records[id]
	if !ok {
		return nil, deploy.Errorf(deploy.NotFound, "", "there is no deployment %q", id)
	}
	var d deploy.Deployment
	return &d, json.Unmarshal(text, &d)
}

func (s *table) put(d *deploy.Deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[d.ID] = encoded(d)
}

func (s *table) Update(ctx context.Context, d *deploy.Deployment, change func(*deploy.Deployment) error) error {
	fresh, err := s.Deployment(ctx, d.ID)
	if err != nil {
		return err
	}
	*d = *fresh
	if err := change(d); err != nil {
		return err
	}
	d.Version++
	s.put(d)
	return nil
}

func (s *table) Head(_ context.Context, _, environment string) (*deploy.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &deploy.Head{App: "shop", Environment: environment}
	if s.head == nil {
		return h, nil
	}
	return h, json.Unmarshal(s.head, h)
}

func (s *table) Place(ctx context.Context, app, environment, id string) (*deploy.Place, error) {
	h, err := s.Head(ctx, app, environment)
	if err != nil {
		return nil, err
	}
	d, err := s.Deployment(ctx, id)
	return &deploy.Place{Head: h, Deployment: d}, err
}

func (s *table) Change(ctx context.Context, app, environment string, decide func(*deploy.Head, func(string) (*deploy.Deployment, error)) error, _ *deploy.Place) error {
	h, err := s.Head(ctx, app, environment)
	if err != nil {
		return err
	}
	read := map[string]*deploy.Deployment{}
	err = decide(h, func(id string) (*deploy.Deployment, error) {
		if d, ok := read[id]; ok {
			return d, nil
		}
		d, err := s.Deployment(ctx, id)
		read[id] = d
		return d, err
	})
	if err != nil {
		return err
	}
	for _, d := range read {
		s.put(d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = encoded(h)
	return nil
}

// account is Lambda as far as targets see it: functions with versions, each with an alias live, and somebody else who may move it.
type account struct {
	functions map[string]*function
	disturb   func(call string) // is asked before each call

	begin     *deploy.Serving // what the deployment at work found first
	own       deploy.FunctionVersion
	forbidden string // what it overwrote of somebody else's
}

// begins is for a deployment that may overwrite nothing but what it found and its own.
func (a *account) begins() { a.begin, a.own = nil, deploy.FunctionVersion{} }

// overwrites notes a write over what neither was there when the deployment began, nor includes its own release.
func (a *account) overwrites(found deploy.Serving) {
	if a.begin != nil && !found.Is(a.begin.FunctionVersion) && !found.Includes(a.own) {
		a.forbidden = found.String()
	}
}

type function struct {
	versions []deploy.FunctionVersion // of 1, 2, …; one whose number is "" is gone
	said     []string
	alias    deploy.Serving
}

func (a *account) add(name string) {
	f := &function{}
	a.functions[name] = f
	f.publish(name, "first code of "+name, "by hand")
	f.alias = f.serving(1)
}

func (f *function) publish(name, code, said string) deploy.FunctionVersion {
	v := deploy.FunctionVersion{TargetFunction: "arn:aws:lambda:eu-central-1:123456789012:function:" + name,
		TargetVersion: strconv.Itoa(len(f.versions) + 1), TargetCodeSHA256: code}
	f.versions, f.said = append(f.versions, v), append(f.said, said)
	return v
}

func (f *function) serving(n int) deploy.Serving {
	return deploy.Serving{FunctionVersion: f.versions[n-1], Description: f.said[n-1]}
}

func (a *account) call(name string) {
	if a.disturb != nil {
		a.disturb(name)
	}
}

func (a *account) Serving(_ context.Context, t deploy.Target) (deploy.Serving, error) {
	a.call("Serving")
	s := a.functions[t.Function].alias
	s.Others = maps.Clone(s.Others)
	if a.begin == nil {
		a.begin = &s
	}
	return s, nil
}

func (a *account) Find(_ context.Context, t deploy.Target, v deploy.FunctionVersion) (deploy.FunctionVersion, error) {
	a.call("Find")
	for _, has := range a.functions[t.Function].versions {
		if has.Is(v) {
			return has, nil
		}
	}
	return v, deploy.Errorf(deploy.NotFound, "", "%s is gone", v.Name())
}

func (a *account) Publish(_ context.Context, t deploy.Target, artifact deploy.Artifact, description string) (deploy.FunctionVersion, error) {
	a.call("Publish")
	f := a.functions[t.Function]
	if a.own = f.versions[len(f.versions)-1]; a.own.TargetCodeSHA256 != artifact.CodeSHA256() {
		a.own = f.publish(t.Function, artifact.CodeSHA256(), description)
	}
	return a.own, nil
}

func (a *account) SetWeight(ctx context.Context, t deploy.Target, from, to deploy.FunctionVersion, percent int, still func(context.Context, deploy.Serving) error) error {
	if _, err := a.Find(ctx, t, to); err != nil {
		return err
	}
	a.call("SetWeight")
	f := a.functions[t.Function]
	found := f.alias
	found.TargetCodeSHA256, found.Description = "", ""
	if err := still(ctx, found); err != nil {
		return err
	}
	a.overwrites(f.alias)
	n, err := strconv.Atoi(to.TargetVersion)
	if err == nil {
		f.alias = f.serving(n)
	}
	return err
}

// line is one environment whose deployments pass the machine's stages here, with no machine, no cloud and no script.
type line struct {
	t      *testing.T
	store  *table
	lambda *account
	target deploy.Target
	clock  time.Time
	script strings.Builder // what was done, for who reads why it failed
	serial byte
	name   string // of the environment
}

func newLine(t *testing.T) *line {
	l := &line{t: t, store: &table{records: map[string][]byte{}}, lambda: &account{functions: map[string]*function{}}, clock: time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)}
	l.lambda.add("fa")
	l.lambda.add("fb")
	l.target, l.name = deploy.Target{Type: deploy.TargetLambda, Function: "fa", Alias: "live"}, "production"
	return l
}

func (l *line) note(format string, args ...any) { fmt.Fprintf(&l.script, format+"\n", args...) }

func (l *line) desk() pipeline.Desk {
	return pipeline.Desk{Records: l.store, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { l.clock = l.clock.Add(time.Millisecond); return l.clock }}
}

func (l *line) shop() pipeline.Workshop {
	return pipeline.Workshop{Desk: l.desk(), Secrets: noSecrets{}}
}

// noSecrets resolves the variables of environments that have none.
type noSecrets struct{}

func (noSecrets) Resolve(context.Context, string, map[string]string) (map[string]string, []string, error) {
	return map[string]string{}, nil, nil
}

// release is what a build makes of a commit: its code is the commit's alone.
func release(commit string) *deploy.Release {
	digest := strings.Repeat(commit[:1], 64)
	return &deploy.Release{App: "shop", CommitSHA: commit, Artifacts: []deploy.Artifact{{Path: "app.zip", Key: "k", SHA256: digest}}}
}

func commitOf(letter byte) string { return strings.Repeat(string(letter), 40) }

// begin records a deployment that has its turn.
func (l *line) begin(action deploy.Action) *deploy.Deployment {
	l.t.Helper()
	l.serial++
	l.clock = l.clock.Add(time.Second)
	d := deploy.New(deploy.NewID(l.clock, []byte{0, 0, 0, 0, l.serial}), action, "shop", l.name, l.clock)
	d.Status, d.Plan, d.Execution = deploy.Running, deploy.AllAtOnce(), executionOf(d.ID)
	d.Settings = &deploy.Settings{Target: l.target, URL: "http://127.0.0.1:1"}
	d.Health = deploy.Health{Path: "/health", TimeoutSeconds: 2, Successes: 1}
	d.Begin("admit", l.clock)
	d.Finish("admit", deploy.Passed, l.clock)
	err := l.store.Change(l.t.Context(), "shop", l.name, func(h *deploy.Head, _ func(string) (*deploy.Deployment, error)) error {
		adm := h.Admit(deploy.Turn{Deployment: d.ID, Action: action}, l.clock)
		if !adm.Granted {
			return fmt.Errorf("no turn for %s: %+v", d.ID, adm)
		}
		if d.Fence = h.Fence; adm.TookOver != nil {
			d.Repairs = adm.TookOver.Deployment
		}
		return nil
	}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return d
}

// deploy takes a commit's release through the stages from Deploy on, as the machine would.
func (l *line) deploy(letter byte, healthy bool) *deploy.Deployment {
	l.t.Helper()
	d := l.begin(deploy.Deploy)
	l.lambda.begins()
	d.CommitSHA, d.Release = commitOf(letter), release(commitOf(letter))
	d.Config = &deploy.Config{RollbackEnabled: true}
	l.store.put(d)
	l.note("deploy %c to %s, healthy %v: %s", letter, l.target.Function, healthy, d.ID)
	st := pipeline.State{Deployment: d.ID, App: "shop", Environment: l.name, Action: deploy.Deploy, Fence: d.Fence}
	code := release(d.CommitSHA).Artifacts[0].CodeSHA256()
	check := l.check(func(serves string) bool { return healthy || serves != code })
	for _, stage := range []pipeline.Stage{l.deployStage(), l.shift(), check, l.settle()} {
		if err := l.run(stage, &st); err == nil {
			continue
		} else if _, settles := stage.(*pipeline.Settle); settles && deploy.KindOf(err) != deploy.Moved {
			l.t.Fatalf("settle: %v\n%s", err, l.script.String())
		}
		l.back(&st, check)
		break
	}
	if l.lambda.forbidden != "" {
		l.t.Fatalf("it overwrote what somebody else had put there: %s\n%s", l.lambda.forbidden, l.script.String())
	}
	return l.ended(d.ID)
}

func (l *line) back(st *pipeline.State, check *pipeline.HealthCheck) {
	l.t.Helper()
	if err := l.run(l.rollback(), st); err == nil {
		_ = l.run(check, st)
	}
	if err := l.run(l.settle(), st); err != nil {
		l.t.Fatalf("settle after the way back: %v\n%s", err, l.script.String())
	}
}

// goBack is a rollback that somebody asks for: to a deployment's release, or "" for the one before. The error is Prepare's.
func (l *line) goBack(to string) (*deploy.Deployment, error) {
	l.t.Helper()
	d := l.begin(deploy.Rollback)
	l.lambda.begins()
	defer func() { l.lambda.forbidden = "" }() // it may overwrite anything
	l.note("rollback to %q: %s", to, d.ID)
	d.RollbackTo = to
	l.store.put(d)
	st := pipeline.State{Deployment: d.ID, App: "shop", Environment: l.name, Action: deploy.Rollback, Fence: d.Fence}
	check := l.check(func(string) bool { return true })
	err := l.run(l.rollback(), &st)
	if err == nil {
		_ = l.run(check, &st)
	}
	if l.run(l.settle(), &st) != nil { // then the machine goes on to SettleFailure
		if err := l.run(l.settle(), &st); err != nil {
			l.t.Fatalf("settle: %v\n%s", err, l.script.String())
		}
	}
	return l.ended(d.ID), err
}

// run runs a stage, and hands its state or its error on as the machine does.
func (l *line) run(stage pipeline.Stage, st *pipeline.State) error {
	next, err := stage.Run(l.t.Context(), pipeline.Call{State: encoded(st), Execution: executionOf(st.Deployment)})
	if err != nil {
		st.Error = pipeline.Failure{Error: string(deploy.KindOf(err)), Cause: err.Error()}
		l.note("  %T: %v", stage, err)
		return err
	}
	*st = *next
	return nil
}

func (l *line) deployStage() *pipeline.Deploy {
	return &pipeline.Deploy{Workshop: l.shop(), Heads: l.store, Targets: l.lambda}
}

func (l *line) shift() *pipeline.Shift {
	return &pipeline.Shift{Workshop: l.shop(), Targets: l.lambda}
}

func (l *line) rollback() *pipeline.Rollback {
	return &pipeline.Rollback{Workshop: l.shop(), Heads: l.store, Targets: l.lambda}
}

func (l *line) settle() *pipeline.Settle {
	return &pipeline.Settle{Workshop: l.shop(), Heads: l.store, Targets: l.lambda}
}

// check probes what serves: well says whether the code there is.
func (l *line) check(well func(code string) bool) *pipeline.HealthCheck {
	return &pipeline.HealthCheck{Desk: l.desk(), Probe: func(context.Context, string, deploy.Health) deploy.Check {
		l.lambda.call("Probe")
		ok := well(l.lambda.functions[l.target.Function].alias.TargetCodeSHA256)
		return deploy.Check{Time: l.clock, Status: map[bool]int{true: 200, false: 503}[ok], Healthy: ok}
	}, Sleep: func(context.Context, time.Duration) { l.clock = l.clock.Add(2 * time.Second) }}
}

func (l *line) ended(id string) *deploy.Deployment {
	l.t.Helper()
	d, err := l.store.Deployment(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	l.note("  %s, dirty %v, %s %s", d.Status, d.Dirty, d.ErrorKind, d.Error)
	return d
}

func (l *line) head() *deploy.Head {
	l.t.Helper()
	h, err := l.store.Head(l.t.Context(), "shop", l.name)
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

// move is what somebody else does to the alias: to version n, and where share is over 0, that much of it to version second.
func (l *line) move(n, second int, share float64) {
	f := l.lambda.functions[l.target.Function]
	f.alias = f.serving(n)
	if share > 0 && n != second {
		f.alias.Others = map[string]float64{strconv.Itoa(second): share}
	}
	l.note("  somebody else moves the alias to %s", f.alias)
}

// truth holds the record to what serves: they agree whole, or the environment is dirty and says so.
func (l *line) truth(d *deploy.Deployment) {
	l.t.Helper()
	h, serves := l.head(), l.lambda.functions[l.target.Function].alias
	if d.Dirty {
		if !h.Dirty || d.Status != deploy.Failed || d.Error == "" {
			l.t.Fatalf("dirty, and the head says %+v\n%s", h, l.script.String())
		}
		return
	}
	switch {
	case h.Live == nil:
		if d.Status == deploy.Success && (d.Action == deploy.Deploy || d.RollbackTo != "") {
			l.t.Fatalf("success, and nothing is live\n%s", l.script.String())
		}
	case !serves.Alone(h.Live.FunctionVersion) || h.Live.TargetFunction != "" && h.Live.FunctionVersion != serves.FunctionVersion:
		l.t.Fatalf("the record says %+v serves, the alias %s\n%s", *h.Live, serves, l.script.String())
	case d.Status == deploy.Success && (h.Live.Deployment != d.ID || d.CommitSHA != "" && serves.TargetCodeSHA256 != release(d.CommitSHA).Artifacts[0].CodeSHA256()):
		l.t.Fatalf("success of %s, and %+v is live\n%s", d.ID, *h.Live, l.script.String())
	}
	if h.Live != nil && h.Live.Deployment != "" {
		live, err := l.store.Deployment(l.t.Context(), h.Live.Deployment)
		if err != nil || !live.Live().Is(serves.FunctionVersion) {
			l.t.Fatalf("%s is said to serve, whose version is %+v, and the alias serves %s: %v\n%s", h.Live.Deployment, live.Live(), serves, err, l.script.String())
		}
	}
}

// TestSequences runs random sequences of deployments, good and bad, of few commits, rollbacks, changes of the function, and somebody
// else who moves the alias before and during all that; sometimes all records turn into what they were before. After each the record says what serves, or the environment is dirty.
func TestSequences(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 11))
		l := newLine(t)
		var ids []string
		for range 12 {
			l.lambda.disturb = nil
			if random.IntN(4) == 0 {
				l.disturb(random)
			}
			var d *deploy.Deployment
			switch n := random.IntN(10); {
			case l.head().Dirty:
				d, _ = l.goBack("")
			case n < 6:
				d = l.deploy(byte('a'+random.IntN(3)), random.IntN(4) > 0)
			case n < 8 && len(ids) > 0:
				d, _ = l.goBack(ids[random.IntN(len(ids))])
			case n < 9:
				d, _ = l.goBack("")
			case random.IntN(2) > 0:
				l.age()
				continue
			default:
				l.target.Function = map[string]string{"fa": "fb", "fb": "fa"}[l.target.Function]
				l.note("the target is %s by now", l.target.Function)
				continue
			}
			ids = append(ids, d.ID)
			if d.Changed != nil { // else nothing was looked at
				l.truth(d)
			}
			if l.lambda.disturb == nil && d.Dirty && d.Action == deploy.Rollback {
				t.Fatalf("dirty, and nobody interfered\n%s", l.script.String())
			}
		}
	}
}

// TestSameNumberOfAnotherFunction comes back to a function whose alias is on the number that is live on the other one.
func TestSameNumberOfAnotherFunction(t *testing.T) {
	l := newLine(t)
	a := l.deploy('a', true)
	l.target.Function = "fb"
	b := l.deploy('b', true)
	if a.Release.TargetVersion != b.Release.TargetVersion || b.Fallback != a.ID {
		t.Fatalf("versions %s and %s, to be alike; fallback %q", a.Release.FunctionVersion, b.Release.FunctionVersion, b.Fallback)
	}
	l.target.Function = "fa"
	c := l.deploy('c', false)
	l.truth(c)
	if live := l.head().Live; live.Deployment != a.ID || c.Previous.Deployment != a.ID {
		t.Errorf("live %+v, previous %+v, want both of %s\n%s", live, c.Previous, a.ID, l.script.String())
	}
	back, err := l.goBack(b.ID)
	if err != nil || back.Status != deploy.Success || back.Release.TargetCodeSHA256 != b.Release.TargetCodeSHA256 {
		t.Errorf("%s: %v, release %+v\n%s", back.Status, err, back.Release, l.script.String())
	}
	l.truth(back)
}

// age takes from all that is stored what records of before lack: of a version, they hold the number alone.
func (l *line) age() {
	l.t.Helper()
	strip := func(v *deploy.FunctionVersion) { v.TargetFunction, v.TargetCodeSHA256 = "", "" }
	for id := range l.store.records {
		d := l.ended(id)
		if d.Release != nil {
			strip(&d.Release.FunctionVersion)
		}
		if d.Previous != nil {
			strip(&d.Previous.FunctionVersion)
		}
		l.store.put(d)
	}
	h := l.head()
	for _, live := range []*deploy.Live{h.Live, h.Previous} {
		if live != nil {
			strip(&live.FunctionVersion)
		}
	}
	l.store.head = encoded(h)
	l.note("all records are of before")
}

// disturb has somebody else move the alias, once, before one of the next calls.
func (l *line) disturb(random *rand.Rand) {
	countdown := random.IntN(9)
	l.lambda.disturb = func(call string) {
		if countdown--; countdown != 0 {
			return
		}
		versions := len(l.lambda.functions[l.target.Function].versions)
		share := 0.0
		if random.IntN(3) == 0 {
			share = 0.1
		}
		l.note("  before %s:", call)
		l.move(1+random.IntN(versions), 1+random.IntN(versions), share)
	}
}

// TestAliasOfAnotherEnvironment has two environments on one alias, as apps of before may: a failing deployment of the one leaves the
// other's release, and the first release of the one says whose it replaces.
func TestAliasOfAnotherEnvironment(t *testing.T) {
	blue, green := newLine(t), newLine(t)
	green.lambda, green.store.records, green.serial, green.name = blue.lambda, blue.store.records, 100, "green"
	first := blue.deploy('a', true)

	// Green goes live while blue is checked.
	var second *deploy.Deployment
	blue.lambda.disturb = func(call string) {
		if call == "Probe" {
			blue.lambda.disturb = nil
			begin, own := blue.lambda.begin, blue.lambda.own
			second = green.deploy('b', true)
			blue.lambda.begin, blue.lambda.own = begin, own
		}
	}
	failed := blue.deploy('c', false)
	green.truth(second)
	blue.truth(failed)
	if second.Status != deploy.Success || failed.Status != deploy.Failed || failed.Dirty || blue.head().Live.Deployment != "" {
		t.Errorf("green is %s, blue %s, dirty %v, live %+v", second.Status, failed.Status, failed.Dirty, blue.head().Live)
	}
	log := strings.Join(append(second.Logs, failed.Logs...), "\n")
	for _, words := range []string{
		fmt.Sprintf("alias live serves version 3 of fa, the release cccccccc of %s to production of shop", failed.ID),
		fmt.Sprintf("alias live serves version 4 of fa, the release bbbbbbbb of %s to green of shop: somebody else moved it, so it stays", second.ID),
	} {
		if !strings.Contains(log, words) {
			t.Errorf("the timelines lack %q:\n%s", words, log)
		}
	}

	back, err := blue.goBack("")
	if blue.truth(back); err != nil || back.RollbackTo != first.ID {
		t.Errorf("a rollback by hand leads to %q, %v", back.RollbackTo, err)
	}
}
