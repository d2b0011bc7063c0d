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

// endLeft kills every process that this one has started or adopted, and reports whether none is left after patience. A function lives on
// for the next script, which may be of another environment: what waited in the background could read that one's variables in /proc,
// since all run as the same user. A process that is killed before it has started another one leaves none; so each is killed as soon as
// it is seen, and seen by the shortest way: some that replace one another without end could stay ahead of a look at all of /proc.
func endLeft() bool {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		left := 0
		eachChild(func(pid int) {
			left++
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		})
		if left == 0 {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// eachChild calls do with each of this process's children, as soon as it is seen. Tests have it see others.
var eachChild = func(do func(pid int)) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		text, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/children") // proc(5); adopted ones are the first thread's
		if err != nil {
			eachByParent(do) // the kernel was built without the file, or the thread has ended
			return
		}
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				do(pid)
			}
		}
	}
}

// eachByParent is eachChild by a look at all processes.
func eachByParent(do func(pid int)) {
	for _, p := range processes() {
		if p.parent == os.Getpid() {
			do(p.pid)
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
