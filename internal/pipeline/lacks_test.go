package pipeline_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

// lacking has all that a bundle can't hold, and a test script that looks for it.
const lacking = `artifacts: []
scripts:
  test: 'ls -A lib | wc -l; test -d lib; test ! -e hosts; test ! -L hosts; test ! -L through; cat inner; head -c 7 a.bin'
  build: ''
  deploy: 'cp version "$SERVE/live"'
  rollback: 'true'
`

var lacks = []string{
	"note: submodules are not fetched, and their folders are empty: lib",
	"note: git LFS is not asked, and its files are only pointers: a.bin",
	"note: links that lead out of the commit are left out: hosts, through",
}

const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"

// TestLacksOfAnUpload: what an upload doesn't hold is on the timeline, each time, and the scripts find nothing in its place.
func TestLacksOfAnUpload(t *testing.T) {
	a := newApp(t)
	var buf bytes.Buffer
	p := source.NewPacker(&buf, source.Limits{})
	note := map[string]string{"comment": strings.Repeat("a", 40)}
	err := p.Add(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: note}, nil)
	for _, h := range []tar.Header{{Typeflag: tar.TypeDir, Name: "lib/"}, {Typeflag: tar.TypeSymlink, Name: "hosts", Linkname: "/etc/hosts"},
		{Typeflag: tar.TypeSymlink, Name: "through", Linkname: "hosts"}, {Typeflag: tar.TypeSymlink, Name: "inner", Linkname: "lib/../version"}} {
		err = errors.Join(err, p.Add(&h, nil))
	}
	for name, text := range map[string]string{"a.bin": pointer, "version": "one\n", "slipway.yaml": lacking} {
		err = errors.Join(err, p.Add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text))}, strings.NewReader(text)))
	}
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	a.saysWhatItLacks(a.upload(buf.Bytes()))
}

// TestLacksOfAGitSource: as of an upload, when it is fetched and when it is there already.
func TestLacksOfAGitSource(t *testing.T) {
	a := newApp(t)
	repo, first := a.fetched()
	repo.Write("version", "one\n")
	repo.Write("a.bin", pointer)
	repo.Write("slipway.yaml", lacking)
	for name, to := range map[string]string{"hosts": "/etc/hosts", "through": "hosts", "inner": "lib/../version"} {
		if err := os.Symlink(to, repo.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
	repo.Git("add", "--all")
	repo.Git("update-index", "--add", "--cacheinfo", "160000,"+first+",lib")
	repo.Git("commit", "--quiet", "--message", "two")
	sha := repo.Git("rev-parse", "HEAD")
	repo.Push("main")
	a.saysWhatItLacks(sha)
}

func (a *app) saysWhatItLacks(sha string) {
	a.t.Helper()
	for range 2 {
		r := a.deploy(sha)
		d := r.wants(deploy.Success)
		for _, lack := range lacks {
			if n := len(slices.Collect(contain(d.Logs, lack))); n != 1 {
				a.t.Errorf("said %d times: %q", n, lack)
			}
		}
		if out := r.output(); !strings.Contains(out, "0\none\nversion\n") {
			a.t.Errorf("output:\n%s", out)
		}
		a.serves("one")
	}
}

// contain gives the lines that contain a text.
func contain(lines []string, text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			if strings.Contains(line, text) && !yield(line) {
				return
			}
		}
	}
}
