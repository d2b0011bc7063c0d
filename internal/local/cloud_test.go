package local_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/slipway-cd/slipway/internal/local"
)

const root = "../.."

func start(t *testing.T, o local.Options) *local.Cloud {
	t.Helper()
	o.Root = root
	cloud, err := local.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cloud
}

func answers(cloud *local.Cloud) bool {
	response, err := http.Get(cloud.Endpoint() + "/_ministack/health")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// serverPID reads the emulator's pid from its state folder.
func serverPID(t *testing.T, state string) int {
	t.Helper()
	var note struct{ PID int }
	text, err := os.ReadFile(filepath.Join(state, "ministack.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &note); err != nil {
		t.Fatal(err)
	}
	return note.PID
}

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func TestPrivateCloud(t *testing.T) {
	cloud := start(t, local.Options{})
	client := ssm.NewFromConfig(cloud.Config())
	_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("b"), Type: "String"})
	if err != nil {
		t.Fatal(err)
	}
	other := start(t, local.Options{})
	if other.Port == cloud.Port {
		t.Fatalf("two private clouds share port %d", cloud.Port)
	}
	if _, err := ssm.NewFromConfig(other.Config()).GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("a")}); err == nil {
		t.Error("two private clouds share their state")
	}
	if err := cloud.Stop(); err != nil {
		t.Fatal(err)
	}
	if answers(cloud) || !answers(other) {
		t.Error("Stop ended the wrong one")
	}
	if _, err := os.Stat(cloud.State); !os.IsNotExist(err) {
		t.Errorf("a private cloud left its folder %s", cloud.State)
	}
}

func TestBindsLoopbackOnly(t *testing.T) {
	cloud := start(t, local.Options{})
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range addresses {
		ip := each.(*net.IPNet).IP
		if ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), strconv.Itoa(cloud.Port)), time.Second); err == nil {
			_ = c.Close()
			t.Errorf("listens on %s", ip)
		}
	}
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	var said []string
	cloud := start(t, local.Options{Port: port, Say: func(format string, _ ...any) { said = append(said, format) }})
	if cloud.Port == port || !answers(cloud) {
		t.Errorf("port %d, want another than the taken one, and an answer there", cloud.Port)
	}
	if !strings.Contains(strings.Join(said, "\n"), "taken") {
		t.Errorf("said %q, want that the port is taken", said)
	}
}

func TestSecondStartKeepsTheFirst(t *testing.T) {
	state := t.TempDir()
	first := start(t, local.Options{State: state})
	second := start(t, local.Options{State: state})
	if first.Kept || !second.Kept || second.Port != first.Port {
		t.Errorf("first %+v, second %+v; want the first kept", first, second)
	}
}

func TestStopFromElsewhere(t *testing.T) {
	state := t.TempDir()
	cloud := start(t, local.Options{State: state})
	for _, want := range []bool{true, false} {
		was, err := local.Stop(state)
		if err != nil || was != want {
			t.Errorf("Stop: %v, %v; want %v", was, err, want)
		}
		if answers(cloud) {
			t.Error("it still answers")
		}
	}
}

func TestStartAndStopAfterACrash(t *testing.T) {
	state := t.TempDir()
	start(t, local.Options{State: state})
	crash(t, state)
	again := start(t, local.Options{State: state})
	if again.Kept || !answers(again) {
		t.Error("a crashed cloud was kept")
	}
	crash(t, state)
	if was, err := local.Stop(state); was || err != nil {
		t.Errorf("Stop after a crash: %v, %v", was, err)
	}
}

func crash(t *testing.T, state string) {
	t.Helper()
	server := serverPID(t, state)
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the emulator is gone", func() bool { return !running(server) })
}

// A hung emulator still holds its port and its pid, and is of no use.
func TestStartReplacesAHungOne(t *testing.T) {
	state := t.TempDir()
	start(t, local.Options{State: state})
	hung := serverPID(t, state)
	if err := syscall.Kill(hung, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	again := start(t, local.Options{State: state})
	if again.Kept || !answers(again) {
		t.Error("a hung cloud was kept")
	}
	eventually(t, "the hung one is gone", func() bool { return !running(hung) })
}

func TestStopSparesARecycledPID(t *testing.T) {
	state := t.TempDir()
	stranger := exec.Command("sleep", "60")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	note := `{"pid":` + strconv.Itoa(stranger.Process.Pid) + `,"start":"1","port":4566}`
	if err := os.WriteFile(filepath.Join(state, "ministack.pid"), []byte(note), 0o644); err != nil {
		t.Fatal(err)
	}
	was, err := local.Stop(state)
	if was || err != nil {
		t.Errorf("Stop: %v, %v; want false and no error", was, err)
	}
	if !running(stranger.Process.Pid) {
		t.Error("Stop killed a process that isn't ours")
	}
}

func TestStartThatIsInterruptedLeavesNothing(t *testing.T) {
	state := t.TempDir()
	if _, err := local.Install(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond) // it takes at least twice as long to answer
	defer cancel()
	if _, err := local.Start(ctx, local.Options{Root: root, State: state}); err == nil {
		t.Fatal("an interrupted start succeeded")
	}
	if out, _ := exec.Command("pgrep", "-f", state).Output(); len(out) > 0 {
		t.Errorf("still running: %s", out)
	}
	if _, err := os.Stat(filepath.Join(state, "ministack.pid")); !os.IsNotExist(err) {
		t.Error("its pid file is still there")
	}
}

func TestStartThatFailsSaysWhy(t *testing.T) {
	state := t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Options{Root: root, State: state, Log: filepath.Join(state, "no", "such", "folder")})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v, want the reason", err)
	}
}

// TestMain lets the test binary be the process that starts a private cloud and is killed: see TestKilledStarterLeavesNothing.
func TestMain(m *testing.M) {
	if os.Getenv("LOCAL_TEST_STARTER") == "" {
		os.Exit(m.Run())
	}
	cloud, err := local.Start(context.Background(), local.Options{Root: root})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(cloud.State + "\n")
	select {}
}

func TestKilledStarterLeavesNothing(t *testing.T) {
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), "LOCAL_TEST_STARTER=1")
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	state, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	state = strings.TrimSpace(state)
	server := serverPID(t, state)
	if !running(server) {
		t.Fatal("the emulator doesn't run")
	}
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait()
	eventually(t, "the emulator is gone", func() bool { return !running(server) })
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("it left its folder %s", state)
	}
}
