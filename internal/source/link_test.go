package source_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

// unpacked gives what Unpack makes of an archive, and what Scan says it lacks.
func unpacked(t *testing.T, archive []byte) (listed string, lacks []string) {
	t.Helper()
	around := t.TempDir()
	to := filepath.Join(around, "to")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	_, _, lacks, err := source.Scan(bytes.NewReader(archive), source.Limits{}, "slipway.yaml")
	if err := errors.Join(err, source.Unpack(bytes.NewReader(archive), to, source.Limits{})); err != nil {
		t.Fatal(err)
	}
	if others, _ := os.ReadDir(around); len(others) != 1 {
		t.Errorf("something was written outside: %v", others)
	}
	return listing(t, to), lacks
}

// TestLinks: a link that leads out of the commit is left out and named, whichever way it leads there; all others work.
func TestLinks(t *testing.T) {
	files := []tar.Header{dir("d/"), dir("d/e/"), reg("d/f", "x")}
	for name, c := range map[string]struct {
		links []tar.Header
		stay  string
		out   string
	}{
		"to a file":                  {[]tar.Header{sym("l", "d/f")}, "l", ""},
		"up and down":                {[]tar.Header{sym("d/e/l", "../../d/f")}, "d/e/l", ""},
		".. in the middle":           {[]tar.Header{sym("l", "d/../d/f")}, "l", ""},
		".. at the end":              {[]tar.Header{sym("l", "d/e/..")}, "l", ""},
		".. behind what isn't there": {[]tar.Header{sym("l", "no/../d/f")}, "l", ""},
		"to the root":                {[]tar.Header{sym("d/l", "..")}, "d/l", ""},
		"to itself as a folder":      {[]tar.Header{sym("l", ".")}, "l", ""},
		"to nothing":                 {[]tar.Header{sym("l", "no/thing")}, "l", ""},
		"slashes and dots":           {[]tar.Header{sym("l", "./d//e/.././f")}, "l", ""},
		"a slash at the end":         {[]tar.Header{sym("l", "d/")}, "l", ""},
		"through another":            {[]tar.Header{sym("a", "d/e"), sym("l", "a/../f")}, "a l", ""},
		"through a later one":        {[]tar.Header{sym("l", "z/../f"), sym("z", "d/e")}, "l z", ""},
		"absolute":                   {[]tar.Header{sym("l", "/etc/hosts")}, "", "l"},
		"absolute, two slashes":      {[]tar.Header{sym("l", "//etc/hosts")}, "", "l"},
		"absolute, of the workspace": {[]tar.Header{sym("l", "/tmp/work/d/f")}, "", "l"},
		"up":                         {[]tar.Header{sym("l", "..")}, "", "l"},
		"too far up":                 {[]tar.Header{sym("d/l", "../../x")}, "", "d/l"},
		"out and back":               {[]tar.Header{sym("l", "../to/d/f")}, "", "l"},
		"up behind a folder":         {[]tar.Header{sym("l", "d/../../x")}, "", "l"},
		"up behind nothing":          {[]tar.Header{sym("l", "no/../../x")}, "", "l"},
		"up behind another":          {[]tar.Header{sym("d/e/l", "../.."), sym("m", "d/e/l/../x")}, "d/e/l", "m"},
		"up behind a later one":      {[]tar.Header{sym("a", "z/../x"), sym("z", ".")}, "z", "a"},
		"through one that leads out": {[]tar.Header{sym("a", "/etc"), sym("l", "a/hosts"), sym("m", "l")}, "", "a, l, m"},
		"through a later of these":   {[]tar.Header{sym("a", "l"), sym("l", "z/hosts"), sym("z", "/etc")}, "", "a, l, z"},
		"in a circle":                {[]tar.Header{sym("a", "b"), sym("b", "a"), sym("d/l", "f")}, "d/l", "a, b"},
		"to itself":                  {[]tar.Header{sym("a", "a")}, "", "a"},
		"within itself":              {[]tar.Header{sym("a", "a/b")}, "", "a"},
		"of no text":                 {[]tar.Header{sym("a", "")}, "", "a"},
		"of a long text":             {[]tar.Header{sym("a", strings.Repeat("d/../", 500)+"d")}, "", "a"},
		"many":                       {[]tar.Header{sym("e", "/1"), sym("b", "/1"), sym("a", "/1"), sym("c", "/1"), sym("f", "d")}, "f", "a, b, c and 1 more"},
		"an odd name":                {[]tar.Header{sym("a\nb\x1b[31m\xff", "/1")}, "", "a?b?[31m?"},
	} {
		t.Run(name, func(t *testing.T) {
			for order, entries := range map[string][]tar.Header{"first": slices.Concat(c.links, files), "last": slices.Concat(files, c.links)} {
				listed, lacks := unpacked(t, bundle(t, entries...))
				var stay []string
				for line := range strings.Lines(listed) {
					if name, _, ok := strings.Cut(line, " -> "); ok {
						stay = append(stay, name)
					}
				}
				if got := strings.Join(stay, " "); got != c.stay {
					t.Errorf("links %s: %q stay, want %q", order, got, c.stay)
				}
				want := ""
				if c.out != "" {
					want = "links that lead out of the commit are left out: " + c.out
				}
				if got := strings.Join(lacks, "|"); got != want {
					t.Errorf("links %s: says %q, want %q", order, got, want)
				}
				if !strings.Contains(listed, "d/f -rw-r--r-- x\n") {
					t.Errorf("links %s: the files are missing:\n%s", order, listed)
				}
			}
		})
	}
}

