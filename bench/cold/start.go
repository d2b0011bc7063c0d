package main

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	bootstrap = "bootstrap"
	patience  = 10 * time.Second // for one start
	warmUp    = 3                // starts that don't count: the page cache fills
)

// binary is one function and what was measured of it.
type binary struct {
	name, path    string
	bytes, zipped int64
	wall, cpu     []time.Duration
	first         []time.Duration // invocations
}

// unpack zips the program as Lambda gets it, takes both sizes, and writes it anew to dir, where it is run from. How a file
// was written makes up to a sixth of a start: pages that the linker wrote come into memory more slowly than a copy's.
func (b *binary) unpack(dir string) error {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return fmt.Errorf("%w (make functions builds it)", err)
	}
	var n counter
	w := zip.NewWriter(&n)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	entry, err := w.Create(bootstrap)
	if err != nil {
		return err
	}
	if _, err := entry.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	b.bytes, b.zipped = int64(len(program)), int64(n)
	b.path = filepath.Join(dir, strings.ReplaceAll(b.name, " ", "-"))
	return os.WriteFile(b.path, program, 0o755)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// measure starts every binary once a round, in random order, so that what else the machine does meets all of them.
func measure(bins []*binary, runs int) error {
	api, err := listen()
	if err != nil {
		return err
	}
	defer api.server.Close()
	for round := range warmUp + runs {
		for _, i := range rand.Perm(len(bins)) {
			b := bins[i]
			wall, cpu, err := api.start(b.path)
			if err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
			if round >= warmUp {
				b.wall, b.cpu = append(b.wall, wall), append(b.cpu, cpu)
			}
		}
	}
	return nil
}

// runtimeAPI is as much of Lambda's runtime API as a start needs: it hears the request for the first event, and never
// answers it.
type runtimeAPI struct {
	address string
	server  *http.Server
	asked   chan time.Time
}

func listen() (*runtimeAPI, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	api := &runtimeAPI{address: listener.Addr().String(), asked: make(chan time.Time, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(_ http.ResponseWriter, r *http.Request) {
		api.asked <- time.Now()
		<-r.Context().Done()
	})
	api.server = &http.Server{Handler: mux}
	go func() { _ = api.server.Serve(listener) }()
	return api, nil
}

// start runs a bootstrap until it asks for its first event, and ends it.
func (a *runtimeAPI) start(path string) (wall, cpu time.Duration, err error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stderr = a.environment(), os.Stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	select {
	case at := <-a.asked:
		wall = at.Sub(begin)
	case <-ctx.Done():
		err = errors.New("it never asked for an event")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed, as meant
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

// environment is what Lambda gives a function, with the variables that our stack sets.
func (a *runtimeAPI) environment() []string {
	return []string{
		"AWS_LAMBDA_RUNTIME_API=" + a.address, "_HANDLER=bootstrap", "LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime",
		"AWS_LAMBDA_FUNCTION_NAME=slipway", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023", "LANG=en_US.UTF-8", "TZ=:UTC",
		"PATH=/usr/local/bin:/usr/bin:/bin", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_SESSION_TOKEN=test",
		"SLIPWAY_DEPLOYMENTS_TABLE=deployments", "SLIPWAY_FLAGS_TABLE=flags", "SLIPWAY_BUCKET=bucket", "SLIPWAY_EVENT_BUS=slipway",
		"SLIPWAY_RUNNER=function", "SLIPWAY_GITHUB_URL=https://api.github.com", "SLIPWAY_WEBHOOK_SECRET=slipway-own/github-webhook",
		"SLIPWAY_BUILD_ROLE=builds", "SLIPWAY_BUILD_PROJECT=slipway", "SLIPWAY_JOB_ROLE=arn:aws:iam::000000000000:role/job",
		"SLIPWAY_LOG_GROUP=/slipway/deployments", "SLIPWAY_STATE_MACHINE_ARN=arn:aws:states:us-east-1:000000000000:stateMachine:slipway",
	}
}
