package pipeline_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local"
)

// bootstrap is testdata/app, built once.
var bootstrap = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "app-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "bootstrap"))
})

// pack makes the function's zip for a version.
func pack(t *testing.T, version string) []byte {
	t.Helper()
	program, err := bootstrap()
	if err != nil {
		t.Fatal(err)
	}
	return zipped(t, map[string][]byte{"bootstrap": program, "version": []byte(version)})
}

func zipped(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, text := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o755)
		w, err := zw.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// lambdaApp is an app whose target is a function of its own, behind a function URL on its alias.
type lambdaApp struct {
	*app
	function, url string
}

func newLambdaApp(t *testing.T) *lambdaApp {
	t.Helper()
	a := newApp(t)
	f := &lambdaApp{app: a, function: a.name}
	f.create()
	return f
}

// create makes the function, with a first version of no release, and its alias, and points the app to it.
func (f *lambdaApp) create() {
	f.t.Helper()
	t, ctx := f.t, f.t.Context()
	arch := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		arch = types.ArchitectureArm64
	}
	made, err := world.fn.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &f.function, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Architectures: []types.Architecture{arch},
		Role: &world.role, Code: &types.FunctionCode{ZipFile: pack(t, "placeholder")}, Publish: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	version := &lambda.GetFunctionInput{FunctionName: &f.function, Qualifier: made.Version}
	if err := lambda.NewFunctionActiveV2Waiter(world.fn).Wait(ctx, version, time.Minute); err != nil {
		t.Fatal(err)
	}
	f.alias(*made.Version)
	url, err := world.fn.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{
		FunctionName: &f.function, Qualifier: aws.String("live"), AuthType: types.FunctionUrlAuthTypeNone,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.url = strings.TrimSuffix(local.LocalURL(world.cloud.Endpoint(), *url.FunctionUrl), "/")
	settings := f.Environments["production"]
	settings.Target = deploy.Target{Type: deploy.TargetLambda, Function: f.function}
	settings.URL = f.url
	f.Environments["production"] = settings
	f.apply()
}

// alias makes the alias that the app is served by.
func (f *lambdaApp) alias(version string) {
	f.t.Helper()
	_, err := world.fn.CreateAlias(f.t.Context(), &lambda.CreateAliasInput{FunctionName: &f.function, Name: aws.String("live"), FunctionVersion: &version})
	var exists *types.ResourceConflictException // the SDK asked again, because the first answer was lost
	if err != nil && !errors.As(err, &exists) {
		f.t.Fatal(err)
	}
}

// version commits a version whose build hands over a ready zip.
func (f *lambdaApp) version(version string) string {
	f.t.Helper()
	return f.versionWith(version, "")
}

// versionWith is version with more lines behind the scripts of slipway.yaml.
func (f *lambdaApp) versionWith(version, more string) string {
	f.t.Helper()
	f.write(version+".zip", string(pack(f.t, version)))
	seconds := 120
	if version == "bad" { // which no patience makes good
		seconds = 3
	}
	yaml := "artifacts: [out/app.zip]\nhealth_check_timeout: " + strconv.Itoa(seconds) + "\nscripts:\n  test: 'true'\n  build: mkdir out && cp \"$SERVE/" + version + ".zip\" out/app.zip\n" + more + "\n"
	return f.commit(version, yaml)
}

// answers asks the app over HTTP.
func (f *lambdaApp) answers(want string) {
	f.t.Helper()
	resp, err := http.Get(f.url + "/")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
		f.t.Errorf("the app answers %q, %v; want %q", body, err, want)
	}
}

func TestLambdaTarget(t *testing.T) {
	f := newLambdaApp(t)
	f.answers("placeholder")
	one := f.deploy(f.version("one")).wants(deploy.Success)
	f.answers("one")
	two := f.deploy(f.version("two")).wants(deploy.Success)
	f.answers("two")
	if two.Previous.TargetVersion != one.Release.TargetVersion || two.Release.TargetVersion == one.Release.TargetVersion {
		t.Errorf("versions: one %s, two %s over %s", one.Release.TargetVersion, two.Release.TargetVersion, two.Previous.TargetVersion)
	}
	bad := f.deploy(f.version("bad")).wants(deploy.RolledBack)
	f.answers("two")
	if n := len(bad.Checks); n < 2 || bad.Checks[0].Status != 500 || !bad.Checks[n-1].Healthy {
		t.Errorf("checks: %+v", bad.Checks)
	}
	f.start(map[string]any{"action": "rollback"}).wants(deploy.Success)
	f.answers("one")
	f.start(map[string]any{"action": "rollback", "to": two.ID}).wants(deploy.Success)
	f.answers("two")
}

func TestLambdaFirstDeploymentBad(t *testing.T) {
	f := newLambdaApp(t)
	d := f.deploy(f.version("bad")).wants(deploy.Failed)
	f.answers("placeholder")
	if d.Dirty || !strings.Contains(strings.Join(d.Logs, "\n"), "which is no release of this environment") {
		t.Errorf("dirty %v, timeline:\n%s", d.Dirty, strings.Join(d.Logs, "\n"))
	}
}

func TestLambdaFunctionMissing(t *testing.T) {
	f := newLambdaApp(t)
	settings := f.Environments["production"]
	settings.Target.Function = f.function + "-missing"
	f.Environments["production"] = settings
	f.apply()
	d := f.deploy(f.version("one")).wants(deploy.Failed)
	if !strings.Contains(d.Error, "target.function") || !strings.Contains(d.Error, fmt.Sprintf("no Lambda function %q", f.function+"-missing")) || d.Changed != nil {
		t.Errorf("error %q, changed %v", d.Error, d.Changed)
	}
}
