package source_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

func packed(t *testing.T, l source.Limits, headers ...tar.Header) ([]byte, error) {
	t.Helper()
	var buf bytes.Buffer
	p := source.NewPacker(&buf, l)
	for _, h := range headers {
		body := strings.Repeat("x", int(h.Size))
		if err := p.Add(&h, strings.NewReader(body)); err != nil {
			return nil, err
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), nil
}

// TestPackerAndUnpack: what is packed comes out again, and the same goes in as the same bytes.
func TestPackerAndUnpack(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	entries := []tar.Header{
		{Typeflag: tar.TypeReg, Name: "slipway.yaml", Size: 3, ModTime: at},
		{Typeflag: tar.TypeDir, Name: "bin/", ModTime: at},
		{Typeflag: tar.TypeReg, Name: "bin/run", Size: 5, Mode: 0o755, ModTime: at, Uname: "somebody", Uid: 7, AccessTime: time.Now()},
		{Typeflag: tar.TypeSymlink, Name: "bin/link", Linkname: "../slipway.yaml", ModTime: at},
		{Typeflag: tar.TypeReg, Name: "bin/" + strings.Repeat("ü", 100) + "\xff", ModTime: at},
	}
	first, err := packed(t, source.Limits{}, entries...)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := packed(t, source.Limits{}, entries...); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same entries gave other bytes, %v", err)
	}
	if text, found, _, err := source.Scan(bytes.NewReader(first), source.Limits{}, "slipway.yaml"); string(text) != "xxx" || !found || err != nil {
		t.Errorf("scan: %q, %v, %v", text, found, err)
	}
	dir := t.TempDir()
	if err := source.Unpack(bytes.NewReader(first), dir, source.Limits{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "bin/run"))
	if err != nil || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(at) {
		t.Errorf("bin/run: %v, %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "bin/link")); err != nil || string(text) != "xxx" {
		t.Errorf("bin/link: %q, %v", text, err)
	}
}

func TestPackerRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		kind deploy.Kind
		h    tar.Header
	}{
		"climbs":       {deploy.Invalid, tar.Header{Typeflag: tar.TypeReg, Name: "a/../../b"}},
		"absolute":     {deploy.Invalid, tar.Header{Typeflag: tar.TypeReg, Name: "/etc/passwd"}},
		"device":       {deploy.Invalid, tar.Header{Typeflag: tar.TypeChar, Name: "a"}},
		"zero byte":    {deploy.Invalid, tar.Header{Typeflag: tar.TypeReg, Name: "a\x00b"}},
		"twice":        {deploy.Invalid, tar.Header{Typeflag: tar.TypeReg, Name: "there"}},
		"below a file": {deploy.Invalid, tar.Header{Typeflag: tar.TypeReg, Name: "there/a"}},
		"too much":     {deploy.TooLarge, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 11}},
	} {
		_, err := packed(t, source.Limits{Bytes: 10}, tar.Header{Typeflag: tar.TypeReg, Name: "there"}, row.h)
		if deploy.KindOf(err) != row.kind {
			t.Errorf("%s: %v, want %s", name, err, row.kind)
		}
	}
	p := source.NewPacker(io.Discard, source.Limits{})
	if err := p.Add(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 3}, strings.NewReader("xx")); deploy.KindOf(err) != deploy.Internal {
		t.Errorf("a body that ends early: %v", err)
	}
}

// TestFind looks for a file in the root of a bundle by its name.
func TestFind(t *testing.T) {
	r := newRepository(t)
	r.write("deploy/slipway.yml", "x")
	r.write("slipway.yml", "x")
	r.commit("one")
	var bundle bytes.Buffer
	if _, err := source.Pack(t.Context(), r.dir, "", &bundle); err != nil {
		t.Fatal(err)
	}
	packed := bundle.Bytes()
	if name, err := source.Find(bytes.NewReader(packed), source.Limits{}, deploy.IsMisnamedConfig); name != "slipway.yml" || err != nil {
		t.Errorf("found %q, %v", name, err)
	}
	if name, err := source.Find(bytes.NewReader(packed), source.Limits{}, func(string) bool { return false }); name != "" || err != nil {
		t.Errorf("found %q, %v", name, err)
	}
	if names, err := source.RootFiles(t.Context(), r.dir, "HEAD"); strings.Join(names, " ") != "deploy slipway.yml" || err != nil {
		t.Errorf("in the root: %q, %v", names, err)
	}
}
