package pipeline_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/slipway-cd/slipway/internal/boot"
	"github.com/slipway-cd/slipway/internal/boot/git"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/remote"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

// What a deployment passes whose commit is fetched, and one whose commit can't be.
var (
	wayFetched   = strings.Replace(wayUp, "Prepare", "Prepare Fetch Prepare", 1)
	wayUnfetched = "Prepare Fetch SettleFailure Outcome Failed"
)

// keep puts a secret where functions find it.
func keep(t *testing.T, name, value string) {
	t.Helper()
	_, err := secretsmanager.NewFromConfig(world.cloud.Config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("slipway-own/" + name), SecretString: &value})
	var exists *secrettypes.ResourceExistsException // as after a lost answer: AWS knows the request again by its token, local clouds don't
	if err != nil && !errors.As(err, &exists) {
		t.Fatal(err)
	}
}

// fetched gives an app a git repository behind a token, with one good commit on main, and that commit.
func (a *app) fetched(branches ...string) (*remotetest.Repository, string) {
	a.t.Helper()
	repo := remotetest.NewRepository(a.t)
	repo.Allow("uploadpack.allowReachableSHA1InWant")
	repo.Write("version", "one")
	repo.Write("slipway.yaml", config())
	sha := repo.Commit("one")
	repo.Push("main")
	keep(a.t, a.name+"/token", "t0ken")
	serve := remotetest.HTTPS
	if world.authority == "" {
		serve = remotetest.HTTP
	}
	a.Source = deploy.Source{Type: deploy.SourceGit, Token: "secretsmanager:token",
		URL: serve(a.t, repo.Root, remotetest.Token("x-access-token", "t0ken")) + "/shop.git"}
	s := a.Environments["production"]
	s.Branches = branches
	a.Environments["production"] = s
	a.apply()
	return repo, sha
}

func TestFetched(t *testing.T) {
	a := newApp(t)
	_, sha := a.fetched()
	r := a.deploy(sha)
	d := r.wants(deploy.Success)
	if got := r.states(); got != wayFetched {
		t.Errorf("states:\n%s, want\n%s", got, wayFetched)
	}
	a.serves("one")
	for _, name := range []string{"prepare", "fetch"} {
		if s := d.Stage(name); s == nil || s.Outcome != deploy.Passed || s.Attempt != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	head, err := world.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &world.out.Bucket, Key: &d.Source.Key})
	if err != nil || head.Metadata["sha256"] != d.Source.SHA256 {
		t.Errorf("%+v, %v; want %s", head, err, d.Source.SHA256)
	}
	again := a.deploy(sha)
	again.wants(deploy.Success)
	if got := again.states(); got != wayUp {
		t.Errorf("the same commit again:\n%s, want\n%s", got, wayUp)
	}
}

// TestFetchTwice: the function answers a second call from the record, and an execution that has lost the deployment not at all.
func TestFetchTwice(t *testing.T) {
	a := newApp(t)
	_, sha := a.fetched()
	id := deploy.NewID(time.Now(), []byte("fetch"))
	call := map[string]any{"execution": "arn:aws:states:us-east-1:000000000000:execution:slipway:" + id, "start_time": time.Now(),
		"state": map[string]any{"app": a.name, "environment": "production", "commit_sha": sha}}
	for range 2 {
		if _, failure := a.invoke("prepare", call); !strings.Contains(failure, "Unfetched") {
			t.Fatalf("prepare: %q, want Unfetched", failure)
		}
	}
	for range 2 {
		if st, failure := a.invoke("fetch", call); failure != "" || st["deployment"] != id {
			t.Fatalf("fetch: %v, %q", st, failure)
		}
	}
	d, err := world.store.Deployment(t.Context(), id)
	if s := d.Stage("fetch"); err != nil || s == nil || s.Attempt != 1 || d.Source == nil || !d.Stage("prepare").Open() {
		t.Errorf("%+v, %v", d, err)
	}
	call["execution"] = strings.Replace(call["execution"].(string), ":slipway:", ":other:", 1)
	if _, failure := a.invoke("fetch", call); !strings.Contains(failure, "Conflict") {
		t.Errorf("another execution: %q, want Conflict", failure)
	}
}

