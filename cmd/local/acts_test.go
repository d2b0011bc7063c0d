package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The story holds only while each commit's tests say what the story says, whatever becomes of the shop.
func TestEachCommitIsWhatTheStorySays(t *testing.T) {
	home := t.TempDir()
	repo, err := newRepository(t.Context(), "../../examples/shop", filepath.Join(t.TempDir(), "shop"), home)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range acts {
		if a.rollback {
			continue
		}
		commit, err := repo.commit(t.Context(), a.title, a.edits...)
		if err != nil {
			t.Fatalf("%s: %v", a.title, err)
		}
		if seen[commit] || !deploy.ValidCommit(commit) {
			t.Errorf("%s: commit %q", a.title, commit)
		}
		seen[commit] = true
		out, err := runMake(t, repo.dir, "test")
		if failed := err != nil; failed != (a.status == deploy.Failed) {
			t.Errorf("%s: its tests failed: %t\n%s", a.title, failed, out)
		}
		if out, err := runMake(t, repo.dir, "build"); err != nil {
			t.Errorf("%s: it doesn't build: %v\n%s", a.title, err, out)
		}
		if out, _ := exec.Command("gofmt", "-l", repo.dir).Output(); len(out) > 0 {
			t.Errorf("%s: not formatted: %s", a.title, out)
		}
	}
}

func runMake(t *testing.T, dir, target string) (string, error) {
	t.Helper()
	cmd := exec.Command("make", "-C", dir, target)
	cmd.Env = append(os.Environ(), "CURRENCY=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCommitRefusesAnEditThatDoesNotFit(t *testing.T) {
	repo, err := newRepository(t.Context(), "../../examples/shop", filepath.Join(t.TempDir(), "shop"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []edit{{"version.go", "no such text", ""}, {"total.go", "return", ""}, {"no.go", "", ""}} {
		if _, err := repo.commit(t.Context(), "x", e); err == nil || !strings.Contains(err.Error(), e.file) {
			t.Errorf("%+v: %v; want an error that names the file", e, err)
		}
	}
}
