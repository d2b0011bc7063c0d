package pipeline

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// hooksFirst is how long the pre_rollback hooks of a script target may take together. They run before its rollback script, and
// must leave it its time.
const hooksFirst = time.Minute

// runBack brings a script target back, and reports whether there was anything to do it with. In this order it takes
//   - the commit's own rollback script,
//   - its make rollback, if its Makefile has such a rule and this runner has make,
//   - the deploy script of the release that is restored, with that release's own commit and artifacts.
//
// If the caller skips scripts, only the last is left: what is skipped is the commit that is undone.
func (r *Rollback) runBack(ctx context.Context, st *State, b *bench, to *deploy.Live) (ran bool, err error) {
	if err := r.Hooks.runWithin(ctx, b, "pre_rollback", hooksFirst); err != nil {
		return false, err
	}
	if ownScript(b.d) != "" {
		return true, r.runOwn(ctx, b, to)
	}
	makes, err := r.makesRollback(ctx, st, b)
	if err != nil {
		return false, err
	}
	if makes {
		if err := r.placeArtifacts(ctx, b, to); err != nil {
			return true, err
		}
		return true, b.run(ctx, deploy.RollbackFailed, "rollback", deploy.DefaultRollback)
	}
	return r.redeploy(ctx, st, b, to)
}

// runOwn runs the rollback script of the commit that is undone.
func (r *Rollback) runOwn(ctx context.Context, b *bench, to *deploy.Live) error {
	if err := r.placeArtifacts(ctx, b, to); err != nil {
		return err
	}
	return b.run(ctx, deploy.RollbackFailed, "rollback", ownScript(b.d))
}

// placeArtifacts puts the restored release's artifacts where the scripts of the bench find them.
func (r *Rollback) placeArtifacts(ctx context.Context, b *bench, to *deploy.Live) error {
	if to.Deployment == "" {
		return nil
	}
	d, err := r.Records.Deployment(ctx, to.Deployment)
	if err != nil || d.Release == nil {
		return err
	}
	return b.put(ctx, d.Release.Artifacts)
}

// makesRollback reports whether make rollback can bring the target back. If the commit can't be read any more, it can't: the
// release before is deployed instead.
func (r *Rollback) makesRollback(ctx context.Context, st *State, b *bench) (bool, error) {
	if b.d.Source == nil || b.d.Config == nil || b.d.SkipsScripts() || !hasProgram(b, "make") {
		return false, nil
	}
	err := b.open(ctx)
	switch {
	case deploy.KindOf(err) == deploy.Fenced:
		return false, err
	case err != nil:
		return false, r.note(ctx, st, b.d, "warning: the commit can't be searched for a rollback rule: %v", err)
	}
	text, err := readMakefile(b.root())
	if err != nil {
		return false, r.note(ctx, st, b.d, "warning: the Makefile can't be read: %v", err)
	}
	return hasRule(text, "rollback"), nil
}

// hasProgram reports whether a script of the bench finds a program of that name.
func hasProgram(b *bench, name string) bool {
	path := cmp.Or(b.d.Settings.Variables["PATH"], b.d.Config.Variables["PATH"], b.shop.Path, "/usr/local/bin:/usr/bin:/bin")
	return slices.ContainsFunc(filepath.SplitList(path), func(dir string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
	})
}

// maxMakefile is how much of a Makefile is searched.
const maxMakefile = 1 << 20

// readMakefile reads the file that make would take, "" if there is none. It is read, not run: to ask make itself would run what
// the file has in $(shell …).
func readMakefile(dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	for _, name := range []string{"GNUmakefile", "makefile", "Makefile"} {
		if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := root.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxMakefile))
		return string(text), err
	}
	return "", nil
}

// joinLines joins each line that ends with a backslash with the next one. Two backslashes stand for one.
var joinLines = strings.NewReplacer(`\\`, `\\`, "\\\n", " ")

// hasRule reports whether a Makefile has an explicit rule for target. It doesn't search patterns, included files and define's text.
func hasRule(makefile, target string) bool {
	defines := 0
	for line := range strings.Lines(joinLines.Replace(makefile)) {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "#") {
			continue
		}
		if after := nestDefine(line, defines); defines > 0 || after > 0 {
			defines = after
			continue
		}
		targets, rest, found := strings.Cut(line, ":")
		if assigns := strings.HasPrefix(strings.TrimLeft(rest, ":"), "=") || strings.ContainsAny(targets, "=#"); !found || assigns {
			continue
		}
		if slices.Contains(strings.Fields(targets), target) {
			return true
		}
	}
	return false
}

