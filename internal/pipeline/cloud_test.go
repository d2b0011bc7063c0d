package pipeline_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
	"github.com/slipway-cd/slipway/internal/store"
	"github.com/slipway-cd/slipway/internal/store/storetest"
)

// world is the local cloud with the stack in it, one for the whole package: the real template, ASL and binaries.
var world struct {
	cloud *local.Cloud
	out   local.Outputs
	store *store.Store
	aside *store.Store // over a table of its own, which no function knows: no sweep looks after what is recorded there
	flags *store.Flags
	sfn   *sfn.Client
	s3    *s3.Client
	fn    *lambda.Client
	bus   *eventbridge.Client

	role   string            // of functions that tests make: it may do nothing but log
	faults *localtest.Faults // between the functions and the cloud

	authority string // file of the certificate that the function fetch trusts; "" where it trusts the world's
}

func TestMain(m *testing.M) {
	if os.Getenv(briefVariable) != "" {
		fetchBriefly() // and doesn't come back
	}
	if folder := os.Getenv(reachVariable); folder != "" {
		reachAsCommitter(folder)
		return
	}
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true // the server may close an idle connection just as a POST is written to it
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	world.faults = localtest.StartFaults()
	localtest.MainThrough(m, "../..", world.faults, makeWorld, checkCalls)
}

func makeWorld(ctx context.Context, cloud *local.Cloud) (undo func(), err error) {
	out, err := cloud.Deploy(ctx)
	if err != nil {
		return nil, err
	}
	cfg := cloud.Config()
	world.cloud, world.out = cloud, out
	world.store = store.New(dynamodb.NewFromConfig(cfg), out.DeploymentsTable)
	world.flags = store.NewFlags(dynamodb.NewFromConfig(cfg), out.FlagsTable)
	db, aside := dynamodb.NewFromConfig(cfg), localtest.Name("slipway-test")
	world.aside = store.New(db, aside)
	world.sfn, world.s3, world.fn = sfn.NewFromConfig(cfg), s3.NewFromConfig(cfg), lambda.NewFromConfig(cfg)
	world.bus = eventbridge.NewFromConfig(cfg)
	drop, err := storetest.CreateTable(ctx, db, aside)
	return func() { drop(); reopen() }, errors.Join(err, shut(ctx), trust(ctx), borrowRole(ctx))
}

// borrowRole finds the role of the example app, which the tests' own functions have too.
func borrowRole(ctx context.Context) error {
	shop, err := world.fn.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("slipway-shop")})
	if err == nil {
		world.role = *shop.Role
	}
	return err
}

// trust has the function fetch take the tests' git servers for real ones, whose certificate a known authority signed. Nothing is
// changed in a cloud that goes on without the tests.
func trust(ctx context.Context) error {
	if world.cloud.Engine == local.Remote {
		return nil
	}
	world.authority = filepath.Join(world.cloud.State, "authority.pem")
	if err := os.WriteFile(world.authority, remotetest.Authority(), 0o600); err != nil {
		return err
	}
	name := aws.String("slipway-fetch")
	got, err := world.fn.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: name})
	if err != nil {
		return err
	}
	variables := got.Environment.Variables
	variables["SSL_CERT_FILE"] = world.authority
	_, err = world.fn.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name,
		Environment: &lambdatypes.Environment{Variables: variables}})
	return err
}

// shut closes the second door's two leaves, for the tests to open one at a time.
func shut(ctx context.Context) error {
	for _, rule := range rules {
		if _, err := world.bus.DisableRule(ctx, &eventbridge.DisableRuleInput{Name: &rule}); err != nil {
			return err
		}
	}
	return nil
}

// reopen is for a cloud that is another's, and stays.
func reopen() {
	for _, rule := range rules {
		_, _ = world.bus.EnableRule(context.Background(), &eventbridge.EnableRuleInput{Name: &rule})
	}
}

// app is one app of a test: its own name, a folder that its scripts work in, and an HTTP server that tells what serves.
type app struct {
	t     *testing.T
	name  string
	dir   string       // scripts see it as $SERVE
	store *store.Store // where its deployments are
	deploy.App
}

// apps counts them; of is in their names, so that none meets one of an earlier run on a cloud that stays.
var (
	apps atomic.Int64
	of   = localtest.Name("app")
)

// newApp makes an app with a script target whose scripts write what serves into $SERVE/live.
func newApp(t *testing.T) *app {
	t.Helper()
	if !testing.Short() {
		t.Parallel()
	}
	return loneApp(t)
}

// loneApp is newApp for a test that runs beside no other.
func loneApp(t *testing.T) *app {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the local cloud; run without -short")
	}
	return makeApp(t)
}

