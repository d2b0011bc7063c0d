package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{
		`plain`: "plain", `http://127.0.0.1:4566`: "http://127.0.0.1:4566", `'a b'`: "a b", `"a b"`: "a b", `''`: "", ``: "",
		`'it'\''s'`: "it's", `'$(x)'`: "$(x)",
	} {
		if got, ok := unquote(text); !ok || got != want {
			t.Errorf("%s: %q %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"$HOME", "`id`", `"$HOME"`, `"a\b"`, "a b", "a;b", `'a'b'`, `"a"b"`, `'a`, `a"`, `a>b`} {
		if got, ok := unquote(text); ok {
			t.Errorf("%s passes as %q", text, got)
		}
	}
}

func FuzzParseEnv(f *testing.F) {
	f.Add("export A=b\n# c\n\nB='it'\\''s'\n")
	f.Add("export A=$(b)")
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := parseEnv(strings.NewReader(text))
		if (vars == nil) != (err != nil) && err != nil {
			t.Errorf("%v with %v", vars, err)
		}
		for name := range vars {
			if !assignment.MatchString(name + "=") {
				t.Errorf("name %q", name)
			}
		}
	})
}

// TestLocalBesideProgram finds the cloud of the repository whose bin folder the program is in.
func TestLocalBesideProgram(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, ".slipway"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, localEnv)
	if err := os.WriteFile(path, []byte("export SLIPWAY_API=http://127.0.0.1:1/a/\nexport AWS_REGION=eu-west-1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &program{env: func(string) string { return "" }, dir: elsewhere, executable: filepath.Join(root, "bin", "slipway")}
	at, err := p.find(t.Context())
	if err != nil || at.from != path || at.api.String() != "http://127.0.0.1:1/a" || at.aws.Region != "eu-west-1" {
		t.Errorf("%+v, %v", at, err)
	}
}
