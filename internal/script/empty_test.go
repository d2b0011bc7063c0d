package script_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/slipway-cd/slipway/internal/script"
)

func TestEmpty(t *testing.T) {
	dir, beside := t.TempDir(), t.TempDir()
	kept := filepath.Join(beside, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	make := exec.Command("/bin/sh", "-ec", `mkdir -p a/b/c shut/in .hidden; echo x > a/b/c/f; echo x > shut/in/f; echo x > .hidden/f; ln -s "$1" link; ln -s "$1" a/link
		chmod 000 shut/in; chmod 000 shut; chmod 500 a/b`, "sh", beside)
	make.Dir = dir
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := script.Empty(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("what a link led to: %v", err)
	}
	if err := script.Empty(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a folder that isn't there: %v", err)
	}
}
