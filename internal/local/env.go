package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// EnvFile is where clients look for a local cloud, in its state folder.
const EnvFile = "local.env"

// WriteEnv writes the state folder's local.env: a shell that sources it, and bin/slipway without it, use this cloud.
func (c *Cloud) WriteEnv(o Outputs) (string, error) {
	path := filepath.Join(c.State, EnvFile)
	temporary := path + ".new" // so that nobody reads half a file
	if err := os.WriteFile(temporary, []byte(exports(c.Environ(o))), 0o644); err != nil {
		return "", err
	}
	return path, os.Rename(temporary, path)
}

// Environ is local.env's content for a child process, as os/exec wants it.
func (c *Cloud) Environ(o Outputs) []string { return append(c.Env(), o.environ()...) }

func (o Outputs) environ() []string {
	return []string{"SLIPWAY_API=" + o.API, "SLIPWAY_STATE_MACHINE_ARN=" + o.StateMachineARN,
		"SLIPWAY_DEPLOYMENTS_TABLE=" + o.DeploymentsTable, "SLIPWAY_FLAGS_TABLE=" + o.FlagsTable, "SLIPWAY_FLAGS_URL=" + o.FlagsURL,
		"SLIPWAY_BUCKET=" + o.Bucket, "SLIPWAY_EVENT_BUS=" + o.EventBus}
}

// exports makes lines for a POSIX shell. Values are quoted only where they must be, so that simpler readers manage too.
func exports(env []string) string {
	var text strings.Builder
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		if strings.ContainsAny(value, " \t\n\"'\\$`&;|<>()*?[]#~!{}") {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		fmt.Fprintf(&text, "export %s=%s\n", name, value)
	}
	return text.String()
}
