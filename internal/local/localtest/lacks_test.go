package localtest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

var titles = map[local.Engine]string{local.MiniStack: "MiniStack", local.LocalStack: "LocalStack", local.Remote: "another endpoint"}

// TestManual holds the manual's table to the list.
func TestManual(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/emulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(manual), "<!-- begin lacks -->\n")
	table, _, ended := strings.Cut(table, "<!-- end lacks -->")
	if !found || !ended {
		t.Fatal("docs/emulator.md has no table of what tests are left out")
	}
	want := "| Case | Left out on | Because there |\n|---|---|---|\n"
	for _, lack := range localtest.Lacks {
		var engines []string
		for _, e := range lack.Engines {
			engines = append(engines, titles[e])
		}
		want += fmt.Sprintf("| %s | %s | %s |\n", lack.Case, strings.Join(engines, ", "), lack.Why)
	}
	if table != want {
		t.Errorf("docs/emulator.md says\n%s\nwant\n%s", table, want)
	}
}

// TestEndpointIsMeant refuses what isn't said, and what isn't here.
func TestEndpointIsMeant(t *testing.T) {
	t.Setenv(localtest.EngineVariable, string(local.Remote))
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "test")
	}
	for endpoint, want := range map[string]string{"": "needs AWS_ENDPOINT_URL", "https://dynamodb.example.com": "isn't on this machine", "127.0.0.1:4566": "want a URL"} {
		t.Setenv("AWS_ENDPOINT_URL", endpoint)
		if _, err := localtest.Start(t.Context(), "../../.."); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("AWS_ENDPOINT_URL=%q: %v; want %q", endpoint, err, want)
		}
	}
	t.Setenv(localtest.EngineVariable, "floci")
	if _, err := localtest.Start(t.Context(), "../../.."); err == nil || !strings.Contains(err.Error(), `"floci"`) {
		t.Errorf("an unknown engine: %v", err)
	}
}
