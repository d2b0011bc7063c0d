// Package contract_test has schemathesis try the API, as it runs in the local cloud and behind its gateway, against its
// OpenAPI document: requests made of the schemas, right ones and wrong ones, signed as any client's.
package contract_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/internal/local"
)

const root = "../../.."

func TestSchemathesis(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the local cloud; run without -short")
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	schemathesis, err := local.InstallTool(ctx, root, "schemathesis", t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := local.Start(ctx, local.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Stop() }) // after the script, which runs in parallel
	out, err := cloud.Deploy(ctx)
	if err != nil {
		t.Fatal(err)
	}
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(well.Close)
	paths := []string{filepath.Dir(schemathesis)}
	for _, path := range []string{"bin", "internal/api/openapi.json"} {
		path, err := filepath.Abs(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(env *testscript.Env) error {
		for _, v := range cloud.Environ(out) {
			name, value, _ := strings.Cut(v, "=")
			env.Setenv(name, value)
		}
		env.Setenv("PATH", paths[0]+":"+paths[1]+":"+env.Getenv("PATH"))
		env.Setenv("DOCUMENT", paths[2])
		env.Setenv("PYTHONPATH", ".") // of the hooks
		env.Setenv("URL", well.URL)
		return nil
	}})
}
