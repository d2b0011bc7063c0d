package local

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// onDemand are what only some tests and maintainers want, installed when they ask. Each is a virtual
// environment whose requirement file and command have its name.
var onDemand = map[string]string{
	"checkov":      "checkov, which judges the templates, a third of a gigabyte",
	"sam":          "the SAM CLI, a third of a gigabyte",
	"schemathesis": "schemathesis, which tries the API against its document",
	"uv":           "uv, which writes the hashes of requirement files",
}

// InstallTool installs one of the tools on demand below root/.slipway, unless it is there, and returns the
// path of its command.
func InstallTool(ctx context.Context, root, name string, say func(string, ...any)) (string, error) {
	about, known := onDemand[name]
	if !known {
		names := strings.Join(slices.Sorted(maps.Keys(onDemand)), ", ")
		return "", fmt.Errorf("%q is no tool; there are %s", name, names)
	}

	pins := name + ".txt"
	commands := func() ([][]string, error) {
		return append([][]string{needsPython(name, 11)}, venv("python3", pins)...), nil
	}
	return kit{name: name, about: about, pins: []string{pins}, commands: commands}.only(ctx, root, say)
}

// only installs a kit that the clouds don't need, under a lock of its own, and returns the path of its
// command.
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
	return filepath.Join(k.dir(dir), "bin", k.name), k.install(ctx, k.dir(dir), say)
}
