package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// EnvFile is where clients look for a local cloud, in its state folder.
const EnvFile = "local.env"

// WriteEnv writes the state folder's local.env: a shell that sources it, and bin/slipway without it, use this cloud. Only the user who
// started the cloud may read it.
func (c *Cloud) WriteEnv(o Outputs) (string, error) {
	path := filepath.Join(c.State, EnvFile)
	return path, writePrivate(path, []byte(exports(c.Environ(o))))
}

// writePrivate replaces a file in one step, with mode 600: a reader sees the old content or the new one.
func writePrivate(path string, text []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // with mode 600
	if err != nil {
		return err
	}
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temporary.Name()))
	}
	return err
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
