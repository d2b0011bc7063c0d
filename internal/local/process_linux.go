package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one that runs on this machine.
type process struct {
	pid     int
	session int    // the pid of its session's leader
	start   string // clock ticks from the machine's start to the process's
	place   string // its working folder
}

// processes lists those of this machine; what has ended and only awaits its parent's notice is left out.
func processes() ([]process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("/proc can't be read: %w", err)
	}
	all := make([]process, 0, len(files))
	for _, file := range files {
		if p, ok := readProcess(filepath.Dir(file)); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// started gives the start of one process, "" where there is none.
func started(pid int) string {
	p, _ := readProcess("/proc/" + strconv.Itoa(pid))
	return p.start
}

// readProcess parses proc(5)'s stat: the name in brackets may hold anything, so fields count from the last bracket.
func readProcess(dir string) (process, bool) {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return process{}, false // it ended meanwhile
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, false
	}
	p := process{start: fields[19]}
	p.pid, _ = strconv.Atoi(filepath.Base(dir))
	p.session, _ = strconv.Atoi(fields[3])
	p.place, _ = os.Readlink(filepath.Join(dir, "cwd"))
	return p, true
}
