package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/strict"
)

// Prepare makes or finds the record, resolves what is to be deployed, and checks it as far as that is possible without
// running anything.
type Prepare struct {
	Desk
	Create  func(ctx context.Context, d *deploy.Deployment) error
	App     func(ctx context.Context, name string) (*deploy.App, error)
	Heads   Heads
	Sources Sources       // that people upload
	Fetched Sources       // that Slipway's own functions make
	Runner  deploy.Runner // of environments that name none
	Built   Built
	Jobs    Jobs
	Parse   func(yaml []byte, environment string) (*deploy.Config, error)                       // a commit's slipway.yaml
	Scan    func(r io.Reader, name string) (text []byte, found bool, lacks []string, err error) // one file of a bundle, every entry checked
	Find    func(r io.Reader, match func(name string) bool) (string, error)                     // the first file of a bundle that matches; "" for none
}

// Sources are the commits' bundles.
type Sources interface {
	Stat(ctx context.Context, app, commit string) (*deploy.Bundle, error)
	Fetch(ctx context.Context, b *deploy.Bundle, w *os.File) (sha string, err error)
}

// Input is what starts an execution: the API names a record that it made, an operator says what to do.
type Input struct {
	Deployment  string        `json:"deployment,omitempty"`
	Action      deploy.Action `json:"action,omitempty"` // default deploy
	App         string        `json:"app,omitempty"`
	Environment string        `json:"environment,omitempty"`
	CommitSHA   string        `json:"commit_sha,omitempty"`
	Branch      string        `json:"branch,omitempty"`
	Force       bool          `json:"force_deployment,omitempty"`
	Rebuild     bool          `json:"rebuild,omitempty"`
	To          string        `json:"to,omitempty"` // the deployment whose release a rollback restores

	// How to end a dirty environment, and why: all of these want the last.
	Repairs     string `json:"repairs,omitempty"`          // the dirty deployment that a deployment repairs
	SkipScripts bool   `json:"skip_scripts,omitempty"`     // a rollback without the scripts and hooks of what it undoes
	Declare     bool   `json:"declare_repaired,omitempty"` // a rollback that moves nothing: it was repaired by hand
	Why         string `json:"why,omitempty"`
}

// Recover is the action of an execution that Sweep starts for a deployment whose own is gone.
const Recover deploy.Action = "recover"

// ParseInput reads an execution's input strictly. Its error names the field and what would be right.
func ParseInput(raw []byte) (*Input, error) {
	var in Input
	if err := theInput.Decode(raw, &in); err != nil {
		return nil, err
	}
	if in.Deployment != "" {
		if in != (Input{Deployment: in.Deployment}) && in != (Input{Deployment: in.Deployment, Action: Recover}) {
			return nil, deploy.FieldErrorf("deployment", "stands alone; what else there is to say is on its record")
		}
		return &in, nil
	}
	return &in, in.validate()
}

var theInput = strict.Form{Name: "the input", Example: `{"app":"shop","environment":"production","commit_sha":"<40 hex digits>"}`}

func (in *Input) validate() error {
	if in.Action == "" {
		in.Action = deploy.Deploy
	}
	switch {
	case in.Action != deploy.Deploy && in.Action != deploy.Rollback:
		return deploy.FieldErrorf("action", "%q is unknown; want deploy or rollback", deploy.Cut(string(in.Action), 80))
	case !deploy.ValidName(in.App):
		return deploy.FieldErrorf("app", "%q is not a name; want %s", deploy.Cut(in.App, 80), deploy.NameRule)
	case !deploy.ValidName(in.Environment):
		return deploy.FieldErrorf("environment", "%q is not a name; want %s", deploy.Cut(in.Environment, 80), deploy.NameRule)
	case in.Action == deploy.Deploy && !deploy.ValidCommit(in.CommitSHA):
		return deploy.FieldErrorf("commit_sha", "%q is not a commit; want 40 hex digits", deploy.Cut(in.CommitSHA, 80))
	case in.Action == deploy.Deploy && in.To != "":
		return deploy.FieldErrorf("to", "belongs to a rollback; want commit_sha")
	case in.Action == deploy.Rollback && (in.CommitSHA != "" || in.Branch != "" || in.Force || in.Rebuild):
		return deploy.FieldErrorf("action", "a rollback takes app, environment and to; no commit, branch, force or rebuild")
	case in.To != "" && !deploy.ValidID(in.To):
		return deploy.FieldErrorf("to", "%q is not a deployment's id", deploy.Cut(in.To, 80))
	}
	if err := in.validateRepair(); err != nil {
		return err
	}
	return deploy.CheckBranch(in.Branch)
}

