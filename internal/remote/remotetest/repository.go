// Package remotetest has git repositories made by the real git, and servers for them, over HTTP and ssh, for tests.
package remotetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Repository is a bare repository, and a working tree that pushes to it.
type Repository struct {
	t    testing.TB
	Root string // holds the bare one, as shop.git
	work string
}

// NewRepository makes an empty repository whose branch will be main.
func NewRepository(t testing.TB) *Repository {
	t.Helper()
	r := &Repository{t: t, Root: t.TempDir(), work: t.TempDir()}
	r.run(r.Root, "init", "--quiet", "--bare", "--initial-branch=main", "shop.git")
	r.Git("init", "--quiet", "--initial-branch=main")
	r.Git("remote", "add", "origin", r.Bare())
	return r
}

// Bare is the bare repository's folder.
func (r *Repository) Bare() string { return filepath.Join(r.Root, "shop.git") }

// Git runs git in the working tree and gives what it prints.
func (r *Repository) Git(args ...string) string {
	r.t.Helper()
	return r.run(r.work, args...)
}

func (r *Repository) run(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0100", "GIT_COMMITTER_DATE=1700000000 +0100")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Allow sets what the server gives out, as in uploadpack.allowReachableSHA1InWant.
func (r *Repository) Allow(settings ...string) {
	r.t.Helper()
	for _, s := range settings {
		r.run(r.Bare(), "config", s, "true")
	}
}

// Write puts a file into the working tree.
func (r *Repository) Write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.work, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// Path is a file's in the working tree.
func (r *Repository) Path(name string) string { return filepath.Join(r.work, name) }

// Commit commits all there is, and gives the commit's id.
func (r *Repository) Commit(subject string) string {
	r.t.Helper()
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--allow-empty", "--message", subject)
	return r.Git("rev-parse", "HEAD")
}

// Push pushes what is checked out to a branch, whatever was there.
func (r *Repository) Push(branch string) {
	r.t.Helper()
	r.Git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/"+branch)
}
