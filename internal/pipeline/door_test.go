package pipeline_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

// TestBundleThatClimbsOut is refused in Prepare by the entry's name.
func TestBundleThatClimbsOut(t *testing.T) {
	for name, header := range map[string]tar.Header{
		"folder":    {Name: "../climbs", Typeflag: tar.TypeReg, Mode: 0o644},
		"root":      {Name: "/climbs", Typeflag: tar.TypeReg, Mode: 0o644},
		"hard link": {Name: "climbs", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			var buf bytes.Buffer
			zw := gzip.NewWriter(&buf)
			tw := tar.NewWriter(zw)
			if err := tw.WriteHeader(&header); err != nil {
				t.Fatal(err)
			}
			if err := tw.Close(); err != nil {
				t.Fatal(err)
			}
			if err := zw.Close(); err != nil {
				t.Fatal(err)
			}
			r := a.deploy(a.upload(buf.Bytes()))
			d := r.wants(deploy.Failed)
			if d.ErrorKind != deploy.Invalid || !strings.Contains(d.Error, "climbs") || r.states() != "Prepare SettleFailure Outcome Failed" {
				t.Errorf("%s %q by way of %s", d.ErrorKind, d.Error, r.states())
			}
		})
	}
}

// TestCLI runs the real command against the real API, behind its gateway, with real commits of a git repository.
func TestCLI(t *testing.T) {
	newApp(t)
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/cli",
		Condition: func(name string) (bool, error) { // what a script needs of the engine
			c, known := map[string]localtest.Case{"codebuild": localtest.CodeBuild, "caller": localtest.CallerName}[name]
			if !known {
				return false, fmt.Errorf("no condition is called %s", name)
			}
			why, lacks := localtest.Lacking(c)
			if lacks {
				t.Log(why)
			}
			return !lacks, nil
		},
		Setup: func(env *testscript.Env) error {
			for _, v := range world.cloud.Environ(world.out) {
				name, value, _ := strings.Cut(v, "=")
				env.Setenv(name, value)
			}
			a := makeApp(t) // the scripts run at once
			env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
			env.Setenv("APP", a.name+"-"+randomText())
			env.Setenv("SERVE", a.dir)
			env.Setenv("GIT", remotetest.HTTP(t, env.WorkDir, nil))
			env.Setenv("URL", a.Environments["production"].URL)
			return nil
		},
	})
}

// TestNobodyGetsIn asks the API without a signature.
func TestNobodyGetsIn(t *testing.T) {
	newApp(t)
	for _, path := range []string{"/v1/deployments", "/v1/apps", "/v1/apps/shop", "/v1/nothing"} {
		resp, err := http.Get(world.out.API + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s, want 403", path, resp.StatusCode, body)
		}
	}
}
