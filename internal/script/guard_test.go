package script_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/script"
)

// helper names the folder in which this test binary, started once more, runs a script as a function does.
const helper = "SLIPWAY_TEST_SCRIPT_IN"

// TestRunnerDies kills the process that runs a script, as Lambda and the local cloud do with a function that is over its time: nothing
// of the script's group lives on, whatever signals it ignores.
func TestRunnerDies(t *testing.T) {
	if dir := os.Getenv(helper); dir != "" {
		command := `trap '' TERM HUP; (trap '' TERM HUP; while :; do sleep 0.1; done) & echo $! > child; echo $$ > pid; while :; do sleep 0.1; done`
		t.Fatal(script.Run(t.Context(), script.Job{Command: command, Dir: dir}))
	}
	for _, signal := range []os.Signal{os.Kill, os.Interrupt} {
		dir := t.TempDir()
		runner := exec.Command(os.Args[0], "-test.run=^TestRunnerDies$")
		runner.Env = append(os.Environ(), helper+"="+dir)
		if err := runner.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if text, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil && len(text) > 0 {
				break
			}
		}
		if err := runner.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = runner.Wait()
		gone(t, filepath.Join(dir, "pid"))
		gone(t, filepath.Join(dir, "child"))
	}
}