// makeApp is newApp for a test that has called it already.
func makeApp(t *testing.T) *app {
	t.Helper()
	a := &app{t: t, name: fmt.Sprintf("%s-%d", of, apps.Add(1)), dir: t.TempDir(), store: world.store}
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(server.Close)
	settings := deploy.Settings{
		Target: deploy.Target{Type: deploy.TargetScript}, URL: server.URL, Variables: map[string]string{"SERVE": a.dir},
	}
	a.App = deploy.App{Name: a.name, Variables: map[string]string{"SERVE": a.dir}, Environments: map[string]deploy.Settings{"production": settings}}
	a.apply()
	t.Cleanup(func() {
		if t.Failed() {
			a.tell()
		}
	})
	return a
}

// tell shows what became of the app's deployments, for whoever reads why a test failed.
func (a *app) tell() {
	ctx := context.Background() // the test's own is over by now
	all, _, err := a.store.List(ctx, deploy.Query{App: a.name, Limit: deploy.MaxPage})
	if err != nil {
		a.t.Log(err)
	}
	for _, listed := range all {
		d, err := a.store.Deployment(ctx, listed.ID)
		if err != nil {
			a.t.Log(err)
			continue
		}
		a.t.Logf("%s of %.8s: %s: %s: %s\n%s", d.ID, d.CommitSHA, d.Status, d.ErrorKind, d.Error, strings.Join(d.Logs, "\n"))
		out, err := world.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &d.Execution})
		if err != nil {
			a.t.Log(err)
			continue
		}
		a.t.Logf("its execution: %s, %v to %v: %s: %s", out.Status, deref(out.StartDate), deref(out.StopDate), deref(out.Error), deref(out.Cause))
	}
}

// apply stores the app.
func (a *app) apply() {
	a.t.Helper()
	if err := a.Validate(); err != nil {
		a.t.Fatal(err)
	}
	if err := world.store.PutApp(a.t.Context(), &a.App); err != nil {
		a.t.Fatal(err)
	}
}

// serve answers with what is live; a live text that begins with "bad" answers 500, and everything does while it is sick. One that begins
// with a status, like "204-", answers with that.
func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	live := a.read("live")
	_ = os.WriteFile(filepath.Join(a.dir, "asked"), []byte(r.URL.Path), 0o600)
	if live == "" || strings.HasPrefix(live, "bad") || a.read("sick") == "yes" {
		w.WriteHeader(http.StatusInternalServerError)
	}
	text, _, named := strings.Cut(live, "-")
	if status, err := strconv.Atoi(text); named && err == nil {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}
	fmt.Fprint(w, live)
}