// nestDefine returns how many defines are open after a line of a Makefile, of those open before it. As in GNU make, words like override
// may stand before the outer define only, and define = x sets a variable.
func nestDefine(line string, open int) int {
	words := strings.Fields(line)
	for open == 0 && len(words) > 0 && slices.Contains([]string{"override", "export", "private"}, words[0]) {
		words = words[1:]
	}
	switch {
	case len(words) == 0:
		return open
	case open > 0 && words[0] == "endef":
		return open - 1
	case open > 0 && words[0] == "define":
		return open + 1
	case words[0] == "define" && len(words) > 1 && !slices.Contains([]string{"=", ":=", "::=", ":::=", "?=", "+=", "!="}, words[1]):
		return 1
	}
	return open
}

// redeploy deploys the release that is restored by its own commit's scripts, in a workspace of its own. A failed deployment doesn't
// bring back one that was never healthy either.
func (r *Rollback) redeploy(ctx context.Context, st *State, b *bench, to *deploy.Live) (ran bool, err error) {
	if to.Deployment == "" {
		return false, nil
	}
	if b.d.Action == deploy.Deploy {
		before, err := r.Records.Deployment(ctx, to.Deployment)
		if err != nil || !before.WentLive() {
			return false, err
		}
	}
	made, err := origin(ctx, r.Records, to.Deployment)
	if err != nil {
		return false, err
	}
	if made == nil || made.Config == nil || made.Config.Scripts.Deploy == "" {
		return true, r.note(ctx, st, b.d, "the release of %s has no deploy script: nothing is run to bring it back", to.Deployment)
	}
	why := "there is no rollback script"
	if b.d.SkipsScripts() {
		why = "scripts are skipped"
	}
	if err := r.note(ctx, st, b.d, "%s: deploys the release of %s again", why, made.ID); err != nil {
		return false, err
	}

	again := r.benchOf(ctx, st, b.d, made)
	defer func() { _ = again.close() }() // as in rollback: what is left of a workspace decides nothing
	if err := r.placeArtifacts(ctx, again, to); err != nil {
		return true, err
	}
	scripts := made.Config.Scripts
	if scripts.PreDeploy != "" {
		if err := again.run(ctx, deploy.RollbackFailed, "pre_deploy", scripts.PreDeploy); err != nil {
			return true, err
		}
	}
	if err := again.run(ctx, deploy.RollbackFailed, "deploy", scripts.Deploy); err != nil {
		return true, err
	}
	if scripts.PostDeploy != "" {
		err := again.run(ctx, deploy.RollbackFailed, "post_deploy", scripts.PostDeploy)
		if deploy.KindOf(err) == deploy.Fenced {
			return true, err
		}
		if err != nil {
			return true, r.note(ctx, st, b.d, "warning: %v; the rollback goes on", err)
		}
	}
	return true, nil
}

// benchOf sets up for the scripts of the commit that made deployed, in the name of d. They see what they would see in a
// deployment that replaces what d undoes.
func (r *Rollback) benchOf(ctx context.Context, st *State, d, made *deploy.Deployment) *bench {
	b := r.bench(st, d, "rollback")
	b.other = made
	b.vars = map[string]string{"SLIPWAY_ROLLBACK_TO_COMMIT": made.CommitSHA, "SLIPWAY_PREVIOUS_COMMIT": r.undoneCommit(ctx, d)}
	return b
}

// undoneCommit is the commit that a way back takes out of service, "" if it isn't known.
func (r *Rollback) undoneCommit(ctx context.Context, d *deploy.Deployment) string {
	if d.Action == deploy.Deploy {
		return d.CommitSHA
	}
	from, err := r.Records.Deployment(ctx, d.RollbackFrom)
	if err != nil {
		return ""
	}
	return from.CommitSHA
}

// longestWay is how many rollbacks in a row are followed to the deployment whose commit serves.
const longestWay = 20

// origin finds the deployment that deployed the commit which the deployment id put live: a rollback restored the release of
// another one. It returns nil if that isn't known.
func origin(ctx context.Context, records Records, id string) (*deploy.Deployment, error) {
	for range longestWay {
		if id == "" {
			return nil, nil
		}
		d, err := records.Deployment(ctx, id)
		if err != nil {
			return nil, err
		}
		if d.Action == deploy.Deploy {
			return d, nil
		}
		id = d.RollbackTo
	}
	return nil, nil
}
