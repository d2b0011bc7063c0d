package internal_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// made are the folders of what is fetched and built.
var made = []string{".git", ".slipway", "bin", "cdk.out", "node_modules", "testdata", "build", "target"}

// sources returns the repository's files, by their paths from its root, without what is fetched and built.
func sources(t *testing.T, keep func(path string) bool) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(made, entry.Name()) {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() || !keep(path) {
			return nil
		}
		text, err := os.ReadFile(filepath.Join("..", path))
		found[path] = string(text)
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return found
}

func ext(names ...string) func(string) bool {
	return func(path string) bool { return slices.Contains(names, filepath.Ext(path)) }
}

func named(name string) func(string) bool {
	return func(path string) bool { return filepath.Base(path) == name }
}

var (
	requirement = regexp.MustCompile(`^[A-Za-z0-9._-]+==[^ ]+( ;.*[^\\ ])? \\$`)
	hash        = regexp.MustCompile(`^    --hash=sha256:[0-9a-f]{64}( \\)?$`)
)

// TestRequirementsHaveHashes: in each requirement file each package has one version, and a hash at least.
// Elsewhere pip would take what a registry happens to serve.
func TestRequirementsHaveHashes(t *testing.T) {
	files := 0
	for path, text := range sources(t, ext(".txt")) {
		if !strings.Contains(text, "==") {
			continue
		}
		files++
		hashed := true
		for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
			case hash.MatchString(line):
				hashed = true
			case requirement.MatchString(line) && hashed:
				hashed = false
			default:
				t.Errorf("%s:%d: %q; want a version with == and its hashes below it (make hashes)", path, i+1, line)
			}
		}
		if !hashed {
			t.Errorf("%s: the last package has no hash (make hashes)", path)
		}
	}
	if files < 7 {
		t.Errorf("%d requirement files; want those of each virtual environment", files)
	}
}

// install finds commands that install packages, as words of a shell and of Go.
var install = map[string]struct{ command, want *regexp.Regexp }{
	"pip": {
		regexp.MustCompile(`\bpip3?"?,? "?(install|download)\b`),
		regexp.MustCompile(`--require-hashes`),
	},
	"npm": {
		regexp.MustCompile(`"npm", "(install|i|ci|add|exec)"|(^|[^"])\bnpm (install|i|ci|add|exec)\b|\bnpx\b`),
		regexp.MustCompile(`\bci\b.*--ignore-scripts`),
	},
	"maven": {
		regexp.MustCompile(`"--batch-mode"|\bmvn .*copy-dependencies`),
		regexp.MustCompile(`--strict-checksums`),
	},
	"cargo": {
		regexp.MustCompile(`\bcargo"?,? "?(build|run|install)\b`),
		regexp.MustCompile(`--locked`),
	},
}

// TestInstallsArePinned: what is fetched is compared with hashes that are in this repository, wherever a
// command fetches it.
func TestInstallsArePinned(t *testing.T) {
	seen := map[string]bool{}
	commands := func(path string) bool {
		return ext(".go", ".sh", ".yml", ".yaml", ".py")(path) || named("Makefile")(path) || path == ".ci/run"
	}
	for path, text := range sources(t, commands) {
		if path == "internal/pins_test.go" || strings.HasPrefix(path, "findings/") {
			continue // findings look at other programs by hand, in a folder of their own
		}
		for i, line := range strings.Split(text, "\n") {
			for tool, it := range install {
				if !it.command.MatchString(line) || strings.HasPrefix(strings.TrimSpace(line), "//") {
					continue
				}
				seen[tool] = true
				if !it.want.MatchString(line) {
					t.Errorf("%s:%d: %s; want %s in it", path, i+1, strings.TrimSpace(line), it.want)
				}
			}
		}
	}
	for tool := range install {
		if !seen[tool] {
			t.Errorf("no command of %s was found; this test looks for another one", tool)
		}
	}
}

// TestNpmLocks: each package has its integrity, and comes from whichever registry npm is set up with.
func TestNpmLocks(t *testing.T) {
	for path, text := range sources(t, named("package-lock.json")) {
		var lock struct {
			LockfileVersion int
			Packages        map[string]struct{ Integrity, Resolved string }
		}
		err := json.Unmarshal([]byte(text), &lock)
		if err != nil || lock.LockfileVersion != 3 || len(lock.Packages) < 2 {
			t.Errorf("%s: %v, version %d with %d packages", path, err, lock.LockfileVersion, len(lock.Packages))
		}
		for name, locked := range lock.Packages {
			if name == "" {
				continue
			}
			if !strings.HasPrefix(locked.Integrity, "sha512-") {
				t.Errorf("%s: %s has the integrity %q, want a sha512", path, name, locked.Integrity)
			}
			if locked.Resolved != "" {
				t.Errorf("%s: %s is bound to %s; write the file with npm's omit-lockfile-registry-resolved",
					path, name, locked.Resolved)
			}
		}
	}
}

// TestGoChecksSums: each module with requirements has its sums, and nothing here turns their check off.
func TestGoChecksSums(t *testing.T) {
	for path, text := range sources(t, named("go.mod")) {
		_, err := os.Stat(filepath.Join("..", filepath.Dir(path), "go.sum"))
		if err != nil && strings.Contains(text, "require") {
			t.Errorf("%s: %v", path, err)
		}
	}

	off := regexp.MustCompile(`\b(GONOSUMDB|GONOSUMCHECK|GOINSECURE|GOPRIVATE|GOSUMDB)\b|-mod=mod`)
	for path, text := range sources(t, ext(".go", ".sh", ".yml", ".yaml", "")) {
		if found := off.FindString(text); found != "" && path != "internal/pins_test.go" {
			t.Errorf("%s sets %s", path, found)
		}
	}
}
