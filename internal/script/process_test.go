package script_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/script"
)

// noLeak fails the test when goroutines outlive it.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 3000 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	})
}

// gone waits for a process to end. A zombie has ended.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || zombie(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d outlived its script", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func zombie(pid int) bool {
	out, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return bytes.HasPrefix(out, []byte("Z"))
}

func TestRun(t *testing.T) {
	noLeak(t)
	for name, c := range map[string]struct {
		command, output, err string
	}{
		"both streams in order": {"echo a; echo b >&2; echo c", "a\nb\nc\n", ""},
		"exit code":             {"echo x; exit 7", "x\n", "the script exited with code 7"},
		"signal":                {"kill -SEGV $$", "", "the script was ended by a signal: segmentation fault"},
		"not found":             {"no-such-command 2>/dev/null", "", "the script exited with code 127"},
		"no input":              {"cat; echo end", "end\n", ""},
		"syntax":                {"if 2>/dev/null", "", "the script exited with code 2"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := script.Run(t.Context(), script.Job{Command: c.command, Dir: t.TempDir(), Output: &out})
			if text(err) != c.err || c.err == "" != (err == nil) {
				t.Errorf("got %v, want %q", err, c.err)
			}
			if c.output != "" && out.String() != c.output {
				t.Errorf("output %q, want %q", out.String(), c.output)
			}
		})
	}
}

