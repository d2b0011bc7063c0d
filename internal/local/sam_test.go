//go:build sam

package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/local"
)

// sam is the SAM CLI with the repository's samconfig.toml, on one cloud.
type sam struct {
	command string
	env     []string
}

// run gives what a command printed, on both streams where it fails.
func (s sam) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, s.command, args...)
	var out, problem bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = root, s.env, &out, &problem
	if err := cmd.Run(); err != nil {
		t.Fatalf("sam %s: %v\n%s%s", strings.Join(args, " "), err, out.Bytes(), problem.Bytes())
	}
	return out.String()
}

// TestSAM is what docs/sam.md says of a machine without Docker.
func TestSAM(t *testing.T) {
	command, err := local.InstallTool(t.Context(), root, "sam", t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	cloud := start(t, local.Options{})
	out, err := cloud.Deploy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := sam{command, append(cloud.Environ(out), "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(),
		"LANG=C.UTF-8", "SAM_CLI_TELEMETRY=0", "NO_COLOR=1")}

	t.Run("list resources", func(t *testing.T) {
		var listed []struct{ LogicalResourceId, PhysicalResourceId string }
		if err := json.Unmarshal([]byte(s.run(t, "list", "resources")), &listed); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, r := range listed {
			found[r.LogicalResourceId] = r.PhysicalResourceId
		}
		if found["SettleFunction"] != "slipway-settle" || found["StateMachine"] != out.StateMachineARN {
			t.Errorf("%d resources; SettleFunction is %q, StateMachine %q", len(listed), found["SettleFunction"], found["StateMachine"])
		}
	})
	t.Run("list stack-outputs", func(t *testing.T) {
		if listed := s.run(t, "list", "stack-outputs"); !strings.Contains(listed, out.DeploymentsTable) || !strings.Contains(listed, out.Bucket) {
			t.Errorf("the stack's outputs: %s", listed)
		}
	})
	t.Run("remote invoke a function", func(t *testing.T) {
		event := `{"httpMethod":"GET","path":"/v1/apps","headers":{},"requestContext":{"accountId":"000000000000","requestId":"sam"}}`
		var answer struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		said := s.run(t, "remote", "invoke", "ApiFunction", "--event", event)
		if err := json.Unmarshal([]byte(said), &answer); err != nil || answer.StatusCode != 200 || !strings.Contains(answer.Body, `"apps":[]`) {
			t.Errorf("GET /v1/apps: %s, %v", said, err)
		}
	})
	t.Run("remote invoke the state machine", func(t *testing.T) {
		said := s.run(t, "remote", "invoke", "StateMachine", "--event", `{"action":"rollback","app":"nobodys","environment":"production"}`)
		var ended struct{ Error, Cause string }
		if err := json.Unmarshal([]byte(said), &ended); err != nil || ended.Error != "NotFound" || !strings.Contains(ended.Cause, `"nobodys"`) {
			t.Errorf("the execution ended with %s, %v", said, err)
		}
	})
	t.Run("logs", func(t *testing.T) {
		if said := s.run(t, "logs", "--name", "PrepareFunction"); !strings.Contains(said, "nobodys") {
			t.Errorf("Prepare's log: %s", said)
		}
	})
}
