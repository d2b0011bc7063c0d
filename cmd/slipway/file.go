package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Bounds on files, so that none fills the memory.
const (
	maxAppFile   = 1 << 20  // an app.yaml or a local.env, which is found and not named
	maxNamedFile = 10 << 20 // a file that the caller names; API Gateway takes no larger body
)

// errNotRegular is the error of a device, a pipe or a folder where a file is expected.
var errNotRegular = errors.New("is no regular file")

// openRegular opens a file that a repository may have brought along: a regular one, and nothing that never ends or waits for a writer.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s %w", path, errNotRegular)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() { // it was replaced meanwhile
		err = fmt.Errorf("%s %w", path, errNotRegular)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// readRegular reads a regular file of at most limit bytes.
func readRegular(path string, limit int64) ([]byte, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, path, limit)
}

// readAtMost reads all of what name is, and fails where that is more than limit bytes.
func readAtMost(r io.Reader, name string, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is too large; want at most %d MiB", name, limit>>20)
	}
	return text, err
}
