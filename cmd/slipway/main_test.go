package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/internal/api/apitest"
)

var update = flag.Bool("update", false, "write the scripts' outputs anew")

// TestMain makes the test's own binary serve as slipway in the scripts, with a clock that stands still and little patience.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": func() {
		p := newProgram(5 * time.Millisecond)
		p.now = func() time.Time { return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) }
		p.terminal = os.Getenv("TEST_TERMINAL") != ""
		os.Exit(p.run(context.Background(), os.Args[1:]))
	}})
}

// site is a cloud's address: the API under a stage, and the bucket beside it.
type site struct {
	*apitest.Cloud
	*httptest.Server
	api    http.Handler
	hook   func(r *http.Request) // sees each request first
	allow  []string              // routes that the caller may use, "GET /v1/apps/shop/*"; none: all
	bucket map[string]http.Header
	shut   bool // nobody may upload
}

const stage = "/live"

func newSite(t testing.TB) *site {
	s := &site{Cloud: apitest.New(), bucket: map[string]http.Header{}, hook: func(*http.Request) {}}
	s.api = http.StripPrefix(stage, apitest.Checked(t, s.Control(slog.New(slog.DiscardHandler)).Handler()))
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler as API Gateway and S3 would: nothing passes without a signature.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.hook(r)
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, id, isID := strings.Cut(r.URL.Path, "/deployments/")
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case strings.HasPrefix(r.URL.Path, "/"+apitest.Bucket+"/"):
		s.putObject(w, r)
	case !signed(r, body):
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message":"The request signature we calculated does not match"}`)
	case !s.allows(r):
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"type":"urn:slipway:problem:forbidden","title":"Forbidden","status":403,"detail":"User: eve is not authorized to perform: execute-api:Invoke because no identity-based policy allows it"}`)
	default:
		if r.Method == http.MethodGet && isID && !strings.Contains(id, "/") {
			s.Step(id)
		}
		s.api.ServeHTTP(w, r)
	}
}

// allows reports whether the caller may use a route, as IAM would judge it.
func (s *site) allows(r *http.Request) bool {
	route := r.Method + " " + strings.TrimPrefix(r.URL.Path, stage)
	return len(s.allow) == 0 || slices.ContainsFunc(s.allow, func(pattern string) bool {
		prefix, any := strings.CutSuffix(pattern, "*")
		return route == pattern || any && strings.HasPrefix(route, prefix)
	})
}

// putObject keeps a bundle, once.
func (s *site) putObject(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/"+apitest.Bucket+"/")
	if s.shut {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>User: eve is not authorized to perform: s3:PutObject</Message></Error>`)
		return
	}
	if r.Header.Get("If-None-Match") != "*" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>the bucket's policy takes only what overwrites nothing</Message></Error>`)
		return
	}
	if _, taken := s.bucket[key]; taken {
		w.WriteHeader(http.StatusPreconditionFailed)
		fmt.Fprint(w, `<Error><Code>PreconditionFailed</Code><Message>it is there</Message></Error>`)
		return
	}
	s.bucket[key] = r.Header
	part := strings.Split(strings.TrimSuffix(key, ".tar.gz"), "/") // sources/<app>/<commit>
	s.UploadAs(part[1], part[2], r.Header.Get("X-Amz-Meta-Sha256"))
}

// signed signs the request once more, as the caller would have, and compares.
func signed(r *http.Request, body []byte) bool {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return false
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.RequestURI, bytes.NewReader(body))
	if err != nil {
		return false
	}
	for _, name := range []string{"Content-Type", "If-Match", "If-None-Match", "X-Slipway-Reason", "Idempotency-Key"} {
		if value := r.Header.Get(name); value != "" {
			again.Header.Set(name, value)
		}
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "test", SecretAccessKey: "secret"}, again,
		hex.EncodeToString(sum[:]), "execute-api", "us-east-1", at)
	return err == nil && again.Header.Get("Authorization") == r.Header.Get("Authorization")
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			s := newSite(e.T().(testing.TB))
			e.Values["site"] = s
			e.Vars = append(e.Vars, "SLIPWAY_API="+s.URL+stage, "AWS_ENDPOINT_URL="+s.URL, "AWS_REGION=us-east-1",
				"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true",
				"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
				"GIT_AUTHOR_NAME=eve", "GIT_AUTHOR_EMAIL=eve@shop.test", "GIT_COMMITTER_NAME=eve", "GIT_COMMITTER_EMAIL=eve@shop.test",
				"GIT_AUTHOR_DATE=2026-11-23T08:00:00Z", "GIT_COMMITTER_DATE=2026-11-23T08:00:00Z")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"cloud": cloudCommand},
	})
}

// cloudCommand is what scripts do to the cloud: "cloud plan OUTCOME…", "cloud local DIR" writes its local.env, "cloud
// bucket" lists the bundles.
func cloudCommand(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("site").(*site)
	switch args[0] {
	case "plan":
		s.Plan(args[1:]...)
	case "allow": // only these routes from now on; none: all
		s.allow = args[1:]
	case "print": // what a script prints, with Go's escapes
		text, err := strconv.Unquote(`"` + args[2] + `"`)
		ts.Check(err)
		s.Print(args[1], text)
	case "local":
		text := fmt.Sprintf("# a local cloud\nexport AWS_ENDPOINT_URL=%s\nexport AWS_REGION='us-east-1'\nexport AWS_ACCESS_KEY_ID=test\n"+
			"export AWS_SECRET_ACCESS_KEY=\"secret\"\nexport SLIPWAY_API=%s\n", s.URL, s.URL+stage)
		path := ts.MkAbs(filepath.Join(args[1], localEnv))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	case "shut": // nobody may upload from now on
		s.shut = true
	case "bucket":
		fmt.Fprintln(ts.Stdout(), len(s.bucket), "objects")
		for key, header := range s.bucket {
			fmt.Fprintln(ts.Stdout(), key, len(header.Get("X-Amz-Meta-Sha256")))
		}
	case "bundles": // others with another SHA-256 are there instead, or again those that were uploaded
		for key, header := range s.bucket {
			part, sum := strings.Split(strings.TrimSuffix(key, ".tar.gz"), "/"), header.Get("X-Amz-Meta-Sha256")
			if len(args) > 1 {
				sum = strings.Repeat(args[1], len(sum))
			}
			s.UploadAs(part[1], part[2], sum)
		}
	default:
		ts.Fatalf("cloud %s?", args[0])
	}
}

// outside runs slipway in this process against a site.
func outside(s *site, env map[string]string) (*program, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	vars := map[string]string{"SLIPWAY_API": s.URL + stage}
	for name, value := range env {
		vars[name] = value
	}
	return &program{in: strings.NewReader(""), out: &out, err: &err, env: func(name string) string { return vars[name] },
		dir: os.TempDir(), now: time.Now, poll: time.Millisecond}, &out, &err
}
