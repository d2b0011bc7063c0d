package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Engine is what a local cloud runs on.
type Engine string

// The engines. Each answers as AWS does but for what it lacks: see internal/local/localtest.
const (
	MiniStack  Engine = "ministack"  // the default: quick to install and to start
	LocalStack Engine = "localstack" // the stricter judge: localstack-core without containers
	Remote     Engine = "endpoint"   // one that somebody else started and stops, at Options.Remote
)

// Site is where a cloud that somebody else started answers, and with which credentials.
type Site struct {
	Endpoint, Region, AccessKey, SecretKey, SessionToken string
}

// server says how an engine is installed, started and asked whether it is up.
type server struct {
	title  string
	kits   []kit
	health string        // path that answers 200 as soon as it is up
	limit  time.Duration // for the start
	script string        // below the scripts' folder; its kit's Python runs it
	env    func(c *Cloud) ([]string, error)
}

var servers = map[Engine]server{
	MiniStack: {
		title: "MiniStack", kits: []kit{ministackKit}, health: "/_ministack/health", limit: time.Minute,
		script: "serve.py", env: (*Cloud).ministackEnv,
	},
	LocalStack: {
		title: "LocalStack", kits: []kit{localstackKit}, health: "/_localstack/health", limit: 2 * time.Minute,
		script: "localstack/serve.py", env: (*Cloud).localstackEnv,
	},
	Remote: {title: "the endpoint"},
}

// engineOf gives the engine's server; none named is MiniStack.
func engineOf(e Engine) (Engine, server, error) {
	if e == "" {
		e = MiniStack
	}
	s, ok := servers[e]
	if !ok {
		return "", s, fmt.Errorf("engine %q: want %s, %s or %s", e, MiniStack, LocalStack, Remote)
	}
	return e, s, nil
}

// command starts the engine.
func (c *Cloud) command() []string {
	return []string{filepath.Join(c.server.kits[0].dir(c.tools.dir), "bin/python3"), filepath.Join(c.tools.dir, scripts, c.server.script)}
}

// serverEnv is all that the emulator knows of this process's environment. Functions inherit it: PATH so that scripts find
// their tools, AWS_ENDPOINT_URL so that no SDK in a function ever calls AWS itself.
func (c *Cloud) serverEnv() ([]string, error) {
	home, temp := filepath.Join(c.State, "home"), filepath.Join(c.State, "tmp")
	if err := errors.Join(os.MkdirAll(home, 0o755), os.MkdirAll(temp, 0o755)); err != nil {
		return nil, err
	}
	env := append(c.Env(), "PATH="+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+temp, "LANG=C.UTF-8", "PYTHONUNBUFFERED=1",
		"DOCKER_HOST=unix://"+filepath.Join(c.State, "no-docker"))
	if c.private {
		env = append(env, "SLIPWAY_TETHER="+c.State)
	}
	if c.through != "" {
		env = append(env, "AWS_ENDPOINT_URL="+c.through)
	}
	own, err := c.server.env(c)
	return append(env, own...), err
}

// ministackEnv switches the judgement of roles on. It lets MiniStack have as many threads as functions may hang: each keeps one until
// it times out, and when all of its 64 are kept, nothing is answered any more.
func (c *Cloud) ministackEnv() ([]string, error) {
	standIns, err := json.Marshal(c.standIns)
	if err != nil {
		return nil, err
	}
	env := []string{"AUTH=true", "MINISTACK_WORKER_THREADS=1000", "BIND_HOST=" + host, "GATEWAY_PORT=" + strconv.Itoa(c.Port),
		"MINISTACK_HOST=" + host, "MINISTACK_REGION=" + Region, "SFTP_ENABLED=0"}
	if len(c.standIns) > 0 {
		env = append(env, "SLIPWAY_STAND_INS="+string(standIns))
	}
	if c.calls {
		env = append(env, "SLIPWAY_CALLS="+filepath.Join(c.State, CallsFile), "SLIPWAY_REQUESTS="+filepath.Join(c.State, RequestsFile))
	}
	return env, nil
}

// localstackEnv keeps LocalStack's files in the state folder and the network out of its start. Environments of functions
// are kept as long as the cloud lives; so are its threads, of which it would make a thousand.
func (c *Cloud) localstackEnv() ([]string, error) {
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	address := host + ":" + strconv.Itoa(c.Port)
	return []string{"FILESYSTEM_ROOT=" + filepath.Join(c.State, "tmp"), "OVERRIDE_IN_DOCKER=0",
		"GATEWAY_LISTEN=" + address, "LOCALSTACK_HOST=" + address, "GATEWAY_WORKER_COUNT=200", "LAMBDA_KEEPALIVE_MS=3600000",
		"DISABLE_CORS_HEADERS=1", "DISABLE_EVENTS=1", "SKIP_SSL_CERT_DOWNLOAD=1", "DNS_ADDRESS=0",
		"PROVIDER_OVERRIDE_DYNAMODB=v2", "PROVIDER_OVERRIDE_DYNAMODBSTREAMS=v2", "DYNAMODB_IN_MEMORY=1",
		"SLIPWAY_JAVA=" + java, "SLIPWAY_JARS=" + filepath.Join(localstackKit.dir(c.tools.dir), "jars")}, nil
}
