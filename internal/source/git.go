package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Commit is what Pack packed.
type Commit struct {
	SHA     string // full
	Branch  string // the branch that was asked for, local or a remote's, or that HEAD is on; "" where there is none
	Subject string // the message's first line
}

// Pack writes the commit that ref names (HEAD where it is "") in the repository at or around the folder repo to w, as a gzipped
// tar. It is the commit alone, without what is changed or new in the working tree, and without what .gitattributes marks
// export-ignore; the same commit gives the same bytes. The error is NotFound and names ref, or Invalid where repo is no
// repository; when w fails, it is w's own.
func Pack(ctx context.Context, repo, ref string, w io.Writer) (Commit, error) {
	g := git{ctx: ctx, dir: repo}
	c, err := g.resolve(ref)
	if err != nil {
		return Commit{}, err
	}
	// In a subfolder git would archive that folder only.
	if top, err := g.run("rev-parse", "--show-toplevel"); err == nil && top != "" {
		g.dir = top
	}
	return c, g.archive(c.SHA, w)
}

// Resolve finds the commit that ref names, as Pack does, and tells whether a branch of a remote has it, as far as this clone knows.
func Resolve(ctx context.Context, repo, ref string) (c Commit, pushed bool, err error) {
	g := git{ctx: ctx, dir: repo}
	if c, err = g.resolve(ref); err != nil {
		return c, false, err
	}
	branches, err := g.run("branch", "--remotes", "--contains", c.SHA)
	return c, branches != "", err
}

type git struct {
	ctx context.Context
	dir string
}

func (g git) resolve(ref string) (Commit, error) {
	if ref == "" {
		ref = "HEAD"
	}
	if _, err := g.run("rev-parse", "--git-dir"); err != nil {
		return Commit{}, err
	}
	if strings.ContainsAny(ref, "\x00\n") {
		return Commit{}, deploy.FieldErrorf("ref", "%q is not a ref", deploy.Cut(ref, 80))
	}
	sha, err := g.run("rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		if g.ctx.Err() != nil {
			return Commit{}, err
		}
		return Commit{}, &deploy.Error{Kind: deploy.NotFound, Field: "ref",
			Err: errors.New("the repository has no commit " + deploy.Cut(ref, 80))}
	}
	if !deploy.ValidCommit(sha) {
		return Commit{}, deploy.FieldErrorf("ref", "commit %s: repositories with SHA-256 ids can't be deployed yet", deploy.Cut(sha, 80))
	}
	subject, err := g.run("-c", "log.showSignature=false", "show", "--no-patch", "--no-color", "--format=%s", sha)
	return Commit{SHA: sha, Branch: g.branch(ref), Subject: subject}, err
}

// branch has no errors: what can't be told to be a branch is none.
func (g git) branch(ref string) string {
	args := []string{"rev-parse", "--verify", "--quiet", "--symbolic-full-name", "--end-of-options", ref}
	if ref == "HEAD" || ref == "@" {
		args = []string{"symbolic-ref", "--quiet", "HEAD"}
	}
	full, _ := g.run(args...)
	return g.branchOf(full)
}

func (g git) archive(sha string, w io.Writer) error {
	sink := &sink{w: w}
	gz := gzip.NewWriter(sink) // without a name or a time in its header
	// A user's own settings mustn't change the bytes.
	err := g.stream(gz, "-c", "tar.umask=0022", "-c", "core.autocrlf=false", "-c", "core.eol=lf", "archive", "--format=tar", sha)
	if err == nil {
		err = gz.Close()
	}
	if sink.err != nil {
		return sink.err
	}
	return err
}

// sink remembers that it was w that failed; git only dies of a broken pipe then.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

func (g git) run(args ...string) (string, error) {
	var out bytes.Buffer
	err := g.stream(&out, args...)
	return strings.TrimSuffix(out.String(), "\n"), err
}

// stream runs git with no shell between.
func (g git) stream(w io.Writer, args ...string) error {
	var stderr bytes.Buffer
	// A folder of a repository may be made to look like a bare repository, whose settings run commands. One counts where GIT_DIR names it.
	cmd := exec.CommandContext(g.ctx, "git", append([]string{"-c", "safe.bareRepository=explicit"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = g.dir, w, &stderr
	cmd.WaitDelay = 2 * time.Second // for filters that git started
	err := cmd.Run()
	switch said := strings.TrimSpace(stderr.String()); {
	case err == nil:
		return nil
	case g.ctx.Err() != nil:
		return context.Cause(g.ctx)
	case errors.Is(err, exec.ErrNotFound):
		return deploy.Errorf(deploy.Invalid, "git", "it isn't installed, or not on PATH: %w", err)
	case said != "":
		return deploy.Errorf(deploy.Invalid, "git", "%s: %w", deploy.Cut(said, 500), err)
	}
	return deploy.Errorf(deploy.Invalid, "git", "%w", err)
}
