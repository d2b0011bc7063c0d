// Package local is the local cloud: an emulator of AWS installed, started, fed with Slipway's stacks, and stopped.
//
// Nothing of it is known to the rest of the program. Functions and clients find the emulator as they would find any
// other endpoint of AWS: by AWS_ENDPOINT_URL.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Region is the one that a local cloud is in.
const Region = "us-east-1"

// DefaultPort is where AWS's emulators are looked for.
const DefaultPort = 4566

const (
	host        = "127.0.0.1" // the only interface that is ever bound
	stopTimeout = 10 * time.Second
	attempts    = 3 // at a port that somebody else may take between our look and the emulator's
)

// Files of the state folder in which MiniStack records what roles do, a line of JSON each.
const (
	CallsFile    = "calls.jsonl"    // each distinct call: who, action, resource, allowed
	RequestsFile = "requests.jsonl" // requests, some of each operation, for CheckRequests
)

// Options says which cloud to start.
type Options struct {
	Root   string               // the repository: tools go to Root/.slipway, builds come from Root/bin
	Engine Engine               // "": MiniStack
	Remote Site                 // where the engine Remote answers
	State  string               // folder of a cloud that outlives this process; "": a private one that ends with it
	Port   int                  // to bind if it is free, else any other; 0: any
	Log    string               // file for the emulator's output; "": ENGINE.log in its state folder
	Say    func(string, ...any) // told what takes long; nil: nobody

	// Through is where MiniStack's functions call AWS, in place of the cloud itself: a proxy of a test's.
	Through string
	// Calls has MiniStack record what roles do in the state folder's CallsFile and RequestsFile.
	Calls bool
	// StandIns has MiniStack judge a resource as another one: pairs of a regular expression in an ARN and its replacement. Tests
	// name by it what Slipway's policies name, where they make many functions of their own.
	StandIns [][2]string
	// Targets are functions that Slipway may deploy, besides the example app's.
	Targets []string
}

// Cloud is a running emulator.
type Cloud struct {
	Port   int
	State  string // its folder; a private cloud's goes with it
	Log    string // the file with the emulator's own output
	Kept   bool   // it was running before Start
	Engine Engine

	site    Site
	server  server
	root    string
	tools   Tools
	through string
	private bool
	say     func(string, ...any)

	calls    bool
	standIns [][2]string
	targets  []string

	run    record
	tether io.Closer     // the private emulator's standard input: it ends when this does
	exited chan struct{} // closed when our child has ended; nil where it isn't our child
}

// Start installs the tools where they are missing, starts an emulator and waits until it answers, at most two minutes. One
// that already runs and answers in Options.State is kept. When Start fails, or ctx ends meanwhile, nothing is left running.
// A cloud of the engine Remote isn't started, nor stopped: it only gets Slipway's stacks.
func Start(ctx context.Context, o Options) (*Cloud, error) {
	c, err := prepare(o)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(c.State, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if c.tools, err = install(ctx, o.Root, c.server.kits, o.Say); err != nil {
		return nil, errors.Join(err, c.discard())
	}
	if c.Engine == Remote || c.adopt(ctx) {
		return c, nil
	}
	if err := errors.Join(c.end(), c.clear()); err != nil { // what a crash, or a start that hangs, left here
		return nil, err
	}
	for range attempts {
		if err = c.launch(ctx, o.Port); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func prepare(o Options) (*Cloud, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	c := &Cloud{root: root, private: o.State == "", State: o.State, Log: o.Log, say: o.Say, site: o.Remote, through: o.Through,
		calls: o.Calls, standIns: o.StandIns, targets: o.Targets}
	if c.Engine, c.server, err = engineOf(o.Engine); err != nil {
		return nil, err
	}
	if c.private {
		c.State, err = os.MkdirTemp("", "slipway-cloud-")
	} else if c.State, err = filepath.Abs(o.State); err == nil {
		err = os.MkdirAll(c.State, 0o755)
	}
	if c.Log == "" {
		c.Log = filepath.Join(c.State, string(c.Engine)+".log")
	}
	if c.say == nil {
		c.say = func(string, ...any) {}
	}
	return c, err
}

// adopt takes over the emulator that the state folder tells of, if that one lives and answers.
func (c *Cloud) adopt(ctx context.Context) bool {
	run, err := readRecord(c.State)
	if err != nil || !run.alive() || run.SecretKey == "" {
		return false
	}
	c.run, c.Port = run, run.Port
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c.Kept = c.healthy(ctx) == nil
	return c.Kept
}

// launch makes one attempt at starting the emulator. It may leave a process behind, for Stop.
func (c *Cloud) launch(ctx context.Context, wanted int) error {
	port, err := freePort(wanted)
	if err != nil {
		return err
	}
	if c.Port = port; wanted != 0 && port != wanted {
		c.say("Port %d is taken; the local cloud uses %d.", wanted, port)
	}
	c.run = record{Port: port, AccessKey: "slipway" + strings.ToLower(rand.Text()), SecretKey: rand.Text() + rand.Text()}
	logFile, err := os.Create(c.Log)
	if err != nil {
		return err
	}
	defer logFile.Close()
	args := c.command()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.State, logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // so that all it starts can be found, and Ctrl-C is ours to handle
	if cmd.Env, err = c.serverEnv(); err != nil {
		return err
	}
	if c.private {
		if c.tether, err = cmd.StdinPipe(); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.server.title, err)
	}
	c.exited = make(chan struct{})
	go func() { _ = cmd.Wait(); close(c.exited) }()
	c.run.PID, c.run.Start = cmd.Process.Pid, started(cmd.Process.Pid)
	if err := c.run.write(c.State); err != nil {
		return err
	}
	return c.wait(ctx)
}

// wait polls the emulator until it answers; it gives up when the process ends, ctx does, or after the engine's limit.
func (c *Cloud) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.server.limit)
	defer cancel()
	for {
		err := c.healthy(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended instead of starting:\n%s", c.server.title, tail(c.Log, 12))
		case <-ctx.Done():
			return fmt.Errorf("%s didn't answer on port %d (%w); its log is %s: %w", c.server.title, c.Port, err, c.Log, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Cloud) healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Endpoint()+c.server.health, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("its health check answered %s", response.Status)
	}
	return nil
}

// Endpoint is the emulator's address, as AWS_ENDPOINT_URL wants it.
func (c *Cloud) Endpoint() string { return c.where().Endpoint }

func (c *Cloud) where() Site {
	if c.Engine == Remote {
		return c.site
	}
	return Site{Endpoint: fmt.Sprintf("http://%s:%d", host, c.Port), Region: Region, AccessKey: c.run.AccessKey, SecretKey: c.run.SecretKey}
}

// Env is what any AWS client needs in its environment to use this cloud, and nothing else.
func (c *Cloud) Env() []string {
	s := c.where()
	env := []string{"AWS_ENDPOINT_URL=" + s.Endpoint, "AWS_REGION=" + s.Region, "AWS_DEFAULT_REGION=" + s.Region, "AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey}
	if s.SessionToken != "" {
		env = append(env, "AWS_SESSION_TOKEN="+s.SessionToken)
	}
	return env
}

// Config is the same for the SDK in this process, whatever its environment says.
func (c *Cloud) Config() aws.Config {
	s := c.where()
	return aws.Config{Region: s.Region, BaseEndpoint: aws.String(s.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, s.SessionToken)}
}

// freePort gives wanted if nobody listens there, else a port of the system's choice.
func freePort(wanted int) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(wanted)))
	if err != nil && wanted != 0 {
		listener, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// tail gives a file's last lines.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), lines)
}

func lastLines(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
