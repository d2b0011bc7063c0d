// Package openfeature_test asks the flags of a local cloud as applications do: by OpenFeature's own SDK and providers, by
// flagd's own sync, and by package flags. It is a module of its own, so that their dependencies are nobody else's.
package openfeature_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/local/localtest"
)

const root = "../.."

// name is the app's: none that somebody else's cloud has.
var name = localtest.Name("flags")

var app = "name: " + name + `
source: {type: bundle}
environments:
  production: {target: {type: script}, url: http://127.0.0.1:1}
  staging: {target: {type: script}, url: http://127.0.0.1:1}
`

// document has something of everything that clients must agree about.
const document = `{"metadata":{"flagSetId":"shop"},
"$evaluators":{"staff":{"ends_with":[{"var":"email"},"@shop.test"]}},
"flags":{
  "static":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","metadata":{"owner":"ann"}},
  "staff":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"$ref":"staff"},"on",null]}},
  "split":{"state":"ENABLED","variants":{"red":"red","blue":"blue"},"defaultVariant":"red","targeting":{"fractional":[["red",50],["blue",50]]}},
  "version":{"state":"ENABLED","variants":{"old":1,"new":2},"defaultVariant":"old","targeting":{"if":[{"sem_ver":[{"var":"version"},">=","2.0.0"]},"new","old"]}},
  "half":{"state":"ENABLED","variants":{"n":0.5},"defaultVariant":"n"},
  "thing":{"state":"ENABLED","variants":{"n":{"x":[1,"a"]}},"defaultVariant":"n"},
  "off":{"state":"DISABLED","variants":{"on":true,"off":false},"defaultVariant":"on"},
  "bucketed":{"state":"ENABLED","variants":{"a":"A","b":"B"},"defaultVariant":"a","targeting":{"fractional":[{"cat":[{"var":"$flagd.flagKey"},{"var":"company"}]},["a",30],["b",70]]}},
  "rollout":{"enabled":false,"rollout_percent":50,"users":["vip"]}
}}`

// cloud is what all tests share.
var cloud struct {
	env []string
	url string // the flags' URL
	key string // of shop's production
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Minute)
	defer stop()
	c, err := localtest.Start(ctx, root)
	if err != nil {
		return 0, err
	}
	defer c.Stop()
	out, err := c.Deploy(ctx)
	if err != nil {
		return 0, err
	}
	cloud.env, cloud.url = append(c.Environ(out), "PATH="+os.Getenv("PATH"), "HOME="+os.TempDir()), out.FlagsURL
	if _, err := slipway(app, "app", "apply", "-f", "-"); err != nil {
		return 0, err
	}
	if _, err := slipway(document, "flag", "import", "-f", "-", "--app", name, "--env", "production"); err != nil {
		return 0, err
	}
	k, err := newKey("production")
	if err != nil {
		return 0, err
	}
	cloud.key = k.Key
	return m.Run(), nil
}

// slipway runs the command-line client against the cloud's control API.
func slipway(input string, args ...string) ([]byte, error) {
	bin, err := filepath.Abs(filepath.Join(root, "bin", "slipway"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, args...)
	var errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = cloud.env, strings.NewReader(input), &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("slipway %s: %w: %s%s", strings.Join(args, " "), err, out, &errs)
	}
	return out, nil
}

// evaluationKey is a key as it is made.
type evaluationKey struct{ ID, Key string }

func newKey(environment string) (k evaluationKey, err error) {
	out, err := slipway("", "flag", "key", "create", "test", "--app", name, "--env", environment, "-o", "json")
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(out, &k)
}

// flag changes a flag by the client.
func flag(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := slipway("", append([]string{"flag", "--app", name, "--env", "production", "-o", "json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// within waits for what has to come about.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in a minute", what)
		}
	}
}
