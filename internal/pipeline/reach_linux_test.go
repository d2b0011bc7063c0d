package pipeline_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// dropCapabilities starts this program again without the rights of root beyond its user's: a test may run as
// root, which Lambda's functions don't. The kernel then refuses /proc/PID/environ of the function also
// because it has more capabilities, so that only a run of another user than root shows that the function
// conceals it; internal/script tests that by itself.
func dropCapabilities() {
	const dropped = "SLIPWAY_TEST_DROPPED"
	if os.Getenv(dropped) != "" || os.Geteuid() != 0 {
		return
	}
	runtime.LockOSThread()
	for capability := range uintptr(64) {
		// It fails for those that there are none of.
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_CAPBSET_DROP, capability, 0)
	}
	err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), dropped+"=1"))
	fmt.Println("reach: start again without capabilities:", err)
	os.Exit(1)
}
