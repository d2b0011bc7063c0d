package source

import (
	"context"
	"strings"
)

// RootFiles lists what lies in the root of a commit, by names.
func RootFiles(ctx context.Context, repo, commit string) ([]string, error) {
	g := git{ctx: ctx, dir: repo}
	out, err := g.run("ls-tree", "-z", "--name-only", "--full-tree", commit)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), nil
}
