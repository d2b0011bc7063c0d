package local

import (
	"context"
	"path/filepath"
)

// schemathesis is what holds the running API to its document. Only the test that does so wants it.
var schemathesis = kit{name: "schemathesis", about: "schemathesis, which tries the API against its document", pins: []string{"schemathesis.txt"},
	commands: [][]string{
		{"python3", "-m", "venv", "."},
		{"bin/python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement", "schemathesis.txt"},
	}}

// Schemathesis installs it below root/.slipway, unless it is there, and gives the folder of its command.
func Schemathesis(ctx context.Context, root string, say func(string, ...any)) (string, error) {
	dir, err := filepath.Abs(filepath.Join(root, ".slipway", schemathesis.name))
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	return filepath.Join(dir, "bin"), schemathesis.install(ctx, dir, say)
}
