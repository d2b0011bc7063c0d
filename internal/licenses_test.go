package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// linkedModules returns the modules that each program links, as PATH@VERSION.
func linkedModules(t *testing.T, folder, goos, goarch string, packages ...string) map[string]map[string]bool {
	t.Helper()
	args := append([]string{"list", "-deps", "-json=ImportPath,Name,Deps,Module"}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}

	type listed struct {
		ImportPath, Name string
		Deps             []string
		Module           *struct {
			Path, Version string
			Main          bool
		}
	}
	found := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		found[p.ImportPath] = p
	}

	programs := map[string]map[string]bool{}
	for importPath, p := range found {
		if p.Name != "main" {
			continue
		}
		modules := map[string]bool{}
		for _, dep := range p.Deps {
			if m := found[dep].Module; m != nil && !m.Main {
				modules[m.Path+"@"+m.Version] = true
			}
		}
		programs[path.Base(importPath)] = modules
	}
	return programs
}

// TestLicensesListWhatIsLinked: docs/licenses.md has each module that a binary links, in its version, and no
// other.
func TestLicensesListWhatIsLinked(t *testing.T) {
	want := linkedModules(t, "..", "linux", "arm64", "./functions/...", "./cmd/runner")
	maps.Copy(want, linkedModules(t, "../examples/shop", "linux", "arm64", "."))
	commands := []string{"./cmd/local", "./cmd/preflight", "./cmd/slipway"}
	for _, system := range []string{"linux/amd64", "darwin/arm64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		for name, modules := range linkedModules(t, "..", goos, goarch, commands...) {
			if want[name] == nil {
				want[name] = map[string]bool{}
			}
			maps.Copy(want[name], modules)
		}
	}

	got := map[string]map[string]bool{}
	for name := range want {
		got[name] = map[string]bool{}
	}
	text, err := os.ReadFile("../docs/licenses.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 4 || cells[0] == "Part" {
			continue
		}
		for _, name := range strings.Split(cells[3], ", ") {
			if got[name] == nil {
				t.Errorf("docs/licenses.md: %s is linked into %q, which is no program", cells[0], name)
				continue
			}
			got[name][moduleOf(cells[0], cells[1], want[name])] = true
		}
	}
	for name := range want {
		if !maps.Equal(got[name], want[name]) {
			t.Errorf("%s: docs/licenses.md has %v, linked are %v (make licenses)",
				name, slices.Sorted(maps.Keys(got[name])), slices.Sorted(maps.Keys(want[name])))
		}
	}
}

// moduleOf returns the module that a part belongs to, the part itself if it belongs to none.
func moduleOf(part, version string, modules map[string]bool) string {
	for module := part; module != "." && module != "/"; module = path.Dir(module) {
		if modules[module+"@"+version] {
			return module + "@" + version
		}
	}
	return part + "@" + version
}
