package script

import (
	"runtime"
	"syscall"
)

// ownGroup also ends the shell when the function dies under it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// anchor keeps the calling thread until its answer is called: Pdeathsig fires at the end of the thread that started the child,
// not of the process (go.dev/issue/27505).
func anchor() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// conceal makes /proc/PID/environ and memory of this process, where the function's credentials are, unreadable for the scripts,
// which run as the same user (prctl(2), PR_SET_DUMPABLE; proc(5)). Where it fails, so did every attempt to read them.
func conceal() {
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
}