func (in *Input) validateRepair() error {
	switch {
	case in.Action == deploy.Deploy && (in.SkipScripts || in.Declare):
		return deploy.FieldErrorf("action", "skip_scripts and declare_repaired belong to a rollback; want repairs for a deployment")
	case in.Action == deploy.Rollback && in.Repairs != "":
		return deploy.FieldErrorf("repairs", "belongs to a deployment; a rollback repairs what is dirty anyhow")
	case in.Declare && in.SkipScripts:
		return deploy.FieldErrorf("skip_scripts", "means nothing beside declare_repaired, which runs none")
	case in.Repairs != "" && !deploy.ValidID(in.Repairs):
		return deploy.FieldErrorf("repairs", "%q is not a deployment's id", deploy.Cut(in.Repairs, 80))
	case in.Repairs != "" || in.SkipScripts || in.Declare:
		return deploy.CheckWhy(in.Why)
	case in.Why != "" && in.To == "":
		return deploy.FieldErrorf("why", "is the reason for repairs, skip_scripts, declare_repaired or to; want one of them")
	case in.Why != "":
		return deploy.CheckWhy(in.Why)
	}
	return nil
}

// repair is what the input asks for to end a dirty environment, nil for nothing.
func (in *Input) repair() *deploy.Repair {
	if in.Why == "" {
		return nil
	}
	return &deploy.Repair{Of: in.Repairs, Why: in.Why, SkipScripts: in.SkipScripts, Declared: in.Declare}
}

// executionID gives the id of an execution's deployment: its name where that is one, else made of its start and ARN, so
// that the same execution always has the same.
func executionID(arn string, start time.Time) string {
	if name := arn[strings.LastIndex(arn, ":")+1:]; deploy.ValidID(name) {
		return name
	}
	sum := sha256.Sum256([]byte(arn))
	return deploy.NewID(start, sum[:])
}

// maxIDSkew is how far the time in an execution's name may be from the execution's start, if the name is an id that no record has.
const maxIDSkew = 15 * time.Minute

// checkID refuses an id of a far time. Ids sort by time: one from the future would supersede every later deployment, and one from the
// past would stand in the history where it never was.
func checkID(id string, start time.Time) error {
	began := deploy.IDTime(id)
	if skew := began.Sub(start); skew.Abs() <= maxIDSkew {
		return nil
	}
	return deploy.FieldErrorf("execution name", "%s is the id of a deployment of %s, and the execution started at %s; want an id of now, or a name of any other form",
		id, began.Format(time.RFC3339), start.UTC().Format(time.RFC3339))
}

// Run makes the deployment ready for its first stage.
func (p *Prepare) Run(ctx context.Context, call Call) (*State, error) {
	in, err := ParseInput(call.State)
	if err != nil {
		return nil, err
	}
	if in.Action == Recover {
		return p.recover(ctx, in.Deployment, call.Execution)
	}
	d, err := p.record(ctx, in, call)
	if err != nil {
		return nil, err
	}
	st := &State{Deployment: d.ID, App: d.App, Environment: d.Environment, Action: d.Action, Runner: d.Runner, execution: call.Execution}
	s := d.Stage("prepare")
	if s != nil && s.End != nil && d.Execution == call.Execution {
		return st, earlier(s, d)
	}
	if err := cmp.Or(theirs(d, call.Execution), mine(st, d), cancelled(d)); err != nil {
		return nil, err
	}
	e := ended{name: "prepare", start: p.Now()}
	if s.Open() {
		e.attempt = s.Attempt
	}
	e.open = func(d *deploy.Deployment) error { return p.started(d, call.Execution, e.start) }
	d.Execution = call.Execution // as e.open writes it: a build compares it too
	e.done, e.err = p.prepare(ctx, d)
	if deploy.KindOf(e.err) == deploy.Unfetched {
		return nil, errors.Join(p.wait(ctx, st, d, e), e.err)
	}
	err = p.finish(ctx, st, d, e)
	if st.Runner = d.Runner; err == nil && d.Runner == deploy.RunnerCodeBuild {
		err = cancelled(d) // whoever cancelled meanwhile knew of no build that could be told
	}
	return st, err
}

