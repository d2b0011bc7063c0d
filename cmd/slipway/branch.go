package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

// chooseBranch finds the branch that a commit is deployed from: the one of --branch, else the one that --ref names, else the one
// that the CI system builds, else the one that HEAD is on, else the only one of this clone that the environment takes.
func (o *deployOptions) chooseBranch(ctx context.Context, c source.Commit, environment string, settings *deploy.Settings) (string, error) {
	if o.branch != "" {
		return strings.TrimPrefix(o.branch, "refs/heads/"), nil
	}
	built, variable := ciBranch(o.env, c.SHA)
	switch {
	case c.Branch != "" && o.ref != "HEAD" && o.ref != "@":
		return c.Branch, nil
	case built != "" && !settings.AllowsBranch(built):
		return "", fmt.Errorf("branch: %s says %q, and %s takes only %s", variable, built, environment, strings.Join(settings.Branches, " or "))
	case built != "":
		return built, nil
	case c.Branch != "":
		return c.Branch, nil
	}

	names, tip, err := source.Branches(ctx, o.dir, c.SHA)
	if err != nil {
		return "", err
	}
	allowed := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !settings.AllowsBranch(name) })
	switch {
	case len(allowed) == 1 && (tip || len(settings.Branches) > 0):
		return allowed[0], nil
	case len(settings.Branches) == 0:
		return "", nil // any will do, and which one it is nobody can tell
	}
	return "", noBranch(c, names, allowed, environment, settings)
}

// noBranch says why there is no branch to deploy from, and what to do.
func noBranch(c source.Commit, names, allowed []string, environment string, settings *deploy.Settings) error {
	commit, takes := deploy.ShortCommit(c.SHA), strings.Join(settings.Branches, " or ")
	switch {
	case len(allowed) > 1:
		return usageError{fmt.Errorf("branch: commit %s is on %s; say which one with --branch", commit, strings.Join(allowed, ", "))}
	case len(names) > 0:
		return usageError{fmt.Errorf("branch: commit %s is on %s, and %s takes only %s; want a commit of such a branch, or --branch where it is on one that this clone doesn't know",
			commit, strings.Join(names, ", "), environment, takes)}
	}
	return usageError{fmt.Errorf("branch: no branch is checked out, and none of this clone has commit %s; %s takes only %s. Say which one it is on with --branch, or fetch it: git fetch origin",
		commit, environment, takes)}
}
