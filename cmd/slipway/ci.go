package main

import "strings"

// ci is how a CI system tells what it builds: the commit, and the branch that it was pushed to.
type ci struct {
	name    string
	commit  []string          // variables, the first that is set
	branch  string            // variable
	refused map[string]string // variables that have another value than this where the build isn't a branch's own: a pull request's, a tag's
	wants   map[string]string // variables that begin so where it is
}

// ciSystems are read in this order. A pull request's branch is never taken: a fork may call its branch main, and several systems put
// the branch there that the request is to be merged into.
var ciSystems = []ci{
	{name: "GitHub Actions", commit: []string{"GITHUB_SHA"}, branch: "GITHUB_REF_NAME", wants: map[string]string{"GITHUB_REF": "refs/heads/", "GITHUB_REF_TYPE": "branch"}},
	{name: "GitLab CI", commit: []string{"CI_COMMIT_SHA"}, branch: "CI_COMMIT_BRANCH",
		refused: map[string]string{"CI_MERGE_REQUEST_IID": "", "CI_COMMIT_PULL_REQUEST": "", "CI_COMMIT_TAG": ""}},
	{name: "Buildkite", commit: []string{"BUILDKITE_COMMIT"}, branch: "BUILDKITE_BRANCH",
		refused: map[string]string{"BUILDKITE_PULL_REQUEST": "false", "BUILDKITE_TAG": ""}},
	{name: "CodeBuild", commit: []string{"CODEBUILD_RESOLVED_SOURCE_VERSION"}, branch: "CODEBUILD_WEBHOOK_HEAD_REF",
		wants: map[string]string{"CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/", "CODEBUILD_WEBHOOK_EVENT": "PUSH"}},
	{name: "Bitbucket Pipelines", commit: []string{"BITBUCKET_COMMIT"}, branch: "BITBUCKET_BRANCH",
		refused: map[string]string{"BITBUCKET_PR_ID": "", "BITBUCKET_TAG": ""}},
	{name: "CircleCI", commit: []string{"CIRCLE_SHA1"}, branch: "CIRCLE_BRANCH",
		refused: map[string]string{"CIRCLE_PR_NUMBER": "", "CIRCLE_TAG": ""}},
	{name: "Travis CI", commit: []string{"TRAVIS_COMMIT"}, branch: "TRAVIS_BRANCH",
		refused: map[string]string{"TRAVIS_PULL_REQUEST": "false", "TRAVIS_TAG": ""}},
	{name: "Azure Pipelines", commit: []string{"BUILD_SOURCEVERSION"}, branch: "BUILD_SOURCEBRANCH", wants: map[string]string{"BUILD_SOURCEBRANCH": "refs/heads/"}},
	{name: "Drone", commit: []string{"DRONE_COMMIT_SHA", "DRONE_COMMIT"}, branch: "DRONE_BRANCH",
		refused: map[string]string{"DRONE_PULL_REQUEST": "", "DRONE_TAG": ""}},
	{name: "AppVeyor", commit: []string{"APPVEYOR_REPO_COMMIT"}, branch: "APPVEYOR_REPO_BRANCH",
		refused: map[string]string{"APPVEYOR_PULL_REQUEST_NUMBER": "", "APPVEYOR_REPO_TAG": "false"}},
	{name: "Semaphore", commit: []string{"SEMAPHORE_GIT_SHA"}, branch: "SEMAPHORE_GIT_BRANCH", wants: map[string]string{"SEMAPHORE_GIT_REF_TYPE": "branch"}},
	{name: "Jenkins", commit: []string{"GIT_COMMIT"}, branch: "BRANCH_NAME", refused: map[string]string{"CHANGE_ID": "", "TAG_NAME": ""}},
	{name: "Jenkins", commit: []string{"GIT_COMMIT"}, branch: "GIT_BRANCH", refused: map[string]string{"CHANGE_ID": "", "TAG_NAME": "", "ghprbPullId": ""}},
}

// ciBranch returns the branch that a CI system builds, where that is the commit. Variables of another commit say nothing.
func ciBranch(env func(string) string, commit string) (branch, variable string) {
	for _, system := range ciSystems {
		if name := system.read(env, commit); name != "" {
			return name, system.branch
		}
	}
	return "", ""
}

func (c *ci) read(env func(string) string, commit string) string {
	built := ""
	for _, name := range c.commit {
		if built == "" {
			built = env(name)
		}
	}
	if !strings.EqualFold(built, commit) {
		return ""
	}

	for name, fine := range c.refused {
		if value := env(name); value != "" && value != fine {
			return ""
		}
	}
	for name, prefix := range c.wants {
		if !strings.HasPrefix(env(name), prefix) {
			return ""
		}
	}

	branch := strings.TrimPrefix(env(c.branch), "refs/heads/")
	if c.branch == "GIT_BRANCH" { // the git plugin's, with the remote in front
		branch = strings.TrimPrefix(strings.TrimPrefix(branch, "refs/remotes/"), "origin/")
	}
	return branch
}
