package script

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

// limits is how many resources setrlimit(2) knows, each by its number.
const limits = 16

// own is what a process of the same user can set on this one, and what stays so for the next script: the limits of the process, and of
// each of its threads the nice value, the scheduling policy and the processors that it may run on.
type own struct {
	limits  [limits]syscall.Rlimit
	threads thread
}

type thread struct {
	nice, policy int
	processors   [128]byte // room for 1024, as cpu_set_t of sched_setaffinity(2)
}

// atStart is how this process was before its first script.
var atStart = sync.OnceValue(func() own {
	var o own
	for i := range o.limits {
		_ = syscall.Getrlimit(i, &o.limits[i])
	}
	o.threads = threadOf(os.Getpid())
	return o
})

func threadOf(id int) (t thread) {
	t.nice, _ = syscall.Getpriority(syscall.PRIO_PROCESS, id)
	policy, _, _ := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, uintptr(id), 0, 0)
	t.policy = int(policy)
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(id), unsafe.Sizeof(t.processors), uintptr(unsafe.Pointer(&t.processors)))
	return t
}

// changed returns what a script changed on this process, "" if nothing.
func changed() string {
	before := atStart()
	for i := range before.limits {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(i, &now); err == nil && now != before.limits[i] {
			return fmt.Sprintf("limit %d of setrlimit(2) is %d to %d, was %d to %d", i, now.Cur, now.Max, before.limits[i].Cur, before.limits[i].Max)
		}
	}
	threads, _ := os.ReadDir("/proc/self/task")
	for _, each := range threads {
		id, err := strconv.Atoi(each.Name())
		if err != nil {
			continue
		}
		if now := threadOf(id); now != before.threads && syscall.Kill(id, 0) == nil { // one that has just ended has none of them
			return fmt.Sprintf("thread %d has the nice value %d, the policy %d or the processors of another", id, now.nice, now.policy)
		}
	}
	return ""
}
