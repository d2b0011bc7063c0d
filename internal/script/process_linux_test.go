package script_test

import (
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
