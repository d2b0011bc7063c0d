package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	const row = "| CKV_AWS_1 | AWS::S3::Bucket | an answer of some length |\n"
	finds := func(checks, rest string) string {
		text := `{"results":{"failed_checks":[` + checks + `]` + rest + `},"summary":{"resource_count":3}}`
		return "cat <<'END'\n" + text + "\nEND\n"
	}
	const one = `{"check_id":"CKV_AWS_1","resource":"AWS::S3::Bucket.B"}`
	const two = one + `,{"check_id":"CKV_AWS_1","resource":"AWS::SQS::Queue.Q"}`
	const short = "| CKV_AWS_1 | AWS::S3::Bucket | no |\n"
	for name, c := range map[string]struct{ page, checkov, want string }{
		"answered":          {begin + row + end, finds(one, ""), ""},
		"two of a kind":     {begin + row + end, finds(one+","+one, ""), ""},
		"not answered":      {begin + end, finds(one, ""), "CKV_AWS_1 AWS::S3::Bucket (B) has no answer"},
		"other resource":    {begin + row + end, finds(two, ""), "CKV_AWS_1 AWS::SQS::Queue (Q) has no answer"},
		"no longer found":   {begin + row + end, finds("", ""), "AWS::S3::Bucket, which checkov no longer finds"},
		"no answer's text":  {begin + short + end, finds(one, ""), "want a check, a resource and an answer"},
		"no table":          {row, finds(one, ""), "no table between"},
		"checkov fails":     {begin + row + end, "echo no disk >&2; exit 2\n", "no disk"},
		"no report":         {begin + row + end, "echo hello\n", "prints no report"},
		"nothing was read":  {begin + row + end, "echo '{}'\n", "read 0 resources"},
		"a template broken": {begin + row + end, finds(one, `,"parsing_errors":["a.json"]`), "a.json"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(write(t, "checkov", "#!/bin/sh\n"+c.checkov), "templates", write(t, "security.md", c.page))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}
