package trigger_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// TestBranchNames sends our own event with the names of branches that senders write.
func TestBranchNames(t *testing.T) {
	for name, why := range map[string]string{
		"main":                     "",
		"refs/heads/main":          "",
		"":                         "is missing; want a branch's name, like main",
		"refs/tags/v1":             `"refs/tags/v1" is a tag; want a branch's name`,
		"refs/pull/7/merge":        `"refs/pull/7/merge" is no branch; want its name, like main or refs/heads/main`,
		"refs/remotes/origin/main": "is no branch",
		"refs/heads/":              "is missing",
		"refs/heads/refs/tags/v1":  "is a tag",
		"HEAD":                     `"HEAD" is no branch`,
		"@":                        "is no branch",
		"/main":                    "no part between slashes is empty",
		"main/":                    "no part between slashes is empty",
		"topic//x":                 "no part between slashes is empty",
		"a..b":                     `no ".."`,
		"../main":                  `begins with "."`,
		".main":                    `begins with "."`,
		"main.lock":                `ends with ".lock"`,
		"main.":                    `no "." at the end`,
		"my branch":                "want none of",
		"a~1":                      "want none of",
		"a^":                       "want none of",
		"a:b":                      "want none of",
		"a?":                       "want none of",
		"topic/*":                  "want none of",
		`a\b`:                      "want none of",
		"a@{1}":                    `no "@{"`,
		"-x":                       `no "-" in front`,
		"a\nb":                     "no control characters",
		strings.Repeat("a", 256):   "at most 255",
	} {
		_, tr, _ := world(t)
		text, _ := json.Marshal(name)
		event := strings.Replace(fixture(t, "pushed.json"), `"main"`, string(text), 1)
		answer, err := commits(t, tr)(event)
		switch {
		case why == "" && (err != nil || len(answer.Deployments) != 2):
			t.Errorf("%q: %+v, %v", name, answer, err)
		case why != "" && (deploy.KindOf(err) != deploy.Invalid || !strings.HasPrefix(err.Error(), "branch: ") || !strings.Contains(err.Error(), why)):
			t.Errorf("%q: %v, want %s", name, err, why)
		}
	}
}

// TestForeignNames: names that git allows are taken as they are.
func TestForeignNames(t *testing.T) {
	for _, name := range []string{"größe", "主干", "topic/🚀", "a.b", "release-1.2", "#7", "a+b", "heads/main", "feature/JIRA-7_x", "main'\"$(x)"} {
		c, tr, _ := world(t)
		settings := deploy.Settings{Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.test", DeployOnPush: []string{"*", "*/*"}}
		app := &deploy.App{Name: "plain", Version: 1, Environments: map[string]deploy.Settings{"production": settings}}
		if err := c.PutApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal("refs/heads/" + name)
		event := strings.NewReplacer(`"main"`, string(text), `"repository": "octo/shop"`, `"app": "plain"`).Replace(fixture(t, "pushed.json"))
		answer, err := commits(t, tr)(event)
		if err != nil || len(answer.Deployments) != 1 {
			t.Errorf("%q: %+v, %v", name, answer, err)
			continue
		}
		if d, err := c.Deployment(t.Context(), answer.Deployments[0].Deployment); err != nil || d.Branch != name {
			t.Errorf("%q: the branch is %q, %v", name, d.Branch, err)
		}
	}
}
