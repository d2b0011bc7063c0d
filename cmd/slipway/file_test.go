package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadRegular: a file that is found, and that nobody named, is a regular one of bounded size.
func TestReadRegular(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "full"), strings.Repeat("x", 8))
	writeFile(t, filepath.Join(dir, "over"), strings.Repeat("x", 9))
	if err := os.Symlink(os.DevNull, filepath.Join(dir, "device")); err != nil {
		t.Fatal(err)
	}
	if text, err := readRegular(filepath.Join(dir, "full"), 8); err != nil || len(text) != 8 {
		t.Errorf("a full file: %q, %v", text, err)
	}
	if _, err := readRegular(filepath.Join(dir, "over"), 8); err == nil || !strings.Contains(err.Error(), "is too large") {
		t.Errorf("a larger one: %v", err)
	}
	for name, want := range map[string]error{"device": errNotRegular, ".": errNotRegular, "absent": fs.ErrNotExist} {
		if _, err := readRegular(filepath.Join(dir, name), 8); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// TestFindAppReadsRegularFilesOnly: an app.yaml that is a device, or too large, names no app, and no file above it does either.
func TestFindAppReadsRegularFilesOnly(t *testing.T) {
	const app = "name: shop\nenvironments:\n  production:\n    target: {type: script}\n    url: https://shop.test\n"
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "app.yaml"), app)
	writeFile(t, filepath.Join(dir, "large", "app.yaml"), app+"# "+strings.Repeat("x", maxAppFile))
	writeFile(t, filepath.Join(dir, "device", "note"), "")
	if err := os.Symlink(os.DevNull, filepath.Join(dir, "device", "app.yaml")); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{"": "shop", "large": "", "device": ""} {
		if got, _ := (&program{dir: filepath.Join(dir, folder)}).findApp(); got != want {
			t.Errorf("in %q: %q, want %q", folder, got, want)
		}
	}
}

// TestNamedFileIsBounded: a file of -f that is too large is refused, and not read whole.
func TestNamedFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.yaml")
	writeFile(t, path, "")
	if err := os.Truncate(path, maxNamedFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := (&program{}).read(path); err == nil || !strings.Contains(err.Error(), "is too large; want at most 10 MiB") {
		t.Errorf("a file of 10 MiB and a byte: %v", err)
	}
}
