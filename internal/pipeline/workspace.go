package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/script"
)

// Workshop is where a stage runs scripts: the commit unpacked, a clean environment, output into the deployment's log.
type Workshop struct {
	Desk
	Sources   Sources
	Artifacts Artifacts
	Secrets   Secrets
	Unpack    func(r io.Reader, dir string) error // a bundle, every entry checked
	Path      string                              // where scripts find programs; "" for the system's own folders
	Alone     bool                                // the process runs nothing but scripts, so that what one leaves is ended wherever it hides
	Quit      func()                              // ends the process, which leaves no other way to end what a script left; nil: it can't be ended so
	Temp      string                              // folder that only this process's scripts write, and that is emptied before each commit's; "" for none
	Cache     string                              // folder that outlives a script, for compilers' caches; "" for none
	Output    func(ctx context.Context, stream string) io.WriteCloser
	Patience  time.Duration // a script goes on while its record can't be read; 0: recordPatience
}

// Artifacts keeps what builds made.
type Artifacts interface {
	PutArtifact(ctx context.Context, app, commit, name, file string) (deploy.Artifact, error)
	FetchArtifact(ctx context.Context, a deploy.Artifact, file string) error
	CheckArtifact(ctx context.Context, a deploy.Artifact) error
	FindArtifact(ctx context.Context, app, commit, name, sha string) (deploy.Artifact, error)
}

// Secrets looks up the values that variables only refer to, and tells which of all values logs must not show.
type Secrets interface {
	Resolve(ctx context.Context, app string, vars map[string]string) (resolved map[string]string, hidden []string, err error)
}

// margin is what a script leaves of its function's time, for its output and the record.
const margin = 10 * time.Second

// bench is one stage's use of the workshop. Nothing is fetched before the first script runs.
type bench struct {
	shop    *Workshop
	st      *State
	d       *deploy.Deployment
	stage   string
	attempt int
	place   []deploy.Artifact  // to be found at their paths
	vars    map[string]string  // beyond those that every script has
	other   *deploy.Deployment // whose commit is unpacked, and whose variables scripts see, if not d's
	settled map[string]string  // the owner's variables, looked up; nil before
	hidden  []string           // values that its output must not show
	dir     string
}

// bench sets up for one stage; close it.
func (w *Workshop) bench(st *State, d *deploy.Deployment, stage string) *bench {
	return &bench{shop: w, st: st, d: d, stage: stage, attempt: st.attempt}
}

// begin puts the stage's start on the record, where the stage has not done so itself.
func (b *bench) begin(ctx context.Context) error {
	if b.attempt > 0 || b.stage == "settle" {
		return nil
	}
	if err := b.shop.begin(ctx, b.st, b.d, b.stage, nil); err != nil {
		return err
	}
	b.attempt = b.st.attempt
	return nil
}

// commit is the record of the commit whose scripts run.
func (b *bench) commit() *deploy.Deployment { return cmp.Or(b.other, b.d) }

func (b *bench) close() error {
	dir := b.dir
	if dir == "" {
		return nil
	}
	b.dir = ""
	return script.Remove(dir)
}

// root is the workspace's folder.
func (b *bench) root() string { return filepath.Join(b.dir, "work") }

// open fetches and unpacks the commit, once.
func (b *bench) open(ctx context.Context) (err error) {
	if b.dir != "" {
		return nil
	}
	source := b.commit().Source
	if source == nil {
		return deploy.Errorf(deploy.Internal, b.stage, "deployment %s has no source on its record", b.commit().ID)
	}
	if b.shop.Temp != "" && !b.st.emptied { // a stage may have two workspaces at once
		b.st.emptied = true
		if err := script.Empty(b.shop.Temp); err != nil {
			return deploy.Errorf(deploy.Internal, b.stage, "empty the folder for temporary files: %w", err)
		}
	}
	dir, err := os.MkdirTemp(b.shop.Temp, "slipway-")
	if err != nil {
		return deploy.Errorf(deploy.Internal, b.stage, "%w", err)
	}
	b.dir = dir
	defer func() {
		if err != nil { // the next script must not find half a workspace
			err = errors.Join(err, b.close())
		}
	}()
	for _, sub := range []string{"work", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return deploy.Errorf(deploy.Internal, b.stage, "%w", err)
		}
	}
	if err := b.unpackAndBegin(ctx, source); err != nil {
		return err
	}
	return b.put(ctx, b.place)
}

// unpackAndBegin does both at once: unpacking leaves no trace but a folder of its own, and needn't wait until the stage's
// begin is written.
func (b *bench) unpackAndBegin(ctx context.Context, source *deploy.Bundle) error {
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	unpacked := make(chan error, 1)
	go func() { unpacked <- b.unpack(fetching, source) }()
	begun := b.begin(ctx)
	if begun != nil {
		stop()
	}
	return cmp.Or(begun, <-unpacked)
}

