//go:build unix && !linux

package local

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one that runs on this machine.
type process struct {
	pid     int
	session int    // the pid of its session's leader
	start   string // date and time, to the second
	place   string // its command line: a function's names the folder it was unpacked to
}

// processes lists those of this machine; what has ended and only awaits its parent's notice is left out.
func processes() ([]process, error) {
	out, err := exec.Command("ps", "-axo", "pid=,stat=,lstart=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line) // lstart is five of them, as in Mon Nov 23 06:18:56 2026
		if len(fields) < 8 || strings.HasPrefix(fields[1], "Z") {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			continue
		}
		session, err := unix.Getsid(pid)
		if err != nil {
			continue // it ended meanwhile
		}
		all = append(all, process{pid: pid, session: session,
			start: strings.Join(fields[2:7], " "), place: strings.Join(fields[7:], " ")})
	}
	return all, nil
}

// started gives the start of one process, "" where there is none.
func started(pid int) string {
	all, _ := processes()
	for _, p := range all {
		if p.pid == pid {
			return p.start
		}
	}
	return ""
}