// TestLinksAsTheKernelHasThem compares links at random with what os.Root says of all of them on a disk: what it calls an escape is left
// out, what it reaches stays.
func TestLinksAsTheKernelHasThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) // #nosec: a test's
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for range 300 {
		entries, raw := []tar.Header{dir("d/"), dir("d/e/"), reg("d/f", "x")}, t.TempDir()
		if err := os.MkdirAll(filepath.Join(raw, "d/e"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(raw, "d/f"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		links := map[string]string{}
		for range 1 + random.IntN(5) {
			parts := make([]string, 1+random.IntN(4))
			for i := range parts {
				parts[i] = pick("..", "..", "a", "b", "c", "d", "e", "f", ".")
			}
			name, text := pick("a", "b", "c", "d/a", "d/b", "d/e/a"), strings.Join(parts, "/")
			if links[name] == "" && os.Symlink(text, filepath.Join(raw, name)) == nil {
				links[name] = text
				entries = append(entries, sym(name, text))
			}
		}

		listed, _ := unpacked(t, bundle(t, entries...))
		root, err := os.OpenRoot(raw)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range links {
			stays := strings.Contains("\n"+listed, "\n"+name+" -> "+text+"\n")
			_, err := root.Stat(name)
			escapes := err != nil && strings.Contains(err.Error(), "escapes")
			if escapes && stays || err == nil && !stays {
				t.Errorf("%v: %s stays: %v, on the disk: %v", links, name, stays, err)
			}
		}
		root.Close()
	}
}

// TestLinksAreBounded: links that make each other long are given up before they cost much.
func TestLinksAreBounded(t *testing.T) {
	var entries []tar.Header
	for i := range 2000 {
		entries = append(entries, sym(fmt.Sprintf("l%04d", i), strings.Repeat(fmt.Sprintf("l%04d/../", (i+1)%2000), 100)+"x"))
	}
	begun := time.Now()
	_, _, _, err := source.Scan(bytes.NewReader(bundle(t, entries...)), source.Limits{Entries: 2000}, "slipway.yaml")
	if took := time.Since(begun); deploy.KindOf(err) != deploy.TooLarge && err != nil || took > 10*time.Second {
		t.Errorf("%v after %s", err, took)
	}

	entries = nil
	for i := range 300 {
		entries = append(entries, sym(fmt.Sprintf("l%04d", i), strings.Repeat("d/../", 300)+"x"))
	}
	_, _, _, err = source.Scan(bytes.NewReader(bundle(t, entries...)), source.Limits{Entries: 300}, "slipway.yaml")
	if deploy.KindOf(err) != deploy.TooLarge || !strings.Contains(err.Error(), "one link too many") {
		t.Errorf("got %v", err)
	}
}

// TestLacks: what a git repository keeps elsewhere is said, of a bundle of git archive's, of one that was fetched, and of a zip.
func TestLacks(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
	ofGit := tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": commit}}
	modules := reg(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib\n[submodule \"x\"]\n\tpath=\"deep/x\"\n")
	const empty, pointers = "submodules are not fetched, and their folders are empty: ", "git LFS is not asked, and its files are only pointers: "
	for name, c := range map[string]struct {
		entries []tar.Header
		want    string
	}{
		"nothing":                        {[]tar.Header{ofGit, reg("f", "x"), dir("d/"), reg("d/f", "")}, ""},
		"a submodule":                    {[]tar.Header{ofGit, modules, dir("lib/"), reg("f", "x")}, empty + "lib"},
		"two":                            {[]tar.Header{ofGit, modules, dir("deep/"), dir("deep/x/"), dir("lib/")}, empty + "deep/x, lib"},
		"one that isn't in .gitmodules":  {[]tar.Header{ofGit, dir("vendor/"), dir("vendor/y/"), reg("f", "")}, empty + "vendor/y"},
		"one that .gitmodules still has": {[]tar.Header{ofGit, modules, reg("f", "x")}, ""},
		"no bundle of git's":             {[]tar.Header{dir("empty/"), reg("f", "x")}, ""},
		"none of git's, but modules":     {[]tar.Header{modules, dir("empty/"), dir("lib/"), reg("deep/x/f", "")}, empty + "lib"},
		"modules that aren't there":      {[]tar.Header{modules, reg("f", "x")}, empty + "deep/x, lib"},
		"a pointer":                      {[]tar.Header{ofGit, reg("a.bin", pointer), reg("b.bin", "version 1")}, pointers + "a.bin"},
		"text about pointers":            {[]tar.Header{reg("a.md", "In a file:\n"+pointer), reg("b.md", pointer+strings.Repeat("x", 1024))}, ""},
		"folders that were emptied":      {[]tar.Header{ofGit, modules, reg("d/.gitattributes", "* export-ignore\n"), dir("e/"), dir("lib/")}, empty + "lib"},
		"all of it": {[]tar.Header{ofGit, modules, dir("lib/"), reg("a.bin", pointer), sym("l", "/etc/hosts")},
			empty + "lib|" + pointers + "a.bin|links that lead out of the commit are left out: l"},
	} {
		_, _, lacks, err := source.Scan(bytes.NewReader(bundle(t, c.entries...)), source.Limits{}, "slipway.yaml")
		if got := strings.Join(lacks, "|"); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// TestPackedLacks: what git archive makes of a commit with a submodule, pointers and links is told of too, and what is left out of it on
// purpose is none of that.
func TestPackedLacks(t *testing.T) {
	r := newRepository(t)
	r.write(".gitmodules", "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib\n")
	r.write("lib/only", "here")
	first := r.commit("first")
	r.git("rm", "-rq", "lib")
	r.git("update-index", "--add", "--cacheinfo", "160000,"+first+",vendor/lib")
	r.write("a.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
	r.write("docs/secret/plan", "x")
	r.write(".gitattributes", "*.bin filter=lfs diff=lfs\n/docs/secret/plan export-ignore\n")
	for name, to := range map[string]string{"testdata-hosts": "/etc/hosts", "lnk": "docs/../a.bin"} {
		if err := os.Symlink(to, filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.git("add", "--all", "--", ":!vendor")
	r.git("commit", "--quiet", "--message", "second")

	var packed bytes.Buffer
	if _, err := source.Pack(t.Context(), r.dir, "", &packed); err != nil {
		t.Fatal(err)
	}
	listed, lacks := unpacked(t, packed.Bytes())
	want := []string{"submodules are not fetched, and their folders are empty: vendor/lib", "git LFS is not asked, and its files are only pointers: a.bin",
		"links that lead out of the commit are left out: testdata-hosts"}
	if !slices.Equal(lacks, want) {
		t.Errorf("says %q, want %q", lacks, want)
	}
	if !strings.Contains(listed, "docs/secret/\n") || !strings.Contains(listed, "lnk -> docs/../a.bin\n") || strings.Contains(listed, "testdata-hosts") {
		t.Errorf("unpacked:\n%s", listed)
	}
}

// TestPackedByPacker: a bundle that was fetched from a git server says that it is one; a link that no disk could hold harms nothing.
func TestPackedByPacker(t *testing.T) {
	first, err := packed(t, source.Limits{}, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": commit, "path": "../x"}},
		tar.Header{Typeflag: tar.TypeDir, Name: "lib/"}, tar.Header{Typeflag: tar.TypeReg, Name: "f"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "zero", Linkname: "a\x00b"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "none"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "long", Linkname: strings.Repeat("x", 4096)})
	if err != nil {
		t.Fatal(err)
	}
	listed, lacks := unpacked(t, first)
	want := []string{"submodules are not fetched, and their folders are empty: lib", "links that lead out of the commit are left out: long, none, zero"}
	if !slices.Equal(lacks, want) || listed != "f -rw-r--r-- \nlib/\n" {
		t.Errorf("says %q of\n%s", lacks, listed)
	}
}
