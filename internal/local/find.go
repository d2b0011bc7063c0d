package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What LocalStack needs of this machine. PYTHON and JAVA_HOME name them where they aren't found.
const (
	pythonMinor = 12 // Python 3.12: the oldest that the pinned packages install on
	javaMajor   = 17 // of DynamoDB Local
)

// LocalStackLacks says in one sentence what this machine lacks for LocalStack; nil: nothing.
func LocalStackLacks() error {
	_, python := findPython()
	_, java := findJava()
	_, maven := findMaven()
	if err := errors.Join(python, java, maven); err != nil {
		return fmt.Errorf("LocalStack needs Python 3.%d, Java %d and Maven: %s", pythonMinor, javaMajor, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// findPython looks for one that is new enough: $PYTHON and nothing else where that is set, then on PATH, then where pyenv
// keeps those that it hasn't put there.
func findPython() (string, error) {
	candidates := []string{"python3.13", "python3.12", "python3"}
	if named := os.Getenv("PYTHON"); named != "" {
		candidates = []string{named}
	} else if home, err := os.UserHomeDir(); err == nil {
		kept, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.*/bin/python3"))
		slices.Reverse(kept)
		candidates = append(candidates, kept...)
	}
	for _, name := range candidates {
		out, err := exec.Command(name, "-c", "import sys; print(*sys.version_info[:2])").Output()
		var major, minor int
		if _, scanErr := fmt.Sscan(string(out), &major, &minor); err == nil && scanErr == nil && major == 3 && minor >= pythonMinor {
			return exec.LookPath(name)
		}
	}
	return "", fmt.Errorf("no Python 3.%d or newer among %s (PYTHON=/path/to/python3 names one)", pythonMinor, strings.Join(candidates, ", "))
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava looks for one that is new enough: in $JAVA_HOME and nowhere else where that is set, else on PATH.
func findJava() (string, error) {
	name := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name = filepath.Join(home, "bin", "java")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no Java: %w (JAVA_HOME=/path names one)", err)
	}
	out, err := exec.Command(path, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s -version: %w", path, err)
	}
	found := javaVersion.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%s -version tells no version", path)
	}
	if major, _ := strconv.Atoi(string(found[1])); major < javaMajor {
		return "", fmt.Errorf("%s is Java %d, want %d or newer (JAVA_HOME=/path names one)", path, major, javaMajor)
	}
	return path, nil
}

// findMaven gives the command that fetches DynamoDB Local.
func findMaven() (string, error) {
	path, err := exec.LookPath("mvn")
	if err != nil {
		return "", errors.New("no mvn on PATH")
	}
	return path, nil
}
