// Package script runs an app's shell commands: bounded in time, apart from the function's own environment, with secrets looked up
// late and masked in what they print.
package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// DefaultLimit is how long a script may run where its Job says nothing.
const DefaultLimit = 600 * time.Second

// grace is how long a group has between SIGTERM and SIGKILL, and how long output is awaited after the script's end from what it
// left in the background.
const grace = 500 * time.Millisecond

// patience bounds how long the end of what was killed is awaited.
const patience = 3 * time.Second

// base is all that a script finds in its environment besides its Job's Env, which may replace any of it. /tmp is the only folder
// that a Lambda function can write.
var base = map[string]string{
	"PATH":   "/usr/local/bin:/usr/bin:/bin:/opt/bin",
	"HOME":   "/tmp",
	"TMPDIR": "/tmp",
	"LANG":   "C.UTF-8",
}

// Job is one script to run.
type Job struct {
	Command string            // for /bin/sh -e -c: the first command that fails ends it
	Dir     string            // to run in
	Env     map[string]string // added to PATH, HOME, TMPDIR and LANG, or in their place
	Output  io.Writer         // takes stdout and stderr as they come; it must not block for long; its errors are its own; nil discards
	Limit   time.Duration     // 0 or less: DefaultLimit
	Alone   bool              // this process starts nothing but scripts, one at a time: what one leaves anywhere is ended too (on Linux)
}

// ExitError tells how a script ended that did end by itself.
type ExitError struct {
	Code   int            // 1 to 255; 0 where a signal ended it
	Signal syscall.Signal // 0 where it exited
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("the script was ended by a signal: %s", e.Signal)
	}
	return fmt.Sprintf("the script exited with code %d", e.Code)
}

// LimitError tells that a script took longer than it may.
type LimitError struct{ Limit time.Duration }

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the script ran over its limit of %gs", e.Limit.Seconds())
}

// EndsWithin is how long after the end of Run's context the script's group may still be at work.
const EndsWithin = grace + patience

// AliveError reports that processes of a script did not end, although they were killed: one may hang in the kernel. Nothing else may be
// run beside them. A process of their user can only end itself then: Lambda ends all that a function left when its own process ends.
type AliveError struct{ Group int }

// Error implements error.
func (e *AliveError) Error() string {
	return fmt.Sprintf("processes of the script's group %d, or some that left it, were killed and did not end within %s", e.Group, patience)
}

// ChangedError reports that a script changed this process itself, which can run no other script as it was then. A limit that was lowered
// stays so until the process ends.
type ChangedError struct{ What string }

// Error implements error.
func (e *ChangedError) Error() string {
	return "the script changed the process that ran it: " + e.What
}

// Run runs a script in a process group of its own and waits for the group's end. When ctx ends or the limit is reached, the group gets
// SIGTERM, and SIGKILL half a second later. Whatever the script leaves in its group is killed when it ends, however it ends, and when
// this process dies. A process that left the group isn't waited for, and is killed where the Job is Alone. Standard input is empty.
//
// The error is an *ExitError, a *LimitError, an *AliveError, a *ChangedError (if the Job is Alone), or context.Cause(ctx), or tells why the script could not be started.
func Run(ctx context.Context, j Job) (err error) {
	if j.Limit <= 0 {
		j.Limit = DefaultLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, j.Limit, &LimitError{j.Limit})
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-e", "-c", j.Command)
	cmd.Dir, cmd.Env = j.Dir, environment(j.Env)
	if j.Output != nil {
		out := &drain{j.Output}
		cmd.Stdout, cmd.Stderr = out, out // equal, so that one pipe keeps their order
	}
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = grace
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	conceal()
	group := 0
	if j.Alone {
		adopt()
		_ = changed() // takes down how the process is before its first script
		defer func() {
			if !endLeft() {
				err = &AliveError{group}
			} else if what := changed(); what != "" {
				err = &ChangedError{what}
			}
		}()
	}
	guard, err := startGuard()
	if err != nil {
		return fmt.Errorf("start the script's guard: %w", err)
	}
	defer guard.dismiss()
	defer anchor()()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the script in %q: %w", j.Dir, err) // without Dir, its lack would read as that of sh
	}
	group = cmd.Process.Pid
	guard.watch(group)
	err = cmd.Wait()
	if !killGroup(group) {
		return &AliveError{group}
	}
	return verdict(ctx, err)
}

// killGroup kills what is left of a group and waits until none of it runs. It reports whether that came about within patience.
func killGroup(group int) bool {
	// Nobody else can have the number yet: while a member lives it stays the group's, and if none does the kernel hands numbers
	// out in a circle.
	_ = syscall.Kill(-group, syscall.SIGKILL)
	for end := time.Now().Add(patience); groupRuns(group); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// verdict makes an error of what Wait said. A script that ended well just before it was told to stop has ended well.
func verdict(ctx context.Context, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it went well, and left something in the background that held its output
	case errors.As(err, &exit):
		status, _ := exit.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return &ExitError{Signal: status.Signal()}
		}
		return &ExitError{Code: status.ExitStatus()}
	}
	return fmt.Errorf("run the script: %w", err)
}

// drain reads on where its writer fails, or the script would stand still at a full pipe.
type drain struct{ w io.Writer }

func (d *drain) Write(p []byte) (int, error) {
	_, _ = d.w.Write(p)
	return len(p), nil
}

func environment(own map[string]string) []string {
	all := maps.Clone(base)
	maps.Copy(all, own)
	env := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}
