package script

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// subreaper is PR_SET_CHILD_SUBREAPER of prctl(2), which package syscall has not.
const subreaper = 36

// patience bounds how long the end of what scripts left is awaited.
const patience = time.Second

// adopt makes this process the parent of all that its scripts' processes leave, however those detached themselves.
func adopt() {
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, subreaper, 1, 0, 0, 0, 0)
}

// endLeft kills every child of this process, and those that it has of them then. A function lives on for the next script, which may be
// of another environment: what waited in the background could read that one's variables in /proc, since all run as the same user.
func endLeft() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		left := children(os.Getpid())
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// children lists the processes whose parent is pid, by proc(5): its number stands behind the name, which may hold anything, and the
// state.
func children(pid int) (found []int) {
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		number, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + p.Name() + "/stat") // it may have ended
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, number)
		}
	}
	return found
}
