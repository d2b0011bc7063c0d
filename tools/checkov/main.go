// Checkov runs checkov on the CloudFormation templates in a folder and compares its findings with their
// answers in docs/security.md: each has one, and no answer is left without a finding. Run it in the
// repository's root (make checkov).
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: checkov FOLDER (CHECKOV names the command)")
		os.Exit(2)
	}
	said, err := run(os.Getenv("CHECKOV"), os.Args[1], "docs/security.md")
	if err != nil {
		fmt.Fprintln(os.Stderr, "checkov:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}

// run compares, and says what was judged.
func run(command, folder, page string) (string, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return "", err
	}
	answered, err := answers(string(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", page, err)
	}
	found, resources, err := findings(command, folder)
	if err != nil {
		return "", err
	}

	var problems []string
	for _, finding := range slices.Sorted(maps.Keys(found)) {
		if !answered[finding] {
			resources := strings.Join(found[finding], ", ")
			problems = append(problems, fmt.Sprintf("%s (%s) has no answer in %s", finding, resources, page))
		}
	}
	for _, finding := range slices.Sorted(maps.Keys(answered)) {
		if found[finding] == nil {
			problems = append(problems, fmt.Sprintf("%s answers %s, which checkov no longer finds", page, finding))
		}
	}
	if len(problems) > 0 {
		return "", errors.New(strings.Join(problems, "\n"))
	}
	said := fmt.Sprintf("%d resources; %d kinds of findings, each answered in %s", resources, len(found), page)
	return said, nil
}

const (
	begin = "<!-- begin checkov -->\n"
	end   = "<!-- end checkov -->\n"
)

// answers reads the table's first two columns, as "CHECK RESOURCE".
func answers(page string) (map[string]bool, error) {
	_, after, opened := strings.Cut(page, begin)
	table, _, closed := strings.Cut(after, end)
	if !opened || !closed {
		return nil, fmt.Errorf("no table between %q and %q", begin, end)
	}

	found := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if !strings.HasPrefix(cells[0], "CKV") {
			continue
		}
		if len(cells) != 3 || len(cells[2]) < 20 {
			return nil, fmt.Errorf("%q; want a check, a resource and an answer", line)
		}
		found[cells[0]+" "+cells[1]] = true
	}
	return found, nil
}

// report is what checkov prints.
type report struct {
	Results struct {
		FailedChecks []struct {
			CheckID  string `json:"check_id"`
			Resource string // TYPE.ID
		} `json:"failed_checks"`
		ParsingErrors []string `json:"parsing_errors"`
	}
	Summary struct {
		ResourceCount int `json:"resource_count"`
	}
}

// findings runs checkov, without a word to its maker's servers, and returns the resources of each "CHECK
// RESOURCE".
func findings(command, folder string) (found map[string][]string, resources int, err error) {
	var out, errs bytes.Buffer
	cmd := exec.Command(command, "--directory", folder, "--framework", "cloudformation",
		"--skip-download", "--soft-fail", "--compact", "--quiet", "--output", "json")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w\n%s", command, err, &errs)
	}

	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, 0, fmt.Errorf("%s prints no report: %w", command, err)
	}
	if r.Summary.ResourceCount == 0 || len(r.Results.ParsingErrors) > 0 {
		return nil, 0, fmt.Errorf("%s read %d resources in %s; errors: %v",
			command, r.Summary.ResourceCount, folder, r.Results.ParsingErrors)
	}
	found = map[string][]string{}
	for _, f := range r.Results.FailedChecks {
		kind, id, _ := strings.Cut(f.Resource, ".")
		found[f.CheckID+" "+kind] = append(found[f.CheckID+" "+kind], id)
	}
	return found, r.Summary.ResourceCount, nil
}
