//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ofUser is what a file's owner and mode are known by.
type ofUser struct {
	uid  uint32
	mode os.FileMode
}

func (f ofUser) Name() string       { return localEnv }
func (f ofUser) Size() int64        { return 0 }
func (f ofUser) Mode() os.FileMode  { return f.mode }
func (f ofUser) ModTime() time.Time { return time.Time{} }
func (f ofUser) IsDir() bool        { return false }
func (f ofUser) Sys() any           { return &syscall.Stat_t{Uid: f.uid} }

// TestOwnerOfLocalEnv: a local.env that somebody else wrote, or could have written, is refused.
func TestOwnerOfLocalEnv(t *testing.T) {
	me := uint32(os.Geteuid())
	for _, c := range []struct {
		file ofUser
		says string // "" where it is taken
	}{
		{ofUser{me, 0o600}, ""},
		{ofUser{me, 0o644}, ""},
		{ofUser{0, 0o644}, ""},
		{ofUser{me + 1, 0o600}, "it belongs to user"},
		{ofUser{me, 0o666}, "others may write it (mode 0666)"},
		{ofUser{me, 0o660}, "others may write it (mode 0660)"},
		{ofUser{0, 0o602}, "others may write it (mode 0602)"},
	} {
		err := checkOwner(c.file)
		if taken := err == nil; taken != (c.says == "") || !taken && !strings.Contains(err.Error(), c.says) {
			t.Errorf("user %d, mode %o: %v, want %q", c.file.uid, c.file.mode, err, c.says)
		}
	}
}

// TestFindAppReadsNoPipe: an app.yaml that is a pipe is not read; one that nothing is written to would be waited for.
func TestFindAppReadsNoPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		written <- os.WriteFile(path, []byte("name: shop\nenvironments:\n  production:\n    target: {type: script}\n    url: https://shop.test\n"), 0o600)
	}()

	if name, file := (&program{dir: dir}).findApp(); name != "" {
		t.Errorf("%s of %s names %q", file, dir, name)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // lets the writer go
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := <-written; err != nil {
		t.Error(err)
	}
}
