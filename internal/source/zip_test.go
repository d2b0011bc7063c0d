package source_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

// zipped is an entry of a zip.
type zipped struct {
	name, content string
	mode          fs.FileMode
}

func zipOf(t testing.TB, at time.Time, entries ...zipped) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(e.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func fromZip(z []byte, l source.Limits) ([]byte, error) {
	var out bytes.Buffer
	err := source.FromZip(bytes.NewReader(z), int64(len(z)), l, &out)
	return out.Bytes(), err
}

// TestFromZip: the bundle unpacks to what was zipped, and neither the time nor the order of the zip is in its bytes.
func TestFromZip(t *testing.T) {
	entries := []zipped{{"bin/", "", fs.ModeDir | 0o755}, {"bin/run", "#!", 0o755}, {"a", "1", 0o600}, {"link", "bin/run", fs.ModeSymlink | 0o777}}
	first, err := fromZip(zipOf(t, time.Now(), entries...), source.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := fromZip(zipOf(t, time.Now().Add(-time.Hour), entries[3], entries[2], entries[1], entries[0]), source.Limits{})
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("another order and time gave other bytes, %v", err)
	}
	dir := t.TempDir()
	if err := source.Unpack(bytes.NewReader(first), dir, source.Limits{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "link")); err != nil || info.Mode().Perm() != 0o755 || info.Size() != 2 {
		t.Errorf("bin/run by its link: %v, %v", info, err)
	}
}

// TestFromZipModes: a mode that the zip has is kept. Where it has none, scripts and programs may be run, as their content says.
func TestFromZipModes(t *testing.T) {
	const (
		dos, unix, ntfs, mac = 0 << 8, 3 << 8, 10 << 8, 19 << 8
		sh, elf, text        = "#!/bin/sh\necho ok\n", "\x7fELF\x02\x01", "text"
	)
	for name, c := range map[string]struct {
		madeBy  uint16
		attrs   uint32
		content string
		want    fs.FileMode
	}{
		"no modes, a script":            {dos, 0x20, sh, 0o755},
		"no modes, a program":           {dos, 0x20, elf, 0o755},
		"no modes, text":                {dos, 0x20, text, 0o644},
		"no modes, empty":               {dos, 0x20, "", 0o644},
		"no modes, one byte":            {dos, 0, "#", 0o644},
		"no modes, a mark within":       {dos, 0, " #!/bin/sh", 0o644},
		"no modes, read-only":           {dos, 0x21, sh, 0o755},
		"Windows, a script":             {ntfs, 0x20, sh, 0o755},
		"Unix, but no mode":             {unix, 0, sh, 0o755},
		"Unix, but no mode, text":       {unix, 0, text, 0o644},
		"Unix, may run":                 {unix, 0o100755 << 16, text, 0o755},
		"Unix, a script that mustn't":   {unix, 0o100644 << 16, sh, 0o644},
		"macOS, may run":                {mac, 0o100755 << 16, text, 0o755},
		"macOS, a program that mustn't": {mac, 0o100600 << 16, elf, 0o644},
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			z := zip.NewWriter(&buf)
			h := &zip.FileHeader{Name: "gradlew", Method: zip.Deflate, CreatorVersion: c.madeBy | 20, ExternalAttrs: c.attrs}
			w, err := z.CreateHeader(h)
			if err == nil {
				_, err = w.Write([]byte(c.content))
			}
			if err = errors.Join(err, z.Close()); err != nil {
				t.Fatal(err)
			}

			made, err := fromZip(buf.Bytes(), source.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := source.Unpack(bytes.NewReader(made), dir, source.Limits{}); err != nil {
				t.Fatal(err)
			}
			want := "gradlew " + c.want.String() + " " + c.content + "\n"
			if got := listing(t, dir); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestFromZipLinks: a link that leads out is told of, and no more comes of it.
func TestFromZipLinks(t *testing.T) {
	made, err := fromZip(zipOf(t, time.Now(), zipped{"a", "../b", fs.ModeSymlink | 0o777}, zipped{"f", "x", 0o644},
		zipped{"in", "a/../f", fs.ModeSymlink | 0o777}, zipped{"ok", "./f", fs.ModeSymlink | 0o777}), source.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, lacks, err := source.Scan(bytes.NewReader(made), source.Limits{}, "slipway.yaml")
	if want := "links that lead out of the commit are left out: a, in"; err != nil || strings.Join(lacks, "|") != want {
		t.Errorf("%q, %v; want %q", lacks, err, want)
	}
	dir := t.TempDir()
	if err := source.Unpack(bytes.NewReader(made), dir, source.Limits{}); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, dir), "f -rw-r--r-- x\nok -> ./f\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFromZipRefuses(t *testing.T) {
	now := time.Now()
	lying := zipOf(t, now, zipped{"a", "content", 0o644})
	lying = bytes.Replace(lying, []byte{7, 0, 0, 0, 1, 0}, []byte{6, 0, 0, 0, 1, 0}, 1) // the directory's size of it, before its name's
	for name, row := range map[string]struct {
		kind deploy.Kind
		zip  []byte
	}{
		"nothing":  {deploy.Invalid, nil},
		"a tar":    {deploy.Invalid, bundle(t, reg("a", "b"))},
		"climbs":   {deploy.Invalid, zipOf(t, now, zipped{"../a", "", 0o644})},
		"absolute": {deploy.Invalid, zipOf(t, now, zipped{"/a", "", 0o644})},
		"device":   {deploy.Invalid, zipOf(t, now, zipped{"a", "", fs.ModeDevice | 0o644})},
		"twice":    {deploy.Invalid, zipOf(t, now, zipped{"a", "", 0o644}, zipped{"a", "", 0o644})},
		"too much": {deploy.TooLarge, zipOf(t, now, zipped{"a", string(make([]byte, 2000)), 0o644})},
		"too many": {deploy.TooLarge, zipOf(t, now, zipped{"a", "", 0o644}, zipped{"b", "", 0o644}, zipped{"c", "", 0o644}, zipped{"d", "", 0o644})},
		"lies":     {deploy.Invalid, lying},
		"cut":      {deploy.Invalid, lying[:len(lying)-30]},
	} {
		if _, err := fromZip(row.zip, source.Limits{Bytes: 1000, Entries: 3}); deploy.KindOf(err) != row.kind {
			t.Errorf("%s: %v, want %s", name, err, row.kind)
		}
	}
}

// TestFromZipList: a zip of nothing but names is given up before its list is in memory. A list of the most entries that may be, with
// names of common length, is none of that.
func TestFromZipList(t *testing.T) {
	many := func(n int) []byte {
		var entries []zipped
		for i := range n {
			entries = append(entries, zipped{fmt.Sprintf("%s/%05d", strings.Repeat("folder/", 20), i), "", 0o644})
		}
		return zipOf(t, time.Now(), entries...)
	}
	if _, err := fromZip(many(2000), source.Limits{Entries: 3}); deploy.KindOf(err) != deploy.TooLarge || !strings.Contains(err.Error(), "list of entries is too long") {
		t.Errorf("2000 entries where 3 may be: %v", err)
	}
	if _, err := fromZip(many(2000), source.Limits{Entries: 2021}); err != nil { // the folders count too
		t.Errorf("2000 entries where as many may be: %v", err)
	}
}

// FuzzFromZip: whatever becomes a bundle can be unpacked as one.
func FuzzFromZip(f *testing.F) {
	f.Add(zipOf(f, time.Now(), zipped{"bin/run", "#!", 0o755}, zipped{"link", "bin/run", fs.ModeSymlink | 0o777}))
	f.Add(zipOf(f, time.Now(), zipped{"../a", "", 0o644}))
	f.Fuzz(func(t *testing.T, z []byte) {
		l := source.Limits{Bytes: 1 << 20, Entries: 1000}
		made, err := fromZip(z, l)
		if err != nil {
			return
		}
		if _, _, _, err := source.Scan(bytes.NewReader(made), l, "slipway.yaml"); err != nil && deploy.KindOf(err) != deploy.TooLarge && !bytes.Contains(z, []byte("slipway.yaml")) {
			t.Errorf("a bundle that can't be read: %v", err)
		}
	})
}
