package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// TestTrust: a service assumes a role for resources of this account alone. The CDK's own role by which API Gateway logs has no
// condition: AWS documents none for it. The role of the builds' sessions is assumed by the function that makes them, and by nobody else.
func TestTrust(t *testing.T) {
	for _, in := range []template{slipway, shop, otherSlipway, otherShop, example} {
		for id, role := range in.of(t, "AWS::IAM::Role") {
			for _, s := range role.at("AssumeRolePolicyDocument", "Statement").([]any) {
				trust := resource{Properties: s.(object)}
				if trust.text("Principal", "Service") == "apigateway.amazonaws.com" {
					continue
				}
				if role.text("Description") == "What slipway-job may do" {
					function := in.Resources["BuildsessionFunction"].text("Role")
					if got := trust.text("Principal", "AWS"); got == "" || got != function || !slices.Equal(list(trust.at("Action")), []string{"sts:AssumeRole", "sts:TagSession"}) {
						t.Errorf("%s: %q may %v; want the role of the function, %q", id, got, trust.at("Action"), function)
					}
					continue
				}
				if got := trust.text("Condition", "StringEquals", "aws:SourceAccount"); got != "${AWS::AccountId}" {
					t.Errorf("%s may be assumed by %v for the account %q", id, trust.at("Principal"), got)
				}
			}
		}
	}
}

// TestOneCallerEach: a service of AWS calls a function or fills a queue for one rule or API of this account alone.
func TestOneCallerEach(t *testing.T) {
	const id = `\$\{[A-Za-z0-9]+`
	own := regexp.MustCompile(`^` + id + `\.Arn\}$|^arn:\$\{AWS::Partition\}:[a-z-]+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:` + id + `\}/`)
	for _, in := range []template{slipway, otherSlipway} {
		for id, p := range in.of(t, "AWS::Lambda::Permission") {
			if p.text("Principal") != "*" && !own.MatchString(p.text("SourceArn")) {
				t.Errorf("%s lets %s call for %q", id, p.text("Principal"), p.text("SourceArn"))
			}
			byURL := p.text("FunctionUrlAuthType") != "" || p.at("InvokedViaFunctionUrl") == true
			if p.text("Principal") == "*" && !byURL {
				t.Errorf("%s lets everybody call otherwise than by a URL", id)
			}
		}
		for id, p := range in.of(t, "AWS::SQS::QueuePolicy") {
			for _, each := range p.at("PolicyDocument", "Statement").([]any) {
				s := resource{Properties: each.(object)}
				if s.text("Effect") != "Allow" {
					continue
				}
				sources := list(s.at("Condition", "ArnEquals", "aws:SourceArn"))
				foreign := func(arn string) bool { return !own.MatchString(arn) }
				if len(sources) == 0 || slices.ContainsFunc(sources, foreign) {
					t.Errorf("%s lets %v send for %v", id, s.at("Principal"), sources)
				}
			}
		}
	}
}

// filled writes a policy as AWS gets it, with the longest values that CloudFormation can fill in.
func filled(t *testing.T, policy object) string {
	text, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.NewReplacer("${AWS::Partition}", "aws-us-gov", "${AWS::Region}", "ap-southeast-99", "${AWS::AccountId}", "123456789012").Replace(string(text))
	arn := "arn:aws-us-gov:dynamodb:ap-southeast-99:123456789012:table/Slipway-DataDeployments8C5AE0C4-ABCDEFGHIJKLMN"
	return regexp.MustCompile(`\$\{[A-Za-z0-9]+\.Arn\}`).ReplaceAllString(long, arn)
}

// longNames are n names of the greatest length.
func longNames(kind string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%03d-%s", kind, i, strings.Repeat("x", 64-len(kind)-5)))
	}
	return names
}