func (a *app) read(name string) string {
	text, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (a *app) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// config is a slipway.yaml with quick scripts; lines replace or add to them.
func config(lines ...string) string {
	base := map[string]string{
		"test": "echo tested", "build": "mkdir -p out && cp version out/version",
		"deploy":   `cp out/version "$SERVE/live"`,
		"rollback": `cp out/version "$SERVE/live" || rm -f "$SERVE/live"`,
	}
	var more []string
	for _, line := range lines {
		if name, command, ok := strings.Cut(line, "="); ok && !strings.ContainsAny(name, ": \n") {
			base[name] = command
			continue
		}
		more = append(more, line)
	}
	text := "artifacts: [out/version]\nhealth_check_timeout: 120\nscripts:\n"
	for _, name := range slices.Sorted(mapKeys(base)) {
		quoted, _ := json.Marshal(base[name])
		text += fmt.Sprintf("  %s: %s\n", name, quoted)
	}
	return text + strings.Join(more, "\n")
}

// hasty is config for a version that is known to be bad.
func hasty(lines ...string) string {
	return strings.Replace(config(lines...), "health_check_timeout: 120", "health_check_timeout: 3", 1)
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// commit uploads a commit with that version and slipway.yaml, and gives its id.
func (a *app) commit(version, yaml string) string {
	return a.bundle(map[string]string{"version": version, "slipway.yaml": yaml})
}

func (a *app) bundle(files map[string]string) string {
	a.t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for name, text := range files {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			a.t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		a.t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		a.t.Fatal(err)
	}
	return a.upload(buf.Bytes())
}

func (a *app) upload(bundle []byte) string {
	a.t.Helper()
	var id [20]byte
	if _, err := rand.Read(id[:]); err != nil {
		a.t.Fatal(err)
	}
	sha, sum := hex.EncodeToString(id[:]), sha256.Sum256(bundle)
	_, err := world.s3.PutObject(a.t.Context(), &s3.PutObjectInput{
		Bucket: &world.out.Bucket, Key: aws.String("sources/" + a.name + "/" + sha + ".tar.gz"),
		Body: bytes.NewReader(bundle), Metadata: map[string]string{"sha256": hex.EncodeToString(sum[:])},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return sha
}

// run is one execution.
type run struct {
	a   *app
	id  string
	arn string
}

// start starts an execution as an operator does in the console, but with a name that is a deployment's id, so that the
// test knows it.
func (a *app) start(input map[string]any) *run {
	a.t.Helper()
	if input["app"] == nil {
		input["app"] = a.name
	}
	if input["environment"] == nil {
		input["environment"] = "production"
	}
	text, err := json.Marshal(input)
	if err != nil {
		a.t.Fatal(err)
	}
	var entropy [5]byte
	if _, err := rand.Read(entropy[:]); err != nil {
		a.t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // ids of one test sort as they were started
	return a.execute(deploy.NewID(time.Now(), entropy[:]), string(text))
}

func (a *app) execute(name, input string) *run {
	a.t.Helper()
	return a.executeOn(world.out.StateMachineARN, name, input)
}

func (a *app) executeOn(machine, name, input string) *run {
	a.t.Helper()
	out, err := world.sfn.StartExecution(a.t.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
	if err != nil {
		a.t.Fatal(err)
	}
	return &run{a: a, id: name, arn: *out.ExecutionArn}
}

func (a *app) deploy(sha string) *run { return a.start(map[string]any{"commit_sha": sha}) }

// ended waits for the execution's end.
func (r *run) ended() *sfn.DescribeExecutionOutput {
	r.a.t.Helper()
	return waitFor(r.a.t, r.id+" to end", func() (*sfn.DescribeExecutionOutput, bool) {
		out, err := world.sfn.DescribeExecution(r.a.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &r.arn})
		if err != nil {
			r.a.t.Fatal(err)
		}
		return out, out.Status != types.ExecutionStatusRunning
	})
}

func (r *run) record() *deploy.Deployment {
	r.a.t.Helper()
	d, err := world.store.Deployment(r.a.t.Context(), r.id)
	if err != nil {
		r.a.t.Fatal(err)
	}
	return d
}

func waitFor[T any](t *testing.T, what string, look func() (T, bool)) T {
	t.Helper()
	var last T
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		v, ok := look()
		if ok {
			return v
		}
		last = v
	}
	text, _ := json.Marshal(last)
	t.Fatalf("waited in vain for %s; last: %s", what, text)
	panic("unreachable")
}

// wants checks the deployment's end: its status, that the execution tells the same, and that the environment is whole.
func (r *run) wants(status deploy.Status) *deploy.Deployment {
	r.a.t.Helper()
	out := r.ended()
	d := r.record()
	if d.Status != status {
		r.a.t.Errorf("%s is %s, want %s; error %q, timeline:\n%s", r.id, d.Status, status, d.Error, strings.Join(d.Logs, "\n"))
	}
	if told := out.Status == types.ExecutionStatusSucceeded; told != (d.Status == deploy.Success || d.Status == deploy.RolledBack && d.ErrorKind == "") {
		r.a.t.Errorf("the execution is %s (%s), the deployment %s", out.Status, aws.ToString(out.Cause), d.Status)
	}
	if d.EndTime == nil {
		r.a.t.Errorf("%s has no end time", r.id)
	}
	h := r.a.head(d.Environment)
	if h.Holder != nil && h.Holder.Deployment == d.ID && !d.Dirty {
		r.a.t.Errorf("%s ended and still holds %s", r.id, d.Environment)
	}
	return d
}

func (a *app) head(environment string) *deploy.Head {
	a.t.Helper()
	h, err := a.store.Head(a.t.Context(), a.name, environment)
	if err != nil {
		a.t.Fatal(err)
	}
	return h
}

// states lists the states that the execution entered.
func (r *run) states() string {
	r.a.t.Helper()
	var names []string
	pages := sfn.NewGetExecutionHistoryPaginator(world.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: &r.arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(r.a.t.Context())
		if err != nil {
			r.a.t.Fatal(err)
		}
		for _, e := range page.Events {
			if e.StateEnteredEventDetails != nil {
				names = append(names, *e.StateEnteredEventDetails.Name)
			}
		}
	}
	return strings.Join(names, " ")
}

func (a *app) serves(want string) {
	a.t.Helper()
	if got := a.read("live"); got != want {
		a.t.Errorf("%s serves %q, want %q", a.name, got, want)
	}
}

func randomText() string { return strings.ToLower(rand.Text()[:8]) }

func deref[T any](v *T) (to T) {
	if v != nil {
		to = *v
	}
	return to
}
