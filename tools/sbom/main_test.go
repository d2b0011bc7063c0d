package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDescribe: a binary has the same bill of materials twice, valid and complete. The binary is
// cyclonedx-gomod itself.
func TestDescribe(t *testing.T) {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")
	folder, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	schemas := filepath.Join(strings.TrimSpace(string(folder)), "schema")
	command := filepath.Join(t.TempDir(), "cyclonedx-gomod")
	build := exec.Command("go", "build", "-o", command, "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	var texts [2][]byte
	for i := range texts {
		if err := run(command, schemas, []string{command}); err != nil {
			t.Fatal(err)
		}
		if texts[i], err = os.ReadFile(command + ".cdx.json"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		t.Error("the same binary has two bills of materials")
	}

	schema, err := compile(schemas)
	if err != nil {
		t.Fatal(err)
	}
	text := string(texts[0])
	components := regexp.MustCompile(`(?s)"components": \[.*\n  \],?\n  "dep`)
	for name, bad := range map[string]string{
		"another version": strings.Replace(text, `"version": "v5.`, `"version": "v9.`, 1),
		"an unknown type": strings.Replace(text, `"type": "library"`, `"type": "thing"`, 1),
		"no format":       strings.Replace(text, `"bomFormat": "CycloneDX",`, "", 1),
		"no components":   components.ReplaceAllString(text, `"dep`),
		"no JSON":         text[1:],
	} {
		if bad == text {
			t.Errorf("%s: nothing was changed", name)
		}
		if err := check(schema, []byte(bad), command); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestFileFor: what is in a function's folder is deployed.
func TestFileFor(t *testing.T) {
	for binary, want := range map[string]string{
		"bin/functions/api/bootstrap": "bin/functions/api.cdx.json",
		"bin/slipway":                 "bin/slipway.cdx.json",
	} {
		if got := fileFor(binary); got != want {
			t.Errorf("%s: %s, want %s", binary, got, want)
		}
	}
}