// wait leaves the stage open for the time after Fetch, and the deployment marked as this execution's.
func (p *Prepare) wait(ctx context.Context, st *State, d *deploy.Deployment, e ended) error {
	if e.attempt > 0 {
		return nil
	}
	return p.update(ctx, st, d, e.open)
}

// prepare works on d as it was read; what it found is written with the stage's end, on d as it is by then.
func (p *Prepare) prepare(ctx context.Context, d *deploy.Deployment) (end done, err error) {
	if err := p.settings(ctx, d); err != nil {
		return done{}, err
	}
	end.outcome = deploy.Passed
	var notes []string
	if d.Action == deploy.Rollback {
		end.said, err = p.rollback(ctx, d)
	} else {
		end.said, notes, err = p.deploy(ctx, d)
	}
	found := *d
	end.change = func(d *deploy.Deployment) {
		for _, note := range notes {
			d.Log(p.Now(), "note: %s", note)
		}
		d.Settings, d.Config, d.Source, d.Plan = found.Settings, found.Config, found.Source, found.Plan
		d.Variables = found.Variables
		d.CommitSHA, d.Branch, d.RollbackFrom = found.CommitSHA, found.Branch, found.RollbackFrom
		d.Release, d.Fallback, d.Health = found.Release, found.Fallback, found.Health
		d.Repairing = found.Repairing
		d.Runner, d.TestedBy = found.Runner, found.TestedBy
	}
	return end, err
}

// record finds the deployment, or makes it for an execution that was started by hand.
func (p *Prepare) record(ctx context.Context, in *Input, call Call) (*deploy.Deployment, error) {
	id, execution := executionID(call.Execution, call.StartTime), call.Execution
	d, err := p.Records.Deployment(ctx, id)
	if deploy.KindOf(err) != deploy.NotFound {
		return d, err
	}
	if in.Deployment != "" {
		return nil, deploy.FieldErrorf("deployment", "%q is no record of this execution; by hand, give app, environment and commit_sha", deploy.Cut(in.Deployment, 80))
	}
	if err := checkID(id, call.StartTime); err != nil {
		return nil, err
	}
	d = deploy.New(id, in.Action, in.App, in.Environment, p.Now())
	if err := p.settings(ctx, d); err != nil {
		return nil, err
	}
	d.CommitSHA, d.Branch, d.Force, d.Rebuild, d.RollbackTo = in.CommitSHA, in.Branch, in.Force, in.Rebuild, in.To
	d.Repairing = in.repair()
	d.Metadata["started_by"] = "execution"
	if d.Action == deploy.Rollback {
		p.foresee(ctx, d)
	}
	if err := p.started(d, execution, p.Now()); err != nil {
		return nil, err
	}
	if err := p.Create(ctx, d); deploy.KindOf(err) == deploy.Conflict {
		return p.Records.Deployment(ctx, id)
	} else if err != nil {
		return nil, err
	}
	return d, nil
}

// foresee takes down what a rollback is going to undo and restore, for its first line. Where it can't be said, prepare says why.
func (p *Prepare) foresee(ctx context.Context, d *deploy.Deployment) {
	if d.Declared() {
		return
	}
	h, err := p.Heads.Head(ctx, d.App, d.Environment)
	if err != nil {
		return
	}
	if way, err := findWayBack(ctx, p.Records, h, d); err == nil {
		way.apply(d)
	}
}

