package source

import (
	"context"
	"slices"
	"strings"
)

// Branches returns the branches that have a commit at their tip, as far as the clone at or around the folder repo knows: local ones and
// those of remotes, by their names alone, in order. Where none has it at its tip, it returns those that contain it, and tip is
// false.
func Branches(ctx context.Context, repo, commit string) (names []string, tip bool, err error) {
	g := git{ctx: ctx, dir: repo}
	if names, err = g.branches("--points-at", commit); err != nil || len(names) > 0 {
		return names, err == nil, err
	}
	names, err = g.branches("--contains", commit)
	return names, false, err
}

// branches lists the names of local branches and of remotes' that fit a filter of git for-each-ref.
func (g git) branches(filter ...string) ([]string, error) {
	args := append([]string{"for-each-ref", "--format=%(refname)%00%(symref)"}, filter...)
	out, err := g.run(append(args, "refs/heads", "refs/remotes")...)
	if err != nil {
		return nil, err
	}

	var names []string
	for line := range strings.Lines(out) {
		ref, symbolic, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\x00")
		if name := g.branchOf(ref); name != "" && symbolic == "" { // refs/remotes/origin/HEAD only names another one
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// branchOf returns the branch's name in a full ref, local or a remote's; "" where it is neither.
func (g git) branchOf(ref string) string {
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return name
	}
	tracking, ok := strings.CutPrefix(ref, "refs/remotes/")
	if !ok {
		return ""
	}

	// A remote's name may hold slashes, so that the longest one that fits is it.
	name, longest := "", 0
	remotes, _ := g.run("remote")
	for remote := range strings.Lines(remotes) {
		remote = strings.TrimSuffix(remote, "\n")
		if rest, ok := strings.CutPrefix(tracking, remote+"/"); ok && len(remote) > longest && rest != "HEAD" {
			name, longest = rest, len(remote)
		}
	}
	return name
}
