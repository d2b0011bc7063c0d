package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/slipway-cd/slipway"

// may says which of the program's own packages each package imports; nothing else, so that the domain knows nothing of
// the rest, adapters nothing of one another, and nothing of infra.
var may = map[string][]string{
	"deploy":       {},
	"config":       {"deploy"},
	"health":       {"deploy"},
	"logs":         {"deploy"},
	"machine":      {"deploy"},
	"hook":         {"deploy"},
	"remote":       {"deploy"},
	"retry":        {},
	"script":       {},
	"secret":       {"deploy"},
	"source":       {"deploy", "retry"},
	"flag":         {},
	"board":        {"deploy", "flag"},
	"store":        {"board", "deploy", "retry"},
	"traffic":      {"deploy"},
	"strict":       {"deploy"},
	"pipeline":     {"deploy", "script", "strict"},
	"ofrep":        {"deploy", "flag"},
	"notify":       {"deploy"},
	"launch":       {"deploy"},
	"trigger":      {"deploy", "launch", "problem", "strict"},
	"buildsession": {"deploy", "problem"},
	"codepipeline": {"deploy", "launch", "strict"},
	"problem":      {},
	"api":          {"board", "deploy", "flag", "launch", "problem", "strict"},
	"local":        {"local/emulator"},
	"preflight":    {"deploy"},
	"asl":          {"deploy"},
	"boot":         {"deploy", "pipeline", "retry", "store"},
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestWhoImportsWhom(t *testing.T) {
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./internal/...") {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], module+"/internal/")
		allowed, known := may[name]
		if !known {
			continue // wires, as mains do
		}
		for _, imported := range words[1:] {
			own, isOwn := strings.CutPrefix(imported, module+"/internal/")
			switch {
			case isOwn && !slices.Contains(allowed, own):
				t.Errorf("internal/%s imports internal/%s; it may import %v", name, own, allowed)
			case strings.HasPrefix(imported, module+"/infra"):
				t.Errorf("internal/%s imports infra", name)
			case name == "deploy" && strings.Contains(imported, "."):
				t.Errorf("internal/deploy imports %s; the domain is the standard library's", imported)
			}
		}
	}
}

func TestRulesNameRealPackages(t *testing.T) {
	packages := list(t, "./internal/...")
	for name := range may {
		if !strings.HasSuffix(name, "...") && !slices.Contains(packages, module+"/internal/"+name) {
			t.Errorf("there is a rule for internal/%s, and no such package", name)
		}
	}
}

// git is what only the function that fetches commits carries.
var git = []string{"github.com/go-git/", "golang.org/x/crypto/ssh"}

func TestGitIsForFetchAlone(t *testing.T) {
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./functions/...", "./cmd/...") {
		words := strings.Fields(line)
		carries := slices.ContainsFunc(words, func(imported string) bool {
			return slices.ContainsFunc(git, func(p string) bool { return strings.HasPrefix(imported, p) })
		})
		if want := words[0] == module+"/functions/fetch"; carries != want {
			t.Errorf("%s links go-git: %v, want %v", words[0], carries, want)
		}
	}
}

// heavy is what a Lambda function must not carry.
var heavy = []string{"testing", "github.com/spf13/cobra", "pgregory.net/rapid", "github.com/aws/aws-cdk-go/", "github.com/rogpeppe/go-internal", "github.com/open-feature/", "github.com/santhosh-tekuri/jsonschema", "github.com/pb33f/"}

func TestFunctionsCarryLittle(t *testing.T) {
	for _, imported := range list(t, "-deps", "./functions/...") {
		for _, bad := range heavy {
			if imported == bad || strings.HasPrefix(imported, bad) {
				t.Errorf("a function links %s", imported)
			}
		}
	}
}
