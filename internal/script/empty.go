package script

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Empty removes all that is in a folder, also what is in folders without permissions, and follows no link. A folder that isn't there is
// empty.
func Empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	failed := []error{err}
	for _, e := range entries {
		failed = append(failed, Remove(filepath.Join(dir, e.Name())))
	}
	return errors.Join(failed...)
}

// Remove removes a file or a folder with all that is in it, also folders without permissions.
func Remove(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(name string, e fs.DirEntry, _ error) error { // reads each folder after this
		if e != nil && e.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}
