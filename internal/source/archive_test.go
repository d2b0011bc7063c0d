package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

func reg(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Linkname: content} // bundle moves the content
}

func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }

func sym(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}

func hard(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

// bundle makes a gzipped tar.
func bundle(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	w := tar.NewWriter(gz)
	for _, h := range entries {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// listing tells what is in a folder: path, mode, content or link.
func listing(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			b.WriteString(name + "/\n")
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			b.WriteString(name + " -> " + to + "\n")
		default:
			content, _ := os.ReadFile(path)
			b.WriteString(name + " " + info.Mode().String() + " " + string(content) + "\n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnpack(t *testing.T) {
	when := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	tool := reg("bin/tool.sh", "#!")
	tool.Mode, tool.ModTime = 0o4711, when
	archive := bundle(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "abc"}},
		dir("./"), dir("bin/"), tool, reg("./slipway.yaml", "a: 1"), dir("bin"), sym("bin/to-root", "../slipway.yaml"),
		sym("dangling", "bin/nothing/there"), hard("twin", "bin/tool.sh"), reg("deep/er/file", ""), dir("deep/er"), dir("empty"),
	)
	to := t.TempDir()
	if err := source.Unpack(bytes.NewReader(archive), to, source.Limits{}); err != nil {
		t.Fatal(err)
	}
	want := `bin/
bin/to-root -> ../slipway.yaml
bin/tool.sh -rwxr-xr-x #!
dangling -> bin/nothing/there
deep/
deep/er/
deep/er/file -rw-r--r-- 
empty/
slipway.yaml -rw-r--r-- a: 1
twin -rwxr-xr-x #!
`
	if got := listing(t, to); got != want {
		t.Errorf("unpacked:\n%s\nwant:\n%s", got, want)
	}
	if info, _ := os.Stat(filepath.Join(to, "bin/tool.sh")); !info.ModTime().Equal(when) {
		t.Errorf("time %v, want %v", info.ModTime(), when)
	}
}

func TestRefused(t *testing.T) {
	small := source.Limits{Bytes: 100, Entries: 5}
	for name, c := range map[string]struct {
		entries []tar.Header
		kind    deploy.Kind
		says    string
	}{
		"climbs":                 {[]tar.Header{reg("a/../../evil", "x")}, deploy.Invalid, `entry "a/../../evil" climbs out`},
		"climbs and comes back":  {[]tar.Header{reg("a/../b", "x")}, deploy.Invalid, `entry "a/../b" climbs out`},
		"absolute":               {[]tar.Header{reg("/etc/evil", "x")}, deploy.Invalid, `entry "/etc/evil" is an absolute path`},
		"through a link out":     {[]tar.Header{sym("l", "/etc"), reg("l/x", "x")}, deploy.Invalid, `entry "l/x" lies under "l", which is a symbolic link`},
		"folder through one":     {[]tar.Header{sym("l", "../x"), dir("l/x")}, deploy.Invalid, `lies under "l"`},
		"hard link to one":       {[]tar.Header{sym("l", "/etc/passwd"), hard("h", "l")}, deploy.Invalid, `entry "h" is a hard link to "l"`},
		"hard link through one":  {[]tar.Header{sym("l", "/etc"), hard("h", "l/passwd")}, deploy.Invalid, `entry "h" is a hard link to "l/passwd"`},
		"a link through one":     {[]tar.Header{sym("l", "/etc"), sym("l/x", "y")}, deploy.Invalid, `lies under "l"`},
		"over a link out":        {[]tar.Header{sym("l", "/etc/passwd"), reg("l", "x")}, deploy.Invalid, `entry "l" appears twice, first as a symbolic link`},
		"through a link":         {[]tar.Header{dir("d"), sym("l", "d"), reg("l/x", "x")}, deploy.Invalid, `entry "l/x" lies under "l", which is a symbolic link`},
		"folder through a link":  {[]tar.Header{sym("l", "."), dir("l/x")}, deploy.Invalid, `lies under "l"`},
		"folder over a link":     {[]tar.Header{sym("l", "d"), dir("l")}, deploy.Invalid, `entry "l" appears twice, first as a symbolic link`},
		"under a file":           {[]tar.Header{reg("f", "x"), reg("f/x", "x")}, deploy.Invalid, `lies under "f", which is a file`},
		"twice":                  {[]tar.Header{reg("f", "1"), reg("./f", "2")}, deploy.Invalid, `entry "f" appears twice`},
		"link over a folder":     {[]tar.Header{reg("d/f", "1"), sym("d", "x")}, deploy.Invalid, `entry "d" appears twice, first as a folder`},
		"the root itself a link": {[]tar.Header{sym(".", "x")}, deploy.Invalid, `appears twice`},
		"hard link outward":      {[]tar.Header{hard("h", "../x")}, deploy.Invalid, `entry "h" climbs out`},
		"hard link to a link":    {[]tar.Header{sym("l", "x"), hard("h", "l")}, deploy.Invalid, `entry "h" is a hard link to "l"`},
		"hard link ahead":        {[]tar.Header{hard("h", "f"), reg("f", "")}, deploy.Invalid, `entry "h" is a hard link to "f"`},
		"device":                 {[]tar.Header{{Typeflag: tar.TypeChar, Name: "null"}}, deploy.Invalid, `entry "null" is a device`},
		"pipe":                   {[]tar.Header{{Typeflag: tar.TypeFifo, Name: "p"}}, deploy.Invalid, `entry "p" is a device, a pipe`},
		"long part":              {[]tar.Header{reg(strings.Repeat("x", 256), "")}, deploy.Invalid, "has a part of 256 bytes"},
		"long path":              {[]tar.Header{reg(strings.Repeat("x/", 1030)+"f", "")}, deploy.Invalid, "has a name of"},
		"one file too large":     {[]tar.Header{reg("big", strings.Repeat("x", 101))}, deploy.TooLarge, `entry "big" brings the archive over 100 bytes`},
		"together too large": {[]tar.Header{reg("a", strings.Repeat("x", 60)), reg("b", strings.Repeat("x", 60))}, deploy.TooLarge,
			`entry "b" brings`},
		"too many": {[]tar.Header{reg("1", ""), reg("2", ""), reg("3", ""), reg("4", ""), reg("5", ""), reg("6", "")}, deploy.TooLarge,
			`entry "6" is one too many; want at most 5`},
		"too many implied folders": {[]tar.Header{reg("1/2/3/4/5/6", "")}, deploy.TooLarge, "one too many"},
		"the same folder forever":  {[]tar.Header{dir("d"), dir("d"), dir("d"), dir("d"), dir("d"), dir("d")}, deploy.TooLarge, "one too many"},
	} {
		t.Run(name, func(t *testing.T) {
			archive := bundle(t, c.entries...)
			around := t.TempDir()
			to := filepath.Join(around, "to")
			if err := os.Mkdir(to, 0o755); err != nil {
				t.Fatal(err)
			}
			_, _, _, scanned := source.Scan(bytes.NewReader(archive), small, "slipway.yaml")
			unpacked := source.Unpack(bytes.NewReader(archive), to, small)
			for by, err := range map[string]error{"Scan": scanned, "Unpack": unpacked} {
				if deploy.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v (%s), want %s saying %s", by, err, deploy.KindOf(err), c.kind, c.says)
				}
			}
			if others, _ := os.ReadDir(around); len(others) != 1 {
				t.Errorf("something was written outside: %v", others)
			}
		})
	}
}

func TestScanFindsFile(t *testing.T) {
	found := bundle(t, reg("a/slipway.yaml", "no"), reg("./slipway.yaml", "yes"), reg("z", ""))
	if content, ok, _, err := source.Scan(bytes.NewReader(found), source.Limits{}, "slipway.yaml"); string(content) != "yes" || !ok || err != nil {
		t.Errorf("got %q, %v, %v", content, ok, err)
	}
	none := bundle(t, reg("a/slipway.yaml", "no"))
	if content, ok, _, err := source.Scan(bytes.NewReader(none), source.Limits{}, "slipway.yaml"); content != nil || ok || err != nil {
		t.Errorf("without the file: got %q, %v, %v", content, ok, err)
	}
	// What comes after the file counts, too.
	late := bundle(t, reg("slipway.yaml", "yes"), reg("../evil", ""))
	if content, ok, _, err := source.Scan(bytes.NewReader(late), source.Limits{}, "slipway.yaml"); content != nil || ok || deploy.KindOf(err) != deploy.Invalid {
		t.Errorf("evil behind the file: got %q, %v, %v", content, ok, err)
	}
	link := bundle(t, sym("slipway.yaml", "other"))
	if _, _, _, err := source.Scan(bytes.NewReader(link), source.Limits{}, "slipway.yaml"); deploy.KindOf(err) != deploy.Invalid {
		t.Errorf("a link: got %v", err)
	}
	big := bundle(t, reg("slipway.yaml", strings.Repeat("x", source.MaxScanned+1)))
	if _, _, _, err := source.Scan(bytes.NewReader(big), source.Limits{}, "slipway.yaml"); deploy.KindOf(err) != deploy.TooLarge {
		t.Errorf("a big one: got %v", err)
	}
}

func TestBrokenArchives(t *testing.T) {
	whole := bundle(t, reg("f", strings.Repeat("content", 100)))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1 // in gzip's checksum
	for name, c := range map[string]struct {
		r    io.Reader
		kind deploy.Kind
		says string
	}{
		"nothing":       {strings.NewReader(""), deploy.Invalid, "ends early"},
		"text":          {strings.NewReader("<html>not found</html>"), deploy.Invalid, "not a gzipped tar"},
		"cut":           {bytes.NewReader(whole[:len(whole)-20]), deploy.Invalid, "ends early"},
		"checksum":      {bytes.NewReader(flipped), deploy.Invalid, "checksum"},
		"broken reader": {io.MultiReader(bytes.NewReader(whole[:30]), iotest.ErrReader(fs.ErrPermission)), deploy.Internal, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := source.Scan(c.r, source.Limits{}, "f")
			if deploy.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), want %s saying %s", err, deploy.KindOf(err), c.kind, c.says)
			}
		})
	}
}

