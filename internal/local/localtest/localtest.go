// Package localtest starts the cloud that tests run on, and knows which cases an engine can't judge.
package localtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/local"
)

// Variables choose what tests run on. With none of them it is a MiniStack of their own.
const (
	EngineVariable   = "SLIPWAY_TEST_ENGINE"   // ministack, localstack, or endpoint: one that runs at AWS_ENDPOINT_URL
	AnywhereVariable = "SLIPWAY_TEST_ANYWHERE" // "1": that one may be elsewhere than on this machine
)

// Engine is what this run's tests run on.
func Engine() local.Engine {
	if named := os.Getenv(EngineVariable); named != "" {
		return local.Engine(named)
	}
	return local.MiniStack
}

// Name is one that no other run has given: what tests make in a cloud must not meet what others made there.
func Name(kind string) string { return kind + "-" + strings.ToLower(rand.Text()[:8]) }

// Main runs a package's tests on one cloud that all share, once prepare has put into it what they need. What prepare gives back, if it
// does, is called when they have run. The checks come after the tests, and their errors fail the run.
func Main(m *testing.M, root string, prepare func(ctx context.Context, c *local.Cloud) (undo func(), err error), checks ...func() error) {
	MainThrough(m, root, nil, prepare, checks...)
}

// MainThrough is Main for tests whose functions call AWS through a proxy.
func MainThrough(m *testing.M, root string, proxy *Faults, prepare func(ctx context.Context, c *local.Cloud) (undo func(), err error), checks ...func() error) {
	code, err := run(m, root, proxy, prepare, checks)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the local cloud:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, root string, proxy *Faults, prepare func(context.Context, *local.Cloud) (func(), error), checks []func() error) (int, error) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Minute) // LocalStack's first start compiles it
	defer stop()
	cloud, err := start(ctx, root, proxy)
	if err != nil {
		return 0, err
	}
	defer cloud.Stop() //nolint:errcheck // the tests' verdict counts
	undo, err := prepare(ctx, cloud)
	if undo != nil {
		defer undo()
	}
	if err != nil {
		return 0, err
	}

	code := m.Run()
	for _, check := range checks {
		err = errors.Join(err, check())
	}
	return code, err
}

// Start starts a private cloud of the engine that the environment names, or takes the one that runs there.
func Start(ctx context.Context, root string) (*local.Cloud, error) { return start(ctx, root, nil) }

func start(ctx context.Context, root string, proxy *Faults) (*local.Cloud, error) {
	o := local.Options{Root: root, Engine: Engine(), Log: os.Getenv("SLIPWAY_TEST_LOG"), Calls: true, StandIns: standIns}
	if o.Engine == local.Remote {
		var err error
		if o.Remote, err = site(); err != nil {
			return nil, err
		}
	}
	if proxy == nil || o.Engine != local.MiniStack {
		return local.Start(ctx, o)
	}

	o.Through = proxy.URL
	cloud, err := local.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return cloud, proxy.To(cloud.Endpoint())
}

// site reads where somebody else's cloud is. The tests write into it, so it must be meant: named, and on this machine.
func site() (local.Site, error) {
	s := local.Site{Endpoint: os.Getenv("AWS_ENDPOINT_URL"), Region: os.Getenv("AWS_REGION"), AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": s.Endpoint, "AWS_REGION": s.Region,
		"AWS_ACCESS_KEY_ID": s.AccessKey, "AWS_SECRET_ACCESS_KEY": s.SecretKey} {
		if value == "" {
			return s, fmt.Errorf("%s=%s needs %s in the environment (`make up` writes .slipway/local.env)", EngineVariable, local.Remote, name)
		}
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Hostname() == "" {
		return s, fmt.Errorf("AWS_ENDPOINT_URL %q: want a URL, as http://127.0.0.1:4566", s.Endpoint)
	}
	ip := net.ParseIP(u.Hostname())
	if loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); !loopback && os.Getenv(AnywhereVariable) != "1" {
		return s, errors.New("AWS_ENDPOINT_URL " + s.Endpoint + " isn't on this machine; " + AnywhereVariable + "=1 runs the tests there all the same")
	}
	return s, nil
}
