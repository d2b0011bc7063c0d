package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

// repository is a git repository made for one test.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	for name, value := range map[string]string{"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull,
		"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com"} {
		t.Setenv(name, value)
	}
	r := repository{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r repository) commit(subject string) string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--message", subject)
	return r.git("rev-parse", "HEAD")
}

// TestPackTakesNoFolderForBareRepository: a folder that holds a bare repository may have come with a repository, settings and all. It
// counts where the caller names it.
func TestPackTakesNoFolderForBareRepository(t *testing.T) {
	r := newRepository(t)
	r.write("slipway.yaml", "one")
	sha := r.commit("one")
	r.git("clone", "--quiet", "--bare", ".", "site")
	bare := filepath.Join(r.dir, "site")

	_, err := source.Pack(t.Context(), bare, "", io.Discard)
	if deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), "safe.bareRepository") {
		t.Errorf("Pack in a bare repository: %v", err)
	}
	if _, _, err := source.Resolve(t.Context(), bare, ""); deploy.KindOf(err) != deploy.Invalid {
		t.Errorf("Resolve in a bare repository: %v", err)
	}
	t.Setenv("GIT_DIR", bare)
	if c, err := source.Pack(t.Context(), bare, "", io.Discard); err != nil || c.SHA != sha {
		t.Errorf("with GIT_DIR: %+v, %v", c, err)
	}
}