func TestClaimedSize(t *testing.T) {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1}))
	_, err := w.Write([]byte("x"))
	must(err)
	must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "liar", Size: math.MaxInt64}))
	must(gz.Close()) // the tar stays unfinished
	_, _, _, err = source.Scan(&b, source.Limits{}, "f")
	if deploy.KindOf(err) != deploy.TooLarge || !strings.Contains(err.Error(), `"liar"`) {
		t.Errorf("got %v", err)
	}
}

// zeros is a gzip stream of endless zeros, as a bomb is: a thousandth of the size on the wire.
func zeros(header []byte) io.Reader {
	r, w := io.Pipe()
	go func() {
		gz, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		_, err := gz.Write(header)
		for block := make([]byte, 1<<20); err == nil; {
			_, err = gz.Write(block)
		}
	}()
	return r
}

func TestBombsStop(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, header := range map[string][]byte{"behind the end": make([]byte, 1024), "noise": bytes.Repeat([]byte("x"), 600)} {
		r := zeros(header)
		_, _, _, err := source.Scan(r, source.Limits{Bytes: 4 << 20, Entries: 100}, "f")
		if kind := deploy.KindOf(err); kind != deploy.TooLarge && kind != deploy.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
		r.(io.Closer).Close()
	}
	for range 3000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestCompressedBound(t *testing.T) {
	noise := io.MultiReader(bytes.NewReader(bundle(t, reg("f", "x"))), &endless{})
	_, _, _, err := source.Scan(noise, source.Limits{}, "f")
	if deploy.KindOf(err) != deploy.TooLarge || !strings.Contains(err.Error(), "268435456") {
		t.Errorf("got %v", err)
	}
}

// endless is one empty gzip stream after the other.
type endless struct{ at int }

var emptyStream = func() []byte {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	gz.Extra = make([]byte, 60_000)
	gz.Close()
	return b.Bytes()
}()

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, emptyStream[e.at:])
	e.at = (e.at + n) % len(emptyStream)
	return n, nil
}