// put brings artifacts to their paths in the workspace, over what lies there.
func (b *bench) put(ctx context.Context, artifacts []deploy.Artifact) error {
	if b.dir == "" {
		b.place = artifacts
		return nil
	}
	for _, a := range artifacts {
		file := filepath.Join(b.root(), filepath.FromSlash(a.Path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return deploy.Errorf(deploy.Internal, b.stage, "%w", err)
		}
		if err := b.shop.Artifacts.FetchArtifact(ctx, a, file); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) unpack(ctx context.Context, source *deploy.Bundle) (err error) {
	f, err := os.Create(filepath.Join(b.dir, "bundle.tar.gz"))
	if err != nil {
		return deploy.Errorf(deploy.Internal, b.stage, "%w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := b.shop.Sources.Fetch(ctx, source, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return deploy.Errorf(deploy.Internal, b.stage, "%w", err)
	}
	return b.shop.Unpack(f, b.root())
}

// variables are what a script sees: the commit's, over them the owner's, over them ours. Only the owner's may refer to secrets: a
// commit must not read what it likes. Tests and builds count for every environment, so they get nothing that is of one.
func (b *bench) variables(ctx context.Context) (vars map[string]string, hidden []string, err error) {
	vars = map[string]string{"HOME": filepath.Join(b.dir, "home"), "TMPDIR": filepath.Join(b.dir, "tmp"), "CI": "true"}
	if b.shop.Path != "" {
		vars["PATH"] = b.shop.Path
	}
	if b.shop.Cache != "" {
		vars["XDG_CACHE_HOME"] = filepath.Join(b.shop.Cache, b.d.App)
	}
	c := b.commit()
	commits, owners := c.Config.Variables, b.d.Settings.Variables
	if b.forAll() {
		commits, owners = c.Config.VariablesOfBuild(), b.d.Variables
	}

	maps.Copy(vars, commits)
	if err := b.lookUp(ctx, owners); err != nil {
		return nil, nil, err
	}
	maps.Copy(vars, b.settled)
	maps.Copy(vars, map[string]string{
		"SLIPWAY_DEPLOYMENT": b.d.ID, "SLIPWAY_APP": b.d.App,
		"SLIPWAY_COMMIT": c.CommitSHA, "SLIPWAY_BRANCH": c.Branch, "SLIPWAY_STAGE": b.stage,
		"SLIPWAY_ACTION": string(b.d.Action),
	})
	if !b.forAll() {
		vars["SLIPWAY_ENVIRONMENT"] = b.d.Environment
	}
	if b.d.Previous != nil {
		vars["SLIPWAY_PREVIOUS_COMMIT"] = b.d.Previous.CommitSHA
	}
	maps.Copy(vars, b.vars)
	return vars, b.hidden, nil
}

// lookUp resolves the owner's variables, once for a stage.
func (b *bench) lookUp(ctx context.Context, owners map[string]string) (err error) {
	if b.settled != nil {
		return nil
	}
	b.settled, b.hidden, err = b.shop.Secrets.Resolve(ctx, b.d.App, owners)

	if wrong := (*deploy.Error)(nil); b.forAll() && errors.As(err, &wrong) {
		field := strings.Replace(wrong.Field, "environment_variables.", "build_variables.", 1)
		return &deploy.Error{Kind: wrong.Kind, Field: field, Err: wrong.Err}
	}
	return err
}

// forAll reports whether what the stage does counts for all environments.
func (b *bench) forAll() bool { return b.stage == "test" || b.stage == "build" }

// run runs one script. Its error is Cancelled where somebody cancelled the deployment meanwhile, Fenced where another
// run of the stage took over, and of the given kind where the script failed.
func (b *bench) run(ctx context.Context, kind deploy.Kind, name, command string) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	if err := script.Empty(filepath.Join(b.dir, "tmp")); err != nil {
		return deploy.Errorf(deploy.Internal, b.stage, "empty TMPDIR: %w", err)
	}
	vars, hidden, err := b.variables(ctx)
	if err != nil {
		return err
	}
	if err := b.shop.mayStart(ctx, b.st, b.d, b.stage); err != nil {
		return err
	}
	out := b.shop.Output(context.WithoutCancel(ctx), b.d.ID)
	masked := script.Mask(out, hidden)
	_, _ = io.WriteString(masked, "--- "+name+"\n")
	watched, stop := b.watch(ctx)
	err = script.Run(watched, script.Job{Command: command, Dir: b.root(), Env: vars, Output: masked, Limit: b.limit(ctx), Alone: b.shop.Alone})
	stop()
	if lost := errors.Join(masked.Close(), out.Close()); lost != nil {
		b.shop.Log.Warn("a script's output is not complete", "deployment", b.d.ID, "error", lost)
	}
	if err == nil {
		return nil
	}
	return b.failed(ctx, kind, name, err)
}

// failed words a script's error. If another run took the slot over, it waits for this script's end and is told of it at once.
func (b *bench) failed(ctx context.Context, kind deploy.Kind, name string, err error) error {
	var alive *script.AliveError
	var changed *script.ChangedError
	if errors.As(err, &alive) || errors.As(err, &changed) {
		b.st.run, b.st.claiming = "", "" // so that the slot is not freed
		if b.shop.Quit != nil {
			b.shop.Log.Error("a script left something that can't be ended or undone, so this function's process ends: Lambda starts another", "deployment", b.d.ID, "script", name, "error", err)
			b.shop.Quit()
		}
	}
	switch deploy.KindOf(err) {
	case deploy.Fenced:
		b.shop.free(ctx, b.st, b.d)
		return err
	case deploy.Cancelled:
		return err
	}
	return deploy.Errorf(kind, name+" script", "%w", err)
}

// limit is the script's own, or what is left of the function's time.
func (b *bench) limit(ctx context.Context) time.Duration {
	limit := script.DefaultLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)-margin)
	}
	return max(limit, time.Second)
}