// TestRunStopsAtTheFirstFailure: a block of several lines is as good as each of them, as in other CI systems. What sh excepts from -e
// stays excepted.
func TestRunStopsAtTheFirstFailure(t *testing.T) {
	for name, c := range map[string]struct {
		command, output, err string
	}{
		"lines":                 {"false\necho later", "", "the script exited with code 1"},
		"one line":              {"false; echo later", "", "the script exited with code 1"},
		"not found":             {"no-such-tool 2>/dev/null\necho later", "", "the script exited with code 127"},
		"in a subshell":         {"(false; echo inside)\necho later", "", "the script exited with code 1"},
		"in a function":         {"f() { false; echo inside; }\nf\necho later", "", "the script exited with code 1"},
		"an assignment":         {"x=$(exit 4)\necho later", "", "the script exited with code 4"},
		"the last of a pipe":    {"echo a | grep b\necho later", "", "the script exited with code 1"},
		"the last of a list":    {"true && false\necho later", "", "the script exited with code 1"},
		"in a loop":             {"for i in 1 2; do echo $i; test $i = 0; done\necho later", "1\n", "the script exited with code 1"},
		"a trap hears of it":    {"trap 'echo clean' EXIT\nfalse\necho later", "clean\n", "the script exited with code 1"},
		"a condition":           {"if echo a | grep -q b; then echo found; else echo none; fi", "none\n", ""},
		"a loop's condition":    {"i=0; while test $i -lt 2; do i=$((i+1)); done; echo $i", "2\n", ""},
		"an or":                 {"false || echo other\necho later", "other\nlater\n", ""},
		"the front of an and":   {"false && echo both\necho later", "later\n", ""},
		"negated":               {"! false\n! true\necho later", "later\n", ""},
		"the front of a pipe":   {"false | cat\necho later", "later\n", ""},
		"set +e":                {"set +e\nfalse\necho later", "later\n", ""},
		"a shell of the script": {"sh -c 'false; echo inside'\necho later", "inside\nlater\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := script.Run(t.Context(), script.Job{Command: c.command, Dir: t.TempDir(), Output: &out})
			if text(err) != c.err || out.String() != c.output {
				t.Errorf("got %q, %v; want %q, %q", out.String(), err, c.output, c.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestRunErrorTypes(t *testing.T) {
	var exit *script.ExitError
	if err := script.Run(t.Context(), script.Job{Command: "exit 3"}); !errors.As(err, &exit) || exit.Code != 3 || exit.Signal != 0 {
		t.Errorf("got %#v", err)
	}
	if err := script.Run(t.Context(), script.Job{Command: "kill -9 $$"}); !errors.As(err, &exit) || exit.Code != 0 || exit.Signal != syscall.SIGKILL {
		t.Errorf("got %#v", err)
	}
	if err := script.Run(t.Context(), script.Job{Command: "true", Dir: "/no/such/folder"}); err == nil || !strings.Contains(err.Error(), "/no/such/folder") {
		t.Errorf("got %v", err)
	}
}

func TestRunEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "leak")
	t.Setenv("LD_LIBRARY_PATH", "leak")
	t.Setenv("HOME", "/leak")
	run := func(env map[string]string) string {
		var out bytes.Buffer
		// env -u: what the shell itself adds.
		if err := script.Run(t.Context(), script.Job{Command: "exec env -u PWD -u OLDPWD -u SHLVL -u _ env", Dir: "/", Env: env, Output: &out}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(slices.Sorted(strings.Lines(out.String())), "")
	}
	if got, want := run(nil), "HOME=/tmp\nLANG=C.UTF-8\nPATH=/usr/local/bin:/usr/bin:/bin:/opt/bin\nTMPDIR=/tmp\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	got := run(map[string]string{"HOME": "/home/app", "GREETING": "two words", "PATH": "/usr/bin:/bin"})
	if want := "GREETING=two words\nHOME=/home/app\nLANG=C.UTF-8\nPATH=/usr/bin:/bin\nTMPDIR=/tmp\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestRunLimit(t *testing.T) {
	noLeak(t)
	start := time.Now()
	var limit *script.LimitError
	err := script.Run(t.Context(), script.Job{Command: "sleep 60", Limit: 200 * time.Millisecond})
	if !errors.As(err, &limit) || text(err) != "the script ran over its limit of 0.2s" {
		t.Errorf("got %v", err)
	}
	if (&script.LimitError{Limit: script.DefaultLimit}).Error() != "the script ran over its limit of 600s" {
		t.Error("the default limit reads badly")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestRunCancel(t *testing.T) {
	noLeak(t)
	for name, command := range map[string]string{
		"plain":        "echo $$ > pid; sleep 60",
		"tree":         "sh -c 'sh -c \"echo \\$\\$ > pid; sleep 60\"; true'; true",
		"stubborn":     "trap '' TERM; echo $$ > pid; while :; do sleep 1; done",
		"stubborn kid": "sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done' & sleep 60",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			result := make(chan error, 1)
			go func() { result <- script.Run(ctx, script.Job{Command: command, Dir: dir, Output: io.Discard}) }()
			for range 6000 {
				if info, err := os.Stat(filepath.Join(dir, "pid")); err == nil && info.Size() > 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			start, cause := time.Now(), errors.New("somebody asked for it")
			cancel(cause)
			if err := <-result; !errors.Is(err, cause) {
				t.Errorf("got %v, want the cause", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			gone(t, filepath.Join(dir, "pid"))
		})
	}
}

func TestRunTermComesFirst(t *testing.T) {
	var out bytes.Buffer
	err := script.Run(t.Context(), script.Job{Command: "sh -c 'trap \"echo cleaning; exit 0\" TERM; sleep 60 & wait'; true", Output: &out, Limit: 2 * time.Second})
	if out.String() != "cleaning\n" || err == nil {
		t.Errorf("got %q, %v; want time to clean up, and an error all the same", out.String(), err)
	}
}

func TestRunCancelledBefore(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if err := script.Run(ctx, script.Job{Command: "touch ran", Dir: dir}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

func TestRunKillsWhatIsLeft(t *testing.T) {
	noLeak(t)
	for name, c := range map[string]struct {
		command string
		ok      bool
	}{
		"holding the output": {"(echo $$ >/dev/null; sh -c 'echo $$ > pid; sleep 60') & while ! [ -s pid ]; do :; done", true},
		"quiet":              {"sh -c 'echo $$ > pid; exec sleep 60' >/dev/null 2>&1 & while ! [ -s pid ]; do :; done", true},
		"after a failure":    {"sh -c 'echo $$ > pid; exec sleep 60' & while ! [ -s pid ]; do :; done; exit 1", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			start := time.Now()
			var out bytes.Buffer
			err := script.Run(t.Context(), script.Job{Command: c.command, Dir: dir, Output: &out})
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			gone(t, filepath.Join(dir, "pid"))
		})
	}
}

func TestRunFailingOutput(t *testing.T) {
	if err := script.Run(t.Context(), script.Job{Command: "head -c 1000000 /dev/zero", Output: broken{}, Limit: 10 * time.Second}); err != nil {
		t.Errorf("got %v; a script doesn't fail for its log", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
