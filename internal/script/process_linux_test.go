package script_test

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-cd/slipway/internal/script"
)

// What the flag does shows only to a user without CAP_SYS_PTRACE, and tests may run as root; the flag itself shows to all.
func TestRunConceals(t *testing.T) {
	if err := script.Run(t.Context(), script.Job{Command: "true"}); err != nil {
		t.Fatal(err)
	}
	got, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_DUMPABLE, 0, 0)
	if got != 0 || errno != 0 {
		t.Errorf("dumpable is %d, %v; want 0", got, errno)
	}
}

// TestRunAlone: nothing that a script starts lives on for the next one, whatever it did to get away.
func TestRunAlone(t *testing.T) {
	for name, command := range map[string]string{
		"a session of its own": "setsid sh -c 'echo $$ > pid; exec sleep 60' >/dev/null 2>&1 &",
		"a group of its own":   "set -m; sh -c 'echo $$ > pid; exec sleep 60' >/dev/null 2>&1 &",
		"a daemon":             "setsid sh -c 'setsid sh -c \"echo \\$\\$ > pid; exec sleep 60\" & exit 0' >/dev/null 2>&1 &",
		"its parent lives too": "setsid sh -c 'setsid sh -c \"echo \\$\\$ > pid; exec sleep 60\" & sleep 60' >/dev/null 2>&1 &",
		"holding the output":   "setsid sh -c 'echo $$ > pid; exec sleep 60' &",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := script.Run(t.Context(), script.Job{Command: command + " while ! [ -s pid ]; do :; done", Dir: dir, Output: io.Discard, Alone: true})
			if err != nil {
				t.Error(err)
			}
			gone(t, filepath.Join(dir, "pid"))
			if text, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children"); err == nil && len(text) > 0 {
				t.Errorf("children are left, if only dead ones: %s", text)
			}
		})
	}
}

// TestRunWaitsForTheGroup: when Run returns, no process of the script's group can do anything more.
func TestRunWaitsForTheGroup(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		err := script.Run(t.Context(), script.Job{Dir: dir, Command: `
			echo $$ > group
			for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; while :; do :; done) & done
			sleep 0.05`})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "group"))
		if err != nil {
			t.Fatal(err)
		}
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, file := range stats {
			stat, _ := os.ReadFile(file) // it may have ended
			fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
			if len(fields) > 2 && fields[2] == strings.TrimSpace(string(text)) && fields[0] != "Z" && fields[0] != "X" {
				t.Errorf("%s runs on: %s", file, stat)
			}
		}
	}
}
