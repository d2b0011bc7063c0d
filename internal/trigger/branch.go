package trigger

import (
	"strings"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// branchOf returns the name of a branch that a sender may have written as git's full ref.
func branchOf(name string) string { return strings.TrimPrefix(name, "refs/heads/") }

// checkBranch returns the error about the field branch where git can have no branch of that name.
func checkBranch(name string) error {
	shown := deploy.Cut(name, deploy.MaxBranch)
	switch {
	case name == "":
		return deploy.FieldErrorf("branch", "is missing; want a branch's name, like main")
	case deploy.CheckBranch(name) != nil:
		return deploy.CheckBranch(name)
	case strings.HasPrefix(name, "refs/tags/"):
		return deploy.FieldErrorf("branch", "%q is a tag; want a branch's name, like main", shown)
	case strings.HasPrefix(name, "refs/"), name == "HEAD", name == "@":
		return deploy.FieldErrorf("branch", "%q is no branch; want its name, like main or refs/heads/main", shown)
	}

	for _, each := range strings.Split(name, "/") {
		if each == "" || strings.HasPrefix(each, ".") || strings.HasSuffix(each, ".lock") {
			return deploy.FieldErrorf("branch", `%q can't be a branch's name: no part between slashes is empty, begins with "." or ends with ".lock"`, shown)
		}
	}
	if strings.ContainsAny(name, ` ~^:?*[\`) || strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.HasSuffix(name, ".") || strings.HasPrefix(name, "-") {
		return deploy.FieldErrorf("branch", `%q can't be a branch's name: want none of " ~^:?*[\", no "..", no "@{", no "-" in front and no "." at the end`, shown)
	}
	return nil
}
