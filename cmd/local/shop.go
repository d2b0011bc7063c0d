package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// appFile is the example app as `slipway app apply` takes it. Scripts run without a network, on what make has compiled
// already, and find nothing of the function's environment: so the compiler and its caches are named here.
var appFile = template.Must(template.New("app").Parse(`name: shop
build_variables:
{{- range .Variables}}
  {{.Name}}: {{printf "%q" .Value}}
{{- end}}
environments:
  production:
    target: {type: lambda, function: slipway-shop, alias: live}
    url: {{.URL}}
    branches: [main]
`))

type variable struct{ Name, Value string }

// writeApp writes the example app's settings to a file.
func writeApp(ctx context.Context, file, url string) error {
	variables, err := goVariables(ctx)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := appFile.Execute(&text, struct {
		URL       string
		Variables []variable
	}{url, variables}); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// goVariables is what a Go build needs in an otherwise empty environment.
func goVariables(ctx context.Context) ([]variable, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	return []variable{{"PATH", os.Getenv("PATH")}, {"GOCACHE", env["GOCACHE"]}, {"GOMODCACHE", env["GOMODCACHE"]},
		{"GOPATH", env["GOPATH"]}, {"GOFLAGS", "-buildvcs=false"}, {"GOPROXY", "off"}}, nil
}

// shopVersion asks the running app which version it is.
func shopVersion(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var body struct{ Version string }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s/ answered %s", url, response.Status)
	}
	return body.Version, nil
}

// repository is the example app in a git repository of its own.
type repository struct{ dir, home string }

// newRepository copies the app's files as they are in this working tree, without what was built of them.
func newRepository(ctx context.Context, from, dir, home string) (*repository, error) {
	r := &repository{dir: dir, home: home}
	if err := copyTree(from, dir); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"config", "user.name", "Demo"},
		{"config", "user.email", "demo@example.com"}, {"config", "commit.gpgsign", "false"}} {
		if _, err := r.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		short, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if short == "build" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, short), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, short), text, 0o644)
	})
}

// git runs without any configuration but the repository's own.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "GIT_CONFIG_NOSYSTEM=1", "LANG=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// edit replaces a text that occurs exactly once in a file of the app.
type edit struct{ file, old, new string }

// commit makes the edits and commits them. It gives the commit's id.
func (r *repository) commit(ctx context.Context, message string, edits ...edit) (string, error) {
	for _, e := range edits {
		path := filepath.Join(r.dir, e.file)
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return "", fmt.Errorf("%s has %q %d times; want once", e.file, e.old, n)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o644); err != nil {
			return "", err
		}
	}
	if _, err := r.git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "commit", "--quiet", "--message", message); err != nil {
		return "", err
	}
	return r.git(ctx, "rev-parse", "HEAD")
}
