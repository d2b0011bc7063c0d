package script

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var runawayRuns = flag.Int("runaway.runs", 20, "scripts that TestEndLeftOfRunaways runs")

// runaway forks processes that replace one another, each in a session of its own, for as long as they are let live, ten seconds at most.
const runaway = `
import os, sys, time
end = time.time() + 10
if os.fork() == 0:
    open(sys.argv[1], "w").close()
    while time.time() < end:
        if os.fork():
            os._exit(0)
        os.setsid()
`

// TestEndLeftOfRunaways: processes that replace one another without end don't outlive their script, on a busy machine.
func TestEndLeftOfRunaways(t *testing.T) {
	if os.Getenv("TEST_RUNAWAYS") != "" {
		runRunaways(t)
		return
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
	for range 3 { // work of others, which are not this process's children's
		busy := exec.CommandContext(t.Context(), "/bin/sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = busy.Process.Kill(); _ = busy.Wait() })
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEndLeftOfRunaways$", fmt.Sprint("-runaway.runs=", *runawayRuns))
	again.Env = append(os.Environ(), "TEST_RUNAWAYS=yes")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func runRunaways(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "runaway.py")
	if err := os.WriteFile(program, []byte(runaway), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range *runawayRuns {
		command := fmt.Sprintf(`for i in 1 2 3; do setsid python3 %[1]s began-%[2]d-$i >/dev/null 2>&1 & done
			while ! [ -e began-%[2]d-1 -a -e began-%[2]d-2 -a -e began-%[2]d-3 ]; do sleep 0.01; done`, program, n)
		if err := Run(t.Context(), Job{Command: command, Dir: dir, Alone: true}); err != nil {
			t.Fatalf("run %d: %v", n, err)
		}
		for _, p := range processes() {
			if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); strings.Contains(string(text), program) {
				t.Fatalf("run %d left %d: %s", n, p.pid, text)
			}
		}
	}
}

// TestNotEnded: a process that can't be ended is an error, also if the script has its own exit code.
func TestNotEnded(t *testing.T) {
	real := eachChild
	defer func() { eachChild = real }()
	eachChild = func(do func(pid int)) {
		real(do)
		do(1 << 22) // one that no signal reaches, since there is none
	}
	begin := time.Now()
	var alive *AliveError
	if err := Run(t.Context(), Job{Command: "exit 3", Alone: true}); !errors.As(err, &alive) || alive.Group == 0 {
		t.Errorf("%v; want an AliveError", err)
	}
	if took := time.Since(begin); took > 5*patience {
		t.Errorf("it took %s", took)
	}
}

func TestEachChild(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	for name, each := range map[string]func(func(int)){"all processes": eachByParent, "threads": eachChild} {
		var found []int
		each(func(pid int) { found = append(found, pid) })
		if !slices.Contains(found, child.Process.Pid) {
			t.Errorf("%s: %v lacks %d", name, found, child.Process.Pid)
		}
	}
}