func TestPack(t *testing.T) {
	r := newRepository(t)
	r.write("slipway.yaml", "one")
	r.write("web/index.html", "page")
	first := r.commit("first: it's \"quoted\"\n\nbody")
	r.git("branch", "release/1")
	r.git("tag", "--annotate", "--message", "x", "v1")
	r.write("slipway.yaml", "two")
	second := r.commit("second")
	r.write("slipway.yaml", "changed, not committed")
	r.write("new", "not committed either")
	for name, c := range map[string]struct {
		dir, ref string
		want     source.Commit
		file     string
	}{
		"nothing named": {r.dir, "", source.Commit{SHA: second, Branch: "main", Subject: "second"}, "two"},
		"HEAD":          {r.dir, "HEAD", source.Commit{SHA: second, Branch: "main", Subject: "second"}, "two"},
		"a subfolder":   {filepath.Join(r.dir, "web"), "", source.Commit{SHA: second, Branch: "main", Subject: "second"}, "two"},
		"a branch":      {r.dir, "release/1", source.Commit{SHA: first, Branch: "release/1", Subject: `first: it's "quoted"`}, "one"},
		"its full name": {r.dir, "refs/heads/release/1", source.Commit{SHA: first, Branch: "release/1", Subject: `first: it's "quoted"`}, "one"},
		"a tag":         {r.dir, "v1", source.Commit{SHA: first, Subject: `first: it's "quoted"`}, "one"},
		"an id":         {r.dir, first[:8], source.Commit{SHA: first, Subject: `first: it's "quoted"`}, "one"},
		"an ancestor":   {r.dir, "HEAD~1", source.Commit{SHA: first, Subject: `first: it's "quoted"`}, "one"},
	} {
		t.Run(name, func(t *testing.T) {
			var packed bytes.Buffer
			got, err := source.Pack(t.Context(), c.dir, c.ref, &packed)
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, c.want)
			}
			to := t.TempDir()
			if err := source.Unpack(&packed, to, source.Limits{}); err != nil {
				t.Fatal(err)
			}
			want := "slipway.yaml -rw-r--r-- " + c.file + "\nweb/\nweb/index.html -rw-r--r-- page\n"
			if got := listing(t, to); got != want {
				t.Errorf("packed:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestPackTwiceTheSame(t *testing.T) {
	r := newRepository(t)
	r.write("a.txt", "line\n")
	r.commit("first")
	var one, two bytes.Buffer
	if _, err := source.Pack(t.Context(), r.dir, "", &one); err != nil {
		t.Fatal(err)
	}
	r.git("config", "core.autocrlf", "true")
	r.git("config", "tar.umask", "0077")
	if _, err := source.Pack(t.Context(), r.dir, "", &two); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the user's settings change the bundle")
	}
}

func TestPackDetached(t *testing.T) {
	r := newRepository(t)
	r.write("a", "")
	sha := r.commit("first")
	r.git("checkout", "--quiet", "--detach")
	if got, err := source.Pack(t.Context(), r.dir, "", io.Discard); err != nil || got.Branch != "" || got.SHA != sha {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPackRefuses(t *testing.T) {
	r := newRepository(t)
	if _, err := source.Pack(t.Context(), r.dir, "", io.Discard); deploy.KindOf(err) != deploy.NotFound {
		t.Errorf("no commit yet: got %v", err)
	}
	r.write("a", "")
	r.commit("first")
	evil := filepath.Join(t.TempDir(), "evil")
	for name, c := range map[string]struct {
		dir, ref string
		kind     deploy.Kind
		says     string
	}{
		"unknown ref":   {r.dir, "no/such", deploy.NotFound, "ref: the repository has no commit no/such"},
		"unknown id":    {r.dir, strings.Repeat("1", 40), deploy.NotFound, "no commit 1111"},
		"an option":     {r.dir, "--output=" + evil, deploy.NotFound, "no commit --output"},
		"a file":        {r.dir, "HEAD:a", deploy.NotFound, "no commit HEAD:a"},
		"a range":       {r.dir, "HEAD..HEAD", deploy.NotFound, "no commit"},
		"shell":         {r.dir, "$(touch " + evil + ")", deploy.NotFound, "no commit"},
		"zero byte":     {r.dir, "a\x00b", deploy.Invalid, "ref: "},
		"no repository": {t.TempDir(), "", deploy.Invalid, "not a git repository"},
		"no folder":     {filepath.Join(r.dir, "nowhere"), "", deploy.Invalid, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := source.Pack(t.Context(), c.dir, c.ref, io.Discard)
			if deploy.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), want %s saying %q", err, deploy.KindOf(err), c.kind, c.says)
			}
		})
	}
	if _, err := os.Stat(evil); err == nil {
		t.Error("a ref was run")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := source.Pack(t.Context(), r.dir, "", io.Discard); !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "installed") {
		t.Errorf("without git: got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestPackFailingWriter(t *testing.T) {
	r := newRepository(t)
	r.write("a", strings.Repeat("some text ", 1<<16))
	r.commit("first")
	if _, err := source.Pack(t.Context(), r.dir, "", failing{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v, want the writer's own error", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if _, err := source.Pack(ctx, r.dir, "", io.Discard); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestBranches finds the branches of a commit that is not checked out by a branch's name.
func TestBranches(t *testing.T) {
	r := newRepository(t)
	r.write("a", "1")
	first := r.commit("one")
	r.git("branch", "release/1")
	r.write("a", "2")
	second := r.commit("two")
	r.git("remote", "add", "team/up", ".")
	r.git("fetch", "-q", "team/up")
	r.git("remote", "set-head", "team/up", "main")
	r.git("branch", "-q", "local")
	r.git("checkout", "-q", "--detach")
	r.git("branch", "-q", "-D", "main")

	for commit, want := range map[string]string{first: "release/1 true", second: "local main true"} {
		names, tip, err := source.Branches(t.Context(), r.dir, commit)
		if got := fmt.Sprintf("%s %v", strings.Join(names, " "), tip); got != want || err != nil {
			t.Errorf("%s: %s, want %s; %v", commit, got, want, err)
		}
	}
	r.git("branch", "-q", "-D", "release/1")
	r.git("update-ref", "-d", "refs/remotes/team/up/release/1")
	if names, tip, err := source.Branches(t.Context(), r.dir, first); strings.Join(names, " ") != "local main" || tip || err != nil {
		t.Errorf("that contain it: %v %v, %v", names, tip, err)
	}
	c, _, err := source.Resolve(t.Context(), r.dir, "team/up/main")
	if err != nil || c.Branch != "main" || c.SHA != second {
		t.Errorf("a remote's branch: %+v, %v", c, err)
	}
}
