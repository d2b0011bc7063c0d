package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// TestPreflight runs the command against the local cloud, as make does: a missing target fails it, with what to do.
func TestPreflight(t *testing.T) {
	cloud, err := localtest.Start(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Stop() })
	for _, line := range append(cloud.Env(), "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null") {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}

	var out bytes.Buffer
	if err := run(t.Context(), &out, "../../cdk.json", nil); err != nil {
		t.Errorf("with cdk.json's own target: %v\n%s", err, out.String())
	}
	for _, want := range []string{"✓ credentials: arn:aws:", "✓ region: " + cloud.Config().Region, "! CDK bootstrap: not there yet", "! target slipway-shop: the example app"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}

	out.Reset()
	err = run(t.Context(), &out, "../../cdk.json", []string{"checkout,shop"})
	if err == nil || !strings.Contains(out.String(), "✗ target checkout: there is no such function") || !strings.Contains(out.String(), "✗ target shop: ") {
		t.Errorf("with missing targets: %v\n%s", err, out.String())
	}
	if err := run(t.Context(), &out, filepath.Join(t.TempDir(), "cdk.json"), nil); err == nil || !strings.Contains(err.Error(), "in the repository's root") {
		t.Errorf("elsewhere: %v", err)
	}
}

// TestDeployChecksFirst: make deploy makes nothing before preflight has passed, and with DRY_RUN nothing at all.
func TestDeployChecksFirst(t *testing.T) {
	plan := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "make", append([]string{"-n", "deploy"}, args...)...)
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "MAKEFLAGS=")
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return string(text)
	}
	whole := plan("TARGETS=a,b")
	check, synth, bootstrap := strings.Index(whole, "./cmd/preflight a,b"), strings.Index(whole, "bin/synth -o cdk.out -c arch=arm64 -c functionsDir=bin/arm64 -c targets=a,b"), strings.Index(whole, "cdk bootstrap")
	if synth < 0 || check < synth || bootstrap < check || !strings.Contains(whole, "cdk deploy Slipway") {
		t.Errorf("synth at %d, preflight at %d, bootstrap at %d:\n%s", synth, check, bootstrap, whole)
	}
	if dry := plan("DRY_RUN=1"); !strings.Contains(dry, "./cmd/preflight") || strings.Contains(dry, "/cdk ") {
		t.Errorf("DRY_RUN=1 runs\n%s", dry)
	}
}
