package infra_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/local"
)

// unneeded are the grants that no call of the pipeline's tests needs, each with why it is there. A * is any text, as in a policy.
var unneeded = []struct{ who, action, resource, why string }{
	{"*", "logs:*", "*:log-group:/aws/lambda/*", "Lambda writes the function's log by the function's role"},
	{"slipway-builds", "logs:*", "*:log-group:/aws/codebuild/*", "CodeBuild writes the project's log by the project's role"},
	{"slipway-job", "s3:GetObject", "*/fetched/*", "tests of builds upload their commits; a build may be of one that Slipway fetched"},
	{"slipway-builds", "s3:GetObject*", "arn:*:s3:::*/ASSET.zip", "CodeBuild fetches the runner by the project's role"},
	{"slipway-*", "s3:ListBucket", "*", "with it S3 answers 404 for an object that isn't there, without it 403; the local cloud answers 404 anyway"},
	{"slipway-*", "sqs:SendMessage", "*", "Lambda sends what the function failed at to its destination, by the function's role"},
	{"slipway-notify", "dynamodb:*", "*/stream/*", "Lambda reads the table's stream by the function's role"},
	{"slipway-codepipeline", "codepipeline:PutJob*", "*", "tests answer to a server of their own, since the local cloud has no CodePipeline"},
	{"slipway-webhook", "secretsmanager:GetSecretValue", "*:secret:slipway-own/github-webhook", "the name of a secret that is not there; a test of internal/local asks without one"},
	{"slipway-fetch", "codecommit:GitPull", "*", "tests fetch from a server of their own, since the local cloud has no CodeCommit"},
	{"slipway-settle", "lambda:GetFunctionConfiguration", "*:function:slipway-shop", "Settle reads versions alone, by a qualifier: AWS names the function as what that action is judged on"},
	{"slipway-*", "s3:GetObject", "*/fetched/*", "any stage's script may be of a commit that Slipway fetched"},
	{"slipway-s*", "logs:CreateLogStream", "*:log-group:/slipway/deployments:*", "Shift and Settle print into the stream that an earlier stage made, unless theirs is the first output"},
	{"slipway-buildsession", "secretsmanager:GetSecretValue", "*:secret:slipway/*", "tests of builds keep their secret as a parameter; operators have the choice"},
	{"slipway-*", "ssm:GetParameter", "*:parameter/slipway-own/*", "tests keep git's and channels' tokens as secrets; operators have the choice"},
	{"slipway", "*", "*", "the state machine's own role: the local cloud doesn't judge what Step Functions does by it"},
}

var logical = regexp.MustCompile(`\$\{(Data[A-Z][a-z]+)[0-9A-F]{8}\.Arn\}`)

// sessionTag is a policy variable, whose value differs from session to session.
var sessionTag = regexp.MustCompile(`\$\{aws:PrincipalTag/[a-z]+\}`)

// grant is one action on one resource that a role may do.
type grant struct{ who, action, resource string }

// rehearsed is the template of a local cloud, whose calls are recorded.
func rehearsed(t *testing.T) template {
	s := infra.DefaultSettings()
	s.HookFunctions, s.Topics, s.Repositories = []string{local.HookFunction}, []string{local.Topic}, []string{local.Repository}
	in, _, err := synth(t.TempDir(), "rehearsed", s)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestCalls: each call of a role that the pipeline's tests made on the local cloud (testdata/calls.txt, which they write with -update)
// is allowed by the template, and each grant of the template is needed by one of them, or is excused with a reason.
func TestCalls(t *testing.T) {
	text, err := os.ReadFile("testdata/calls.txt")
	if err != nil {
		t.Fatal(err)
	}
	needed := map[grant]bool{}
	for _, s := range statements(t, rehearsed(t)) {
		for _, action := range s.actions {
			for _, r := range s.resources {
				r = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(logical.ReplaceAllString(r, "${$1.Arn}"), "ASSET")
				r = regexp.MustCompile(`\$\{ApiRestApi[0-9A-F]{8}\}`).ReplaceAllString(r, "API")
				r = sessionTag.ReplaceAllString(r, "*")
				needed[grant{s.who, action, r}] = false
			}
		}
	}

	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		call, allowed := strings.SplitN(line, " ", 3), false
		for g := range needed {
			if g.who == call[0] && g.action == call[1] && matches(g.resource, call[2]) {
				needed[g], allowed = true, true
			}
		}
		if !allowed {
			t.Errorf("AWS refuses: %s", line)
		}
	}

	used := make([]bool, len(unneeded))
	var idle []string
	for g, isNeeded := range needed {
		if isNeeded {
			continue
		}
		at := slices.IndexFunc(unneeded, func(u struct{ who, action, resource, why string }) bool {
			return matches(u.who, g.who) && matches(u.action, g.action) && matches(u.resource, g.resource)
		})
		if at < 0 {
			idle = append(idle, g.who+" "+g.action+" "+g.resource)
			continue
		}
		used[at] = true
	}
	slices.Sort(idle)
	if len(idle) > 0 {
		t.Errorf("no call needs these; take them out of infra/policy.go, or say in unneeded why they are there:\n%s", strings.Join(idle, "\n"))
	}
	for i, u := range unneeded {
		if !used[i] {
			t.Errorf("nothing is excused any more by %s %s %s", u.who, u.action, u.resource)
		}
	}
}

// matches compares as IAM does: a * is any text, a ? one character.
func matches(pattern, resource string) bool {
	quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("^" + quoted + "$").MatchString(resource)
}
