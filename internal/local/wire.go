package local

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// CheckRequests checks recorded requests against AWS's own service models, which botocore brings with MiniStack. It returns a summary, or
// an error with a line for each fault.
func (c *Cloud) CheckRequests(ctx context.Context, file string) (summary string, err error) {
	python, script := filepath.Join(ministackKit.dir(c.tools.dir), "bin/python3"), filepath.Join(c.tools.dir, scripts, "wire.py")
	out, err := exec.CommandContext(ctx, python, script, file).CombinedOutput()
	text := strings.TrimSpace(string(out))
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("requests that AWS would refuse:\n%s", text)
	}
	return text, err
}

// RecordedRequests is the file of the requests that roles have made so far.
func (c *Cloud) RecordedRequests() string { return filepath.Join(c.State, RequestsFile) }