func TestUnpackFullDisk(t *testing.T) {
	to := t.TempDir()
	if err := os.WriteFile(filepath.Join(to, "f"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := source.Unpack(bytes.NewReader(bundle(t, reg("f", "theirs"))), to, source.Limits{})
	if deploy.KindOf(err) != deploy.Internal || !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), `"f"`) {
		t.Errorf("got %v, want Internal naming the entry", err)
	}
	if got, _ := os.ReadFile(filepath.Join(to, "f")); string(got) != "mine" {
		t.Errorf("a file that was there holds %q", got)
	}
}

// FuzzUnpack holds that whatever the bytes, Scan and Unpack agree, nothing is written outside, and no link leads there.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("not gzip"), false)
	for _, entries := range [][]tar.Header{
		{reg("slipway.yaml", "a"), dir("d"), sym("d/l", "../slipway.yaml"), hard("h", "slipway.yaml")},
		{sym("a/b/l", "../.."), sym("evil", "a/b/l/../x"), reg("evil/x", "")},
		{reg("../x", "x"), reg("/x", "x")},
	} {
		raw := bundle(f, entries...)
		zr, _ := gzip.NewReader(bytes.NewReader(raw))
		plain, _ := io.ReadAll(zr)
		f.Add(raw, false)
		f.Add(plain, true)
	}
	limits := source.Limits{Bytes: 1 << 16, Entries: 50}
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress { // the fuzzer gets nowhere through gzip's checksum
			var b bytes.Buffer
			gz := gzip.NewWriter(&b)
			_, _ = gz.Write(data)
			gz.Close()
			data = b.Bytes()
		}
		around, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(around, "to")
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		_, _, _, scanned := source.Scan(bytes.NewReader(data), limits, "no such name")
		unpacked := source.Unpack(bytes.NewReader(data), to, limits)
		if deploy.KindOf(scanned) != deploy.KindOf(unpacked) {
			t.Errorf("Scan says %v, Unpack %v", scanned, unpacked)
		}
		checkInside(t, around, to)
	})
}

func checkInside(t *testing.T, around, to string) {
	if others, _ := os.ReadDir(around); len(others) != 1 {
		t.Errorf("written outside: %v", others)
	}
	_ = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			end, err := filepath.EvalSymlinks(path)
			if err == nil && end != to && !strings.HasPrefix(end, to+"/") {
				t.Errorf("%s leads to %s", path, end)
			}
		}
		return err
	})
}