// startText says what a deployment is going to do.
func startText(d *deploy.Deployment) string {
	if d.Action == deploy.Deploy {
		return fmt.Sprintf("deploy of %s to %s", deploy.ShortCommit(d.CommitSHA), d.Environment)
	}
	text := "rollback in " + d.Environment
	if d.RollbackFrom != "" {
		text = fmt.Sprintf("rollback of %s in %s", d.RollbackFrom, d.Environment)
	}
	if d.CommitSHA != "" {
		text += " to the release " + deploy.ShortCommit(d.CommitSHA)
	}
	if d.RollbackTo != "" {
		text += " of " + d.RollbackTo
	}
	return text
}

// theirs is the error of a deployment that another execution has taken up.
func theirs(d *deploy.Deployment, execution string) error {
	if d.Execution == "" || d.Execution == execution {
		return nil
	}
	return deploy.Errorf(deploy.Conflict, "", "deployment %s belongs to execution %s", d.ID, d.Execution)
}

// started marks the deployment as the execution's, at work in Prepare since start.
func (p *Prepare) started(d *deploy.Deployment, execution string, start time.Time) error {
	if err := theirs(d, execution); err != nil {
		return err
	}
	if d.Status == deploy.Pending {
		d.Log(start, "%s started", startText(d))
		if d.Repairing != nil {
			d.Log(start, "repair asked for%s", reason(d))
		}
	}
	if err := d.Status.To(deploy.Running); err != nil {
		return err
	}
	d.Status, d.Execution = deploy.Running, execution
	d.Begin("prepare", start)
	return nil
}

// settings takes down what the environment's owner decided, where whoever recorded the deployment has not.
func (p *Prepare) settings(ctx context.Context, d *deploy.Deployment) error {
	if d.Settings != nil {
		return nil
	}
	a, err := p.App(ctx, d.App)
	if err != nil {
		return err
	}
	d.Settings, err = a.Environment(d.Environment)
	d.Variables = a.Variables
	return err
}

// configError returns the error of a slipway.yaml. An error about the whole of the file names it already.
func configError(err error) error {
	if deploy.FieldOf(err) == deploy.ConfigFile {
		return err
	}
	return deploy.Errorf(deploy.Invalid, deploy.ConfigFile, "%w", err)
}

// deploy checks a commit. told is what there is to say of how it goes on, notes what its author may not have meant.
func (p *Prepare) deploy(ctx context.Context, d *deploy.Deployment) (told string, notes []string, err error) {
	if !d.Settings.AllowsBranch(d.Branch) {
		return "", nil, deploy.FieldErrorf("branch", "%q may not be deployed to %s; want one of %s", d.Branch, d.Environment, strings.Join(d.Settings.Branches, ", "))
	}
	in, err := p.read(ctx, d)
	if err != nil {
		return "", nil, err
	}
	c, err := p.Parse(in.text, d.Environment)
	if err != nil {
		return "", nil, configError(err)
	}
	if err := d.Settings.CheckHooks(d.Environment, c.Hooks); err != nil {
		return "", nil, configError(err)
	}
	if err := p.findDirty(ctx, d); err != nil {
		return "", nil, err
	}
	if d.Settings.RollbackEnabled != nil {
		c.RollbackEnabled = *d.Settings.RollbackEnabled
	}
	d.Config, d.Plan, d.Health = c, deploy.AllAtOnce(), c.Health()
	if err := p.chooseRunner(ctx, d); err != nil {
		return "", nil, err
	}
	notes = append(in.lacks, hints(d)...)

	var parts []string
	if !in.found {
		parts = append(parts, deploy.NoConfig(in.misnamed))
	}
	if d.Runner == deploy.RunnerCodeBuild {
		parts = append(parts, "CodeBuild tests and builds it")
	}
	if len(parts) == 0 {
		return "", notes, nil
	}
	return said("%s", strings.Join(parts, "; ")), notes, nil
}

