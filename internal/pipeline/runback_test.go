package pipeline_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/slipway-cd/slipway/internal/pipeline"
)

// TestHasRule holds the search of a Makefile to what make itself does with it.
func TestHasRule(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		makefile string
		want     bool
	}{
		"a rule":                    {"rollback:\n\ttrue\n", true},
		"one of several":            {"deploy rollback: ; true\n", true},
		"a double colon":            {"rollback:: ; true\n", true},
		"none":                      {"test:\n\ttrue\n", false},
		"a variable":                {"rollback := x\nrollback = a:b\n", false},
		"a comment":                 {"# rollback: x\n", false},
		"a recipe":                  {"test:\n\trollback: x\n", false},
		"define":                    {"define HELP\nrollback: is done by Slipway\nendef\n", false},
		"define with =":             {"define HELP =\nrollback: is\nendef # HELP\n", false},
		"define, indented":          {"  define\tHELP\nrollback: is\n  endef\n", false},
		"override define":           {"override define HELP\nrollback: is\nendef\n", false},
		"private export define":     {"private export define HELP\nrollback: is\nendef\n", false},
		"nested":                    {"define A\n define B\nendef\nrollback: is\nendef\n", false},
		"nested, twice":             {"define A\ndefine\ndefine B\nendef\nendef\nrollback: is\nendef\n", false},
		"endef in a recipe":         {"define A\n\tendef\nrollback: is\nendef\n", false},
		"a word like endef":         {"define A\nendefs\nrollback: is\nendef\n", false},
		"behind define":             {"define A\nx: y\nendef\nrollback: ; true\n", true},
		"behind override in define": {"define A\noverride define B\nendef\nrollback: ; true\n", true},
		"before define":             {"rollback: ; true\ndefine A\nx: y\nendef\n", true},
		"a variable named define":   {"define = x\ndefine := x\nexport define ?= x\nrollback: ; true\n", true},
		"a target named define":     {"define: ; true\nrollback: ; true\n", true},
		"a variable's next line":    {"HELP = a \\\nrollback: is\n", false},
		"a comment's next line":     {"# a \\\nrollback: is\n", false},
		"a recipe's next line":      {"test:\n\techo \\\nrollback: is\n", false},
		"a target on two lines":     {"test \\\nrollback: ; true\n", true},
		"two backslashes":           {"HELP = a\\\\\nrollback: ; true\n", true},
		"undefine":                  {"undefine A\nrollback: ; true\n", true},
	} {
		if got := pipeline.HasRule(row.makefile, "rollback"); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
		file := filepath.Join(t.TempDir(), "Makefile")
		if err := os.WriteFile(file, []byte(row.makefile), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command(program, "-f", file, "rollback").CombinedOutput(); (err == nil) != row.want {
			t.Errorf("%s: make says %v\n%s", name, err, text)
		}
	}
}
