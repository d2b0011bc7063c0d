package local

import (
	"context"
	"path/filepath"
)

// What only some tests want, installed when they ask.
var (
	schemathesisKit = kit{name: "schemathesis", about: "schemathesis, which tries the API against its document", pins: []string{"schemathesis.txt"},
		commands: func() ([][]string, error) { return venv("python3", "schemathesis.txt"), nil }}
	samKit = kit{name: "sam", about: "the SAM CLI, a third of a gigabyte", pins: []string{"sam.txt"},
		commands: func() ([][]string, error) { return venv("python3", "sam.txt"), nil }}
)

// Schemathesis installs it below root/.slipway, unless it is there, and gives the folder of its command.
func Schemathesis(ctx context.Context, root string, say func(string, ...any)) (string, error) {
	return schemathesisKit.only(ctx, root, say)
}

// SAM installs the SAM CLI below root/.slipway, unless it is there, and gives the folder of its command.
func SAM(ctx context.Context, root string, say func(string, ...any)) (string, error) {
	return samKit.only(ctx, root, say)
}

// only installs a kit that the clouds don't need, under a lock of its own, and gives the folder of its commands.
func (k kit) only(ctx context.Context, root string, say func(string, ...any)) (string, error) {
	dir, err := filepath.Abs(filepath.Join(root, ".slipway"))
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, k.dir(dir)+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	return filepath.Join(k.dir(dir), "bin"), k.install(ctx, k.dir(dir), say)
}
