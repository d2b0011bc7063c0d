// Licenses writes docs/licenses.md: what is linked into each binary of Slipway, in which version and under
// which license. It fails if a license is not among those that CONTRIBUTING.md allows. Run it in the
// repository's root (make licenses).
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are the licenses that ask for no more than notices.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// unlinked are licenses of parts of a module that no binary links, by the module's name and with the reason.
var unlinked = map[string]string{
	"github.com/cyphar/filepath-securejoin MPL-2.0": "its folder pathrs-lite alone, which no binary imports",
}

// program is a binary, as it is built.
type program struct {
	name    string // in docs/licenses.md
	folder  string // of its module
	pkg     string
	systems []string // GOOS/GOARCH
}

// part is a folder with a license of its own, most often a whole module.
type part struct{ name, version, license string }

const own = "github.com/slipway-cd/slipway"

func main() {
	if err := run("docs/licenses.md"); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	programs, err := programs()
	if err != nil {
		return err
	}

	linked := map[part][]string{}
	for _, p := range programs {
		parts, err := p.parts()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for _, each := range parts {
			linked[each] = append(linked[each], p.name)
		}
	}
	if err := os.WriteFile(file, []byte(page(linked)), 0o644); err != nil {
		return err
	}
	return check(slices.Collect(maps.Keys(linked)))
}

// programs lists the functions, which run on arm64 on AWS, and the commands, which run on developers'
// machines.
func programs() ([]program, error) {
	aws := []string{"linux/arm64"}
	all := []program{
		{"runner", ".", "./cmd/runner", aws},
		{"shop", "examples/shop", ".", aws},
	}
	for _, command := range []string{"local", "preflight", "slipway"} {
		all = append(all, program{command, ".", "./cmd/" + command, []string{"linux/amd64", "darwin/arm64"}})
	}

	folders, err := filepath.Glob("functions/*/main.go")
	if err != nil {
		return nil, err
	}
	if len(folders) == 0 {
		return nil, errors.New("no functions here; run in the repository's root")
	}
	for _, main := range folders {
		folder := filepath.Dir(main)
		all = append(all, program{filepath.Base(folder), ".", "./" + folder, aws})
	}
	slices.SortFunc(all, func(a, b program) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

// parts returns what a program links, on all its systems.
func (p program) parts() ([]part, error) {
	found := map[part]bool{}
	for _, system := range p.systems {
		text, err := p.report(system)
		if err != nil {
			return nil, err
		}
		parts, err := parse(text)
		if err != nil {
			return nil, err
		}
		for _, each := range parts {
			found[each] = true
		}
	}
	return slices.Collect(maps.Keys(found)), nil
}

// report runs go-licenses.
func (p program) report(system string) (string, error) {
	template, err := filepath.Abs("tools/licenses/report.tpl")
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}

	goos, goarch, _ := strings.Cut(system, "/")
	cmd := exec.Command(os.Getenv("GO_LICENSES"), "report",
		"--ignore", own, "--ignore", "example.com", "--template", template, p.pkg)
	cmd.Dir = p.folder
	// Without GOROOT it takes the standard library for packages without a license.
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "GOROOT="+strings.TrimSpace(string(root)))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go-licenses: %w\n%s", err, &errs)
	}
	return out.String(), nil
}

// parse reads what report.tpl writes. Nothing at all is an error: go-licenses exits with 0 if it found no
// package.
func parse(text string) ([]part, error) {
	var parts []part
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("go-licenses: %q; want a name, a version and a license", line)
		}
		parts = append(parts, part{fields[0], fields[1], fields[2]})
	}
	if len(parts) == 0 {
		return nil, errors.New("go-licenses found nothing")
	}
	return parts, nil
}

// check refuses licenses that are not allowed, and exceptions that are not needed.
func check(parts []part) error {
	var refused []string
	used := map[string]bool{}
	for _, p := range parts {
		exception := p.name + " " + p.license
		switch {
		case slices.Contains(allowed, p.license):
		case unlinked[exception] != "":
			used[exception] = true
		default:
			refused = append(refused, fmt.Sprintf("%s %s is under %s; want one of %s",
				p.name, p.version, p.license, strings.Join(allowed, ", ")))
		}
	}
	for exception := range unlinked {
		if !used[exception] {
			refused = append(refused, "nothing needs the exception for "+exception)
		}
	}
	if len(refused) > 0 {
		slices.Sort(refused)
		return errors.New(strings.Join(refused, "\n"))
	}
	return nil
}

const head = `# Licenses of what is linked

Written by ` + "`make licenses`" + ` (go-licenses). The functions are linked for Linux on arm64, the commands for Linux and
macOS. Each binary holds Go's runtime and standard library too, under BSD-3-Clause. Slipway itself is under
[Apache-2.0](../LICENSE).

| Part | Version | License | Linked into |
|---|---|---|---|
`

// page writes the table of what is linked.
func page(linked map[part][]string) string {
	parts := slices.SortedFunc(maps.Keys(linked), func(a, b part) int {
		return cmp.Or(
			cmp.Compare(a.name, b.name),
			cmp.Compare(a.version, b.version),
			cmp.Compare(a.license, b.license),
		)
	})
	text := head
	for _, p := range parts {
		license := p.license
		if reason := unlinked[p.name+" "+p.license]; reason != "" {
			license += " (" + reason + ")"
		}
		text += fmt.Sprintf("| %s | %s | %s | %s |\n", p.name, p.version, license, strings.Join(linked[p], ", "))
	}
	return text
}
