package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed emulator
var emulator embed.FS

// Tools are the programs of others that the local cloud is made of, installed under the repository's .slipway.
type Tools struct {
	CDK string // the CDK's command
	ASL string // asl-validator's command
	dir string // .slipway
}

// scripts is the folder of .slipway with our start scripts.
const scripts = "serve"

const installTimeout = 10 * time.Minute // for all, on a slow line

// kit is one installation: files that pin what is in it, and the commands that make it of them.
type kit struct {
	name, about string
	pins        []string
	commands    func() ([][]string, error)
}

func (k kit) dir(tools string) string { return filepath.Join(tools, k.name) }

var (
	ministackKit = kit{name: "venv", about: "MiniStack, the local cloud", pins: []string{"requirements.txt"}, commands: func() ([][]string, error) {
		return append([][]string{needsPython("MiniStack", 10)}, venv("python3", "requirements.txt")...), nil
	}}
	nodeKit = kit{name: "node", about: "the CDK", pins: []string{"package.json", "package-lock.json"}, commands: func() ([][]string, error) {
		return [][]string{{"npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error"}}, nil
	}}
	localstackKit = kit{name: "localstack", about: "LocalStack and DynamoDB Local, half a gigabyte",
		pins: []string{"localstack/requirements.txt", "localstack/sdists.txt", "localstack/pom.xml", "localstack/jars.sha256", "localstack/jars.py"}, commands: func() ([][]string, error) {
			python, err := findPython()
			if err != nil {
				return nil, err
			}
			maven, err := findMaven()
			if err != nil {
				return nil, err
			}

			// Three packages have no wheel. They are built by the setuptools that is installed before them, whose hash was checked:
			// left to itself, pip would fetch the newest one to build with.
			sources := append(pip("--no-build-isolation"), "sdists.txt")
			jars := []string{maven, "--quiet", "--batch-mode", "--strict-checksums", copyJars, "-DoutputDirectory=jars", "-DincludeScope=runtime"}
			return append(venv(python, "requirements.txt"), sources, jars, []string{"bin/python3", "jars.py"}), nil
		}}
)

// copyJars is the goal of the Maven plugin that fetches the jars, in a version that doesn't depend on Maven's own.
const copyJars = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// needsPython fails where python3 is older than what the pinned packages are installed on.
func needsPython(what string, minor int) []string {
	return []string{"python3", "-c", fmt.Sprintf(
		"import sys; sys.exit(sys.version_info < (3, %[2]d) and '%[1]s needs Python 3.%[2]d or newer')", what, minor)}
}

// venv makes the kit's folder a virtual environment with what the file pins, and nothing else. pip takes only wheels that have one of
// the file's hashes: a registry or a proxy that serves something else is refused, and no package's code runs while it is installed.
func venv(python, pins string) [][]string {
	return [][]string{{python, "-m", "venv", "."}, append(pip("--only-binary", ":all:"), pins)}
}

// pip installs what a file pins, if its hash is in the file. The file's name goes last.
func pip(options ...string) []string {
	install := []string{"bin/python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"}
	return slices.Concat(install, options, []string{"--requirement"})
}

// Install brings MiniStack, and what only tests and make deploy need (the CDK, asl-validator), to root/.slipway, in the pinned versions,
// unless they are there already: then it takes no time. An installation that was cut short is made anew. Two processes may call it at
// once.
func Install(ctx context.Context, root string, say func(string, ...any)) (Tools, error) {
	return install(ctx, root, []kit{ministackKit, nodeKit}, say)
}

// InstallEmulator brings MiniStack alone, which is all that the local cloud needs.
func InstallEmulator(ctx context.Context, root string, say func(string, ...any)) error {
	_, err := install(ctx, root, servers[MiniStack].kits, say)
	return err
}

func install(ctx context.Context, root string, kits []kit, say func(string, ...any)) (Tools, error) {
	dir, err := filepath.Abs(filepath.Join(root, ".slipway"))
	if err != nil {
		return Tools{}, err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "tools.lock"))
	if err != nil {
		return Tools{}, err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	done := make(chan error, len(kits))
	for _, k := range kits {
		go func() { done <- k.install(ctx, k.dir(dir), say) }()
	}
	for range kits {
		err = errors.Join(err, <-done)
	}
	tools := Tools{CDK: filepath.Join(dir, "node/node_modules/.bin/cdk"), ASL: filepath.Join(dir, "node/node_modules/.bin/asl-validator"), dir: dir}
	return tools, errors.Join(err, unpackScripts(filepath.Join(dir, scripts)))
}

func (k kit) install(ctx context.Context, dir string, say func(string, ...any)) error {
	marker := filepath.Join(dir, ".installed") // written last: without it the folder is a half-finished one
	want := k.fingerprint(dir)
	if have, err := os.ReadFile(marker); err == nil && string(have) == want {
		return nil
	}
	if say != nil {
		say("Fetching %s (once).", k.about)
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	for _, name := range k.pins {
		if err := unpack(name, filepath.Join(dir, path.Base(name))); err != nil {
			return err
		}
	}
	commands, err := k.commands()
	if err != nil {
		return fmt.Errorf("install %s: %w", k.about, err)
	}
	for _, args := range commands {
		if err := command(ctx, dir, nil, args...); err != nil {
			return fmt.Errorf("install %s: %w", k.about, err)
		}
	}
	return os.WriteFile(marker, []byte(want), 0o644)
}

// fingerprint changes with the pinned versions, and with the folder: a virtual environment can't be moved.
func (k kit) fingerprint(dir string) string {
	hash := sha256.New()
	fmt.Fprintln(hash, dir)
	for _, name := range k.pins {
		text, _ := emulator.ReadFile("emulator/" + name) // embedded: it is there
		hash.Write(text)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// unpackScripts writes the scripts that start the engines.
func unpackScripts(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "localstack"), 0o755); err != nil {
		return err
	}
	var err error
	for _, pattern := range []string{"emulator/*.py", "emulator/localstack/*.py"} {
		names, _ := fs.Glob(emulator, pattern) // the pattern is sound
		for _, name := range names {
			name = strings.TrimPrefix(name, "emulator/")
			err = errors.Join(err, unpack(name, filepath.Join(dir, filepath.FromSlash(name))))
		}
	}
	return err
}

// unpack writes an embedded file unless it is there, with that content.
func unpack(name, path string) error {
	text, err := emulator.ReadFile("emulator/" + name)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	return os.WriteFile(path, text, 0o644)
}

// missingTools says what to install where a program isn't on PATH.
var missingTools = map[string]string{
	"npm": "npm is not on PATH: install Node.js 22 or newer, which brings it (https://nodejs.org)",
	"git": "git is not on PATH: install git",
}

// command runs a program, silently unless it fails, in a process group of its own that ends with ctx. A program named by
// a path with a slash is looked for in dir. env nil: this process's.
func command(ctx context.Context, dir string, env []string, args ...string) error {
	name := args[0]
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	if _, err := exec.LookPath(name); err != nil && missingTools[name] != "" {
		return errors.New(missingTools[name])
	}
	cmd := exec.CommandContext(ctx, name, args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{filepath.Base(name)}, args[1:]...), " "), err, lastLines(out.String(), 40))
	}
	return nil
}