// bundled is what Prepare reads of a bundle.
type bundled struct {
	text     []byte // of slipway.yaml
	found    bool   // there is one
	misnamed string // where there is none: the file that was meant to be it
	lacks    []string
}

// read fetches the bundle, checks every entry of it, and returns what it says.
func (p *Prepare) read(ctx context.Context, d *deploy.Deployment) (in bundled, err error) {
	b, err := p.bundle(ctx, d)
	if err != nil {
		return in, err
	}
	f, err := os.CreateTemp("", "bundle-*.tar.gz")
	if err != nil {
		return in, deploy.Errorf(deploy.Internal, "prepare", "%w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if b.SHA256, err = p.Sources.Fetch(ctx, b, f); err != nil {
		return in, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return in, deploy.Errorf(deploy.Internal, "prepare", "%w", err)
	}
	d.Source = b
	if in.text, in.found, in.lacks, err = p.Scan(f, deploy.ConfigFile); in.found || err != nil {
		return in, err
	}

	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return in, deploy.Errorf(deploy.Internal, "prepare", "%w", err)
	}
	in.misnamed, err = p.Find(f, deploy.IsMisnamedConfig)
	return in, err
}

// bundle finds the commit's source. Where it can be fetched, and isn't there, it is Unfetched; and also where the
// commit has to be on its branch: then it isn't enough that it is there, since only the server knows which branch it is on.
func (p *Prepare) bundle(ctx context.Context, d *deploy.Deployment) (*deploy.Bundle, error) {
	if d.Source != nil {
		return d.Source, nil
	}
	a, err := p.App(ctx, d.App)
	if err != nil {
		return nil, err
	}
	missing := deploy.Errorf(deploy.Unfetched, "source", "commit %s has to be fetched", d.CommitSHA)
	switch {
	case a.Source.Uploaded():
		return p.Sources.Stat(ctx, d.App, d.CommitSHA)
	case onItsBranch(d):
		return nil, missing
	}
	b, err := p.Fetched.Stat(ctx, d.App, d.CommitSHA)
	if deploy.KindOf(err) == deploy.NotFound {
		return nil, missing
	}
	return b, err
}

// rollback checks that there is something to undo and something to go back to. Both are looked at again when the
// rollback has its turn.
func (p *Prepare) rollback(ctx context.Context, d *deploy.Deployment) (string, error) {
	h, err := p.Heads.Head(ctx, d.App, d.Environment)
	if err != nil {
		return "", err
	}
	d.Plan = deploy.AllAtOnce()
	if err := p.dirtyHolder(ctx, h, d); err != nil {
		return "", err
	}
	if d.Declared() {
		d.RollbackFrom = d.Repairing.Of
		return said("%s was repaired by hand", d.RollbackFrom), nil
	}
	way, err := findWayBack(ctx, p.Records, h, d)
	if err != nil {
		return "", err
	}
	way.apply(d)
	return said("%s", way), nil
}

// findDirty resolves what a deployment is to repair; most repair nothing.
func (p *Prepare) findDirty(ctx context.Context, d *deploy.Deployment) error {
	if d.Repairing == nil {
		return nil
	}
	h, err := p.Heads.Head(ctx, d.App, d.Environment)
	if err != nil {
		return err
	}
	return p.dirtyHolder(ctx, h, d)
}

// dirtyHolder writes down which deployment's dirty environment d repairs. Only a rollback that skips scripts needs none.
func (p *Prepare) dirtyHolder(ctx context.Context, h *deploy.Head, d *deploy.Deployment) error {
	if d.Repairing == nil || !h.Dirty && d.Repairing.Of == "" && !d.Repairing.Declared {
		return nil
	}
	holder, err := h.DirtyHolder(d.Repairing.Of, func(id string) (*deploy.Deployment, error) { return p.Records.Deployment(ctx, id) })
	if err != nil {
		return err
	}
	repairing := *d.Repairing
	repairing.Of = holder
	d.Repairing = &repairing
	return nil
}
