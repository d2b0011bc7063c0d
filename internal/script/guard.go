package script

import (
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// guard is a small process that kills a script's group if this process dies: a function that crashes or is killed by its time-out
// must leave no script behind that works on beside the next one. Its standard input is a pipe that this process holds open, so the
// kernel itself tells it of the death.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// guardScript reads the group's number, then waits for the end of its input. It uses nothing but the shell's own commands.
const guardScript = `read -r group && { read -r _; kill -9 -"$group"; }`

// startGuard starts a guard before its script, so that a script never runs unguarded because there is no room for a process. It is in
// a group of its own, out of reach of a script that signals its group, and it has no environment that a script could read.
func startGuard() (*guard, error) {
	g := &guard{cmd: exec.Command("/bin/sh", "-c", guardScript)}
	g.cmd.Env = []string{}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if g.pipe, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return g, g.cmd.Start()
}

// watch tells the guard which group is the script's.
func (g *guard) watch(group int) {
	_, _ = io.WriteString(g.pipe, strconv.Itoa(group)+"\n")
}

// dismiss ends the guard. It is killed before its pipe closes, or it would kill a group that may be another's by then.
func (g *guard) dismiss() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait() // closes the pipe too
}