// TestFetchedBranch: where only main may be deployed, a commit of another branch is not, though its bundle is there and main was
// claimed.
func TestFetchedBranch(t *testing.T) {
	a := newApp(t)
	repo, sha := a.fetched("main")
	repo.Git("checkout", "--quiet", "-b", "side")
	repo.Write("version", "side")
	side := repo.Commit("side")
	repo.Push("side")
	r := a.start(map[string]any{"commit_sha": sha, "branch": "main"})
	r.wants(deploy.Success)
	if got := r.states(); got != wayFetched {
		t.Errorf("states:\n%s, want\n%s", got, wayFetched)
	}
	staging := a.Environments["production"]
	staging.Branches = nil
	a.Environments["staging"] = staging
	a.apply()
	a.start(map[string]any{"commit_sha": side, "branch": "main", "environment": "staging"}).wants(deploy.Success)
	d := a.start(map[string]any{"commit_sha": side, "branch": "main"}).wants(deploy.Failed)
	if d.ErrorKind != deploy.Invalid || !strings.HasPrefix(d.Error, "branch: commit "+side) {
		t.Errorf("%s: %s", d.ErrorKind, d.Error)
	}
	again := a.start(map[string]any{"commit_sha": sha, "branch": "main"})
	if d := again.wants(deploy.Success); again.states() != wayFetched || !strings.Contains(strings.Join(d.Logs, "\n"), "fetch passed: the bundle was there") {
		t.Errorf("again: %s\n%s", again.states(), strings.Join(d.Logs, "\n"))
	}
}

// brief is what a fetch keeps to whose end is waited for.
var brief = remote.Limits{Idle: 3 * time.Second, Pause: 10 * time.Millisecond, Bytes: 1 << 20}

const briefVariable = "SLIPWAY_TEST_FETCH_BRIEFLY"

// fetchBriefly is the function fetch, but for its limits. This program is it, where the local cloud runs it as briefly says.
func fetchBriefly() {
	e := boot.Load()
	e.Start("fetch", git.Fetch(e, brief))
}

// briefly makes a state machine of the app's own, whose Fetch keeps to brief.
func (a *app) briefly() string {
	a.t.Helper()
	program, err := os.Executable()
	if err != nil {
		a.t.Fatal(err)
	}
	return a.machine("fetch", fmt.Sprintf("#!/bin/sh\nexport %s=1 SLIPWAY_DEPLOYMENTS_TABLE='%s' SLIPWAY_BUCKET='%s' SSL_CERT_FILE='%s'\nexec '%s'\n",
		briefVariable, world.out.DeploymentsTable, world.out.Bucket, world.authority, program))
}

func TestUnfetched(t *testing.T) {
	t.Parallel()
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	for name, row := range map[string]struct {
		change func(a *app, repo *remotetest.Repository) (commit string)
		kind   deploy.Kind
		says   string
	}{
		"unknown commit": {func(*app, *remotetest.Repository) string { return strings.Repeat("a", 40) }, deploy.NotFound, "isn't in the repository; push it first"},
		"bad token": {func(a *app, _ *remotetest.Repository) string {
			keep(a.t, a.name+"/old", "0ld")
			a.Source.Token = "secretsmanager:old"
			return ""
		}, deploy.Invalid, "source.token: 127.0.0.1"},
		"no secret": {func(a *app, _ *remotetest.Repository) string {
			a.Source.Token += "/none"
			return ""
		}, deploy.NotFound, "source.token: look up: there is no secret slipway-own/"},
		"down": {func(a *app, _ *remotetest.Repository) string {
			a.Source.URL = fmt.Sprintf("http://%s/shop.git", down.Addr())
			return ""
		}, deploy.Internal, "can't be reached"},
		"silent": {func(a *app, _ *remotetest.Repository) string {
			a.Source.URL = "http://" + silent(a.t) + "/shop.git"
			return ""
		}, deploy.Internal, "nothing moved for 3s"},
		"too large": {func(_ *app, repo *remotetest.Repository) string {
			repo.Write("zeros", strings.Repeat("\x00", 1<<20+1))
			sha := repo.Commit("zeros")
			repo.Push("main")
			return sha
		}, deploy.TooLarge, "over 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.write("live", "zero")
			repo, sha := a.fetched()
			if changed := row.change(a, repo); changed != "" {
				sha = changed
			}
			a.apply()
			r := a.deployBy(a.briefly(), sha)
			d := r.wants(deploy.Failed)
			if d.ErrorKind != row.kind || !strings.Contains(d.Error, row.says) || strings.Contains(d.Error, "t0ken") || d.Changed != nil {
				t.Errorf("%s: %q; want %s with %q", d.ErrorKind, d.Error, row.kind, row.says)
			}
			if got := r.states(); got != wayUnfetched {
				t.Errorf("states:\n%s, want\n%s", got, wayUnfetched)
			}
			if out := r.ended(); deref(out.Error) != string(row.kind) || !strings.Contains(deref(out.Cause), d.Error) {
				t.Errorf("the execution tells %s: %s", deref(out.Error), deref(out.Cause))
			}
			a.serves("zero")
		})
	}
}

// silent listens and says nothing.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
