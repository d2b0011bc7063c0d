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

// groupRuns reports whether a process of the group can still do something. One that was killed and not yet reaped can't.
func groupRuns(group int) bool {
	if syscall.Kill(-group, 0) == syscall.ESRCH {
		return false
	}
	for _, p := range processes() {
		if p.group == group && p.state != "Z" && p.state != "X" {
			return true
		}
	}
	return false
}

// children lists the processes whose parent is pid.
func children(pid int) (found []int) {
	for _, p := range processes() {
		if p.parent == pid {
			found = append(found, p.pid)
		}
	}
	return found
}

// process is what proc(5) says of one.
type process struct {
	pid, parent, group int
	state              string
}

// processes lists all that there are. State, parent and group stand behind the name, which may hold anything.
func processes() (all []process) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat") // it may have ended
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 3 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		group, _ := strconv.Atoi(fields[2])
		all = append(all, process{pid, parent, group, fields[0]})
	}
	return all
}