// TestManyTargets: the policies for a hundred functions with the longest names, and many of all else, are as small as IAM wants them,
// and still name each.
func TestManyTargets(t *testing.T) {
	s := infra.DefaultSettings()
	s.Targets, s.HookFunctions = longNames("target", 100), longNames("hook", 60)
	s.Topics, s.Repositories = longNames("topic", 60), longNames("repository", 60)
	dir := t.TempDir()
	in, _, err := synth(dir, "many", s)
	if err != nil {
		t.Fatal(err)
	}

	for id, role := range in.of(t, "AWS::IAM::Role") {
		inline, managed := policiesOf(in, role)
		size := 0
		for _, policy := range inline {
			size += len(filled(t, policy))
		}
		if size > 10240 {
			t.Errorf("%s has %d characters of inline policies; IAM takes 10240", id, size)
		}
		for i, policy := range managed {
			if size := len(filled(t, policy)); size > 6144 {
				t.Errorf("%s: managed policy %d has %d characters; IAM takes 6144", id, i+1, size)
			}
		}
		if len(managed) > 10 {
			t.Errorf("%s has %d managed policies; IAM takes 10", id, len(managed))
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "many.out", "Slipway.template.json")); err != nil || info.Size() > 1_000_000 {
		t.Errorf("the template: %v, %v; CloudFormation takes 1,000,000 bytes", info.Size(), err)
	}

	for action, want := range map[string]struct{ roles, resources int }{
		"lambda:UpdateAlias": {2, 100}, "lambda:UpdateFunctionCode": {2, 100}, "lambda:GetAlias": {4, 100}, "lambda:GetFunctionConfiguration": {4, 200},
		"lambda:InvokeFunction": {4, 60}, "sns:Publish": {1, 60}, "codecommit:GitPull": {1, 60},
	} {
		got := map[string][]string{}
		for _, s := range statements(t, in) {
			if slices.Contains(s.actions, action) && strings.HasPrefix(s.who, "slipway-") {
				got[s.who] = append(got[s.who], s.resources...)
			}
		}
		if len(got) != want.roles {
			t.Errorf("%s: %v may, want %d roles", action, sorted(got), want.roles)
		}
		for who, resources := range got {
			slices.Sort(resources)
			if n := len(slices.Compact(resources)); n != want.resources {
				t.Errorf("%s may %s on %d resources, want %d", who, action, n, want.resources)
			}
		}
	}
}

// TestTooManyTargets: what no role can hold is refused before anything is made.
func TestTooManyTargets(t *testing.T) {
	s := infra.DefaultSettings()
	s.Targets = longNames("target", 400)
	_, _, err := synth(t.TempDir(), "too many", s)
	if err == nil || !strings.Contains(err.Error(), "managed policies, and IAM lets a role have 10; name fewer") {
		t.Errorf("400 targets: %v", err)
	}
}

// TestScriptsHaveTheirRoom: each function that runs a commit's scripts has what docs/config.md promises them.
func TestScriptsHaveTheirRoom(t *testing.T) {
	var run []string
	for _, s := range statements(t, slipway) {
		if slices.Contains(s.actions, "ssm:GetParameter") && slices.ContainsFunc(s.resources, func(r string) bool { return strings.HasSuffix(r, ":parameter/slipway/*") }) && s.who != "slipway-buildsession" { // which runs none
			run = append(run, s.who)
		}
	}
	slices.Sort(run)
	if want := []string{"slipway-build", "slipway-deploy", "slipway-rollback", "slipway-settle", "slipway-shift", "slipway-test"}; !slices.Equal(run, want) {
		t.Errorf("%v run scripts, want %v", run, want)
	}
	for id, f := range slipway.of(t, "AWS::Lambda::Function") {
		if !slices.Contains(run, f.text("FunctionName")) {
			continue
		}
		memory, _ := f.at("MemorySize").(float64)
		storage, _ := f.at("EphemeralStorage", "Size").(float64)
		seconds, _ := f.at("Timeout").(float64)
		if memory < 1700 || storage < 2000 || seconds < 600+60 {
			t.Errorf("%s has %v MB of memory, %v MB in /tmp and %v s; docs/config.md promises scripts 1.7 GB, 2 GB and 600 s", id, memory, storage, seconds)
		}
	}
}

// TestLeaseCoversATurn: whoever has the environment's lock may take as long as its states, one after the other, and
// still has it.
func TestLeaseCoversATurn(t *testing.T) {
	var definition struct {
		States map[string]struct{ TimeoutSeconds float64 }
	}
	if err := json.Unmarshal([]byte(readDefinition(t)), &definition); err != nil {
		t.Fatal(err)
	}
	total := 2 * float64(deploy.MaxHealthCheckTimeout) // of the release, and of the one before
	for _, name := range []string{"Deploy", "Shift", "HealthCheck", "Rollback", "CheckRollback", "SettleFailure"} {
		seconds := definition.States[name].TimeoutSeconds
		if seconds == 0 {
			t.Errorf("no state %s with a time", name)
		}
		total += seconds
	}
	if total > deploy.Lease.Seconds() {
		t.Errorf("a turn may take %v s, and its lease is %v", total, deploy.Lease)
	}
}

// TestAPIGatewayRole: another stack's role for the region's logs can be kept.
func TestAPIGatewayRole(t *testing.T) {
	slipway.of(t, "AWS::ApiGateway::Account")
	for id, r := range otherSlipway.Resources {
		if r.Type == "AWS::ApiGateway::Account" {
			t.Errorf("%s replaces the region's role, though apiGatewayRole is keep", id)
		}
	}
}
