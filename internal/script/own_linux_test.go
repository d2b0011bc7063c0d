package script_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/script"
)

// TestChangedProcess: a script that sets a limit, the priority or the processors of the process that runs it is found out, since the next
// script, another app's, would have to live with that. Each case has a process of its own.
func TestChangedProcess(t *testing.T) {
	if what := os.Getenv("SCRIPT_TEST_CHANGES"); what != "" {
		err := script.Run(t.Context(), script.Job{Command: what, Alone: true, Env: map[string]string{"PATH": os.Getenv("PATH")}})
		fmt.Printf("outcome: %T %v\n", err, err)
		return
	}
	for name, c := range map[string]struct{ command, want string }{
		"nothing":      {"true", "outcome: <nil> <nil>"},
		"its own":      {"ulimit -n 64; ulimit -f 10; nice -n 5 true", "outcome: <nil> <nil>"},
		"open files":   {"prlimit --pid $PPID --nofile=64:64", "outcome: *script.ChangedError"},
		"file size":    {"prlimit --pid $PPID --fsize=1048576:1048576", "outcome: *script.ChangedError"},
		"nice value":   {"renice -n 7 -p $PPID", "outcome: *script.ChangedError"},
		"processors":   {"taskset -cp 0 $PPID", "outcome: *script.ChangedError"},
		"policy":       {"chrt --idle -p 0 $PPID", "outcome: *script.ChangedError"},
		"and it fails": {"prlimit --pid $PPID --core=0:0; exit 3", "outcome: *script.ChangedError"},
	} {
		t.Run(name, func(t *testing.T) {
			if tool := strings.Fields(c.command)[0]; tool != "true" && tool != "ulimit" {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("needs %s (util-linux)", tool)
				}
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChangedProcess$", "-test.v")
			cmd.Env = append(os.Environ(), "SCRIPT_TEST_CHANGES="+c.command)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) || !strings.Contains(string(out), c.want) {
				t.Errorf("%v, %s\nwant %q", err, out, c.want)
			}
		})
	}
}
