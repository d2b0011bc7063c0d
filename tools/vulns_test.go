package tools_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVulns: a database that can't be reached is not the same as nothing found.
func TestVulns(t *testing.T) {
	for name, c := range map[string]struct {
		govulncheck string // what it does
		code        int
		said        string
	}{
		"nothing found":    {"echo No vulnerabilities found.", 0, "No vulnerabilities found."},
		"found":            {"echo Vulnerability 1; exit 3", 3, "Vulnerability 1"},
		"can't be reached": {"echo fetching vulnerabilities: no such host >&2; exit 1", 75, "WERE NOT CHECKED"},
		"broken":           {"echo govulncheck: no packages >&2; exit 1", 1, "no packages"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := filepath.Join(t.TempDir(), "govulncheck")
			if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+c.govulncheck+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}

			out, err := exec.Command("./vulns.sh", fake, "./...").CombinedOutput()
			var exit *exec.ExitError
			code := 0
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			}
			if code != c.code || !strings.Contains(string(out), c.said) {
				t.Errorf("exit %d (%v): %s; want %d and %q", code, err, out, c.code, c.said)
			}
		})
	}
}
