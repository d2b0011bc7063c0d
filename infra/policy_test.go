package infra_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
)

// named is how a policy may speak of what it means: one thing by its name. A * stands only for what is inside of it.
var named = regexp.MustCompile(`^(` + strings.Join([]string{
	`\$\{[A-Za-z0-9]+\.Arn\}`,                                                          // of this stack
	`\$\{DataDeployments[A-F0-9]+\.Arn\}/index/\*`,                                     // the table's indexes
	`\$\{DataBucket[A-F0-9]+\.Arn\}(/sources|/fetched|/artifacts|/jobs)/\*`,            // a folder of the bucket
	`\$\{DataBucket[A-F0-9]+\.Arn\}/jobs/\*/(deployment\.json|result\.json|cancelled)`, // what one side writes of a job
	`arn:\$\{AWS::Partition\}:s3:::\S+/[0-9a-f]{64}\.zip`,                              // the runner's own code
	`\$\{DataBucket[A-F0-9]+\.Arn\}/(sources|fetched)/\$\{aws:PrincipalTag/app\}/\$\{aws:PrincipalTag/commit\}\.tar\.gz`,
	`\$\{DataBucket[A-F0-9]+\.Arn\}/artifacts/\$\{aws:PrincipalTag/app\}/\$\{aws:PrincipalTag/commit\}/\*`,
	`\$\{DataBucket[A-F0-9]+\.Arn\}/jobs/\$\{aws:PrincipalTag/deployment\}/(deployment\.json|result\.json|cancelled)`,
	here("logs", `log-group:/slipway/deployments:log-stream:\$\{aws:PrincipalTag/deployment\}`),                        // one build's output
	here("codebuild", `project/slipway`),                                                                               //
	`arn:\$\{AWS::Partition\}:execute-api:\$\{AWS::Region\}:\$\{AWS::AccountId\}:\$\{\w+\}/prod/POST/v1/build-session`, // one route
	here("logs", `log-group:/(aws/lambda|aws/codebuild|slipway)/[a-z-]+:\*`),                                           // one group's streams
	here("lambda", `function:[A-Za-z0-9-]+(:\*)?`),                                                                     // one function's versions and aliases
	`\$\{DataDeployments[A-F0-9]+\.Arn\}/index/open`,                                                                   //
	here("states", `execution:slipway:\*`),                                                                             // the machine's executions
	here("states", `stateMachine:slipway`),                                                                             //
	here("events", `rule/StepFunctionsGetEventForCodeBuildStartBuildRule`),                                             // Step Functions' own
	here("ssm", `parameter/slipway/\*`),                                                                                // what operators put there for scripts
	here("secretsmanager", `secret:slipway/\*`),                                                                        // the same
	here("ssm", `parameter/slipway-own/\*`),                                                                            // what they put there for Slipway itself
	here("secretsmanager", `secret:slipway-own/\*`),                                                                    // the same
	here("codecommit", `[A-Za-z0-9_.-]+`),                                                                              // one repository
	here("secretsmanager", `secret:slipway-own/github-webhook(-\?{6})?`),                                               // whose end is Secrets Manager's own
	`\$\{DataDeployments[A-F0-9]+\.Arn\}/stream/\*`,                                                                    // the table's streams
	here("sns", `[A-Za-z0-9_-]+`),                                                                                      // one topic
	here("sqs", `slipway-dead-(events|notifications)`),                                                                 //
}, "|") + `)$`)

func here(service, name string) string {
	return `arn:\$\{AWS::Partition\}:` + service + `:\$\{AWS::Region\}:\$\{AWS::AccountId\}:` + name
}

// everything lists the actions that may have "*" for a resource, because AWS knows no other: Step Functions' delivery of
// its log, and for the pipeline's role alone.
var everything = []string{"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
	"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"}

// jobs have no resource of their own either: CodePipeline knows whose they are by their ids.
var jobs = []string{"codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"}

// statement is one of a role's, with the function or the machine that it speaks of.
type statement struct {
	who                string
	actions, resources []string
}

func statements(t *testing.T, in template) []statement {
	var all []statement
	for _, role := range in.of(t, "AWS::IAM::Role") {
		who := strings.TrimPrefix(role.text("Description"), "What ")
		who = strings.TrimPrefix(strings.TrimSuffix(who, " may do"), "the state machine ")
		inline, managed := policiesOf(in, role)
		for _, policy := range append(inline, managed...) {
			for _, s := range policy["Statement"].([]any) {
				s := s.(object)
				if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil {
					t.Errorf("%s: only plain Allow statements can be checked: %v", who, s)
				}
				all = append(all, statement{who, list(s["Action"]), list(s["Resource"])})
			}
		}
	}
	return all
}

// policiesOf lists the documents of a role's own policies, and of the managed ones of its stack.
func policiesOf(in template, role resource) (inline, managed []object) {
	policies, _ := role.at("Policies").([]any)
	for _, p := range policies {
		inline = append(inline, p.(object)["PolicyDocument"].(object))
	}
	for _, arn := range list(role.at("ManagedPolicyArns")) {
		if policy, ok := in.Resources[strings.Trim(arn, "${}")]; ok {
			managed = append(managed, policy.at("PolicyDocument").(object))
		}
	}
	return inline, managed
}

func TestPoliciesNameTheirResources(t *testing.T) {
	for _, in := range []template{slipway, shop, otherSlipway, otherShop} {
		for _, s := range statements(t, in) {
			for _, action := range s.actions {
				if strings.Contains(action, "*") {
					t.Errorf("%s may %s: name the actions", s.who, action)
				}
			}
			for _, r := range s.resources {
				excused := r == "*" && (s.who == "slipway" && slices.Equal(s.actions, everything) || s.who == "slipway-codepipeline" && slices.Equal(s.actions, jobs))
				if !named.MatchString(r) && !excused {
					t.Errorf("%s may %v on %s: name the resource", s.who, s.actions, r)
				}
			}
			if len(s.resources) == 0 {
				t.Errorf("%s may %v on nothing", s.who, s.actions)
			}
		}
	}
}

func TestNoPoliciesBesideTheRoles(t *testing.T) {
	for _, in := range []template{slipway, shop, otherSlipway, otherShop} {
		for id, r := range in.Resources {
			if slices.Contains([]string{"AWS::IAM::Policy", "AWS::IAM::User"}, r.Type) {
				t.Errorf("%s is a %s, which the other tests don't read", id, r.Type)
			}
			for _, arn := range list(r.at("ManagedPolicyArns")) {
				// API Gateway checks for this very policy before it takes a role for its logs.
				excused := strings.HasSuffix(arn, ":policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs")
				if own := in.Resources[strings.Trim(arn, "${}")]; own.Type != "AWS::IAM::ManagedPolicy" && !excused {
					t.Errorf("%s takes AWS's policy %s, which speaks of everything", id, arn)
				}
			}
		}
	}
}

// What changes something beyond Slipway's own records, and who alone may do it.
func TestWhoMay(t *testing.T) {
	want := map[string]string{
		"lambda:UpdateFunctionCode":        "deploy rollback",
		"lambda:PublishVersion":            "deploy rollback",
		"lambda:UpdateAlias":               "rollback shift",
		"lambda:GetAlias":                  "deploy rollback settle shift",
		"lambda:InvokeFunction":            "deploy rollback settle shift",
		"events:PutEvents":                 "deploy notify rollback settle shift",
		"s3:PutObject":                     "api build codepipeline fetch job prepare",
		"ssm:GetParameter":                 "build buildsession deploy fetch notify rollback settle shift test",
		"secretsmanager:GetSecretValue":    "build buildsession deploy fetch notify rollback settle shift test webhook",
		"codecommit:GitPull":               "fetch",
		"states:StartExecution":            "api codepipeline commit sweep webhook",
		"codepipeline:PutJobSuccessResult": "codepipeline",
		"codepipeline:PutJobFailureResult": "codepipeline",
		"states:DescribeExecution":         "sweep",
		"states:ListExecutions":            "sweep",
		"sqs:SendMessage":                  "commit notify",
		"sns:Publish":                      "notify",
		"dynamodb:GetRecords":              "notify",
		"states:SendTaskSuccess":           "admit settle",
		"states:SendTaskFailure":           "admit api settle",
		"logs:GetLogEvents":                "api",
		"dynamodb:Query":                   "api commit sweep webhook",
	}
	got := map[string][]string{}
	for _, s := range statements(t, otherSlipway) {
		for _, action := range s.actions {
			if who, ok := strings.CutPrefix(s.who, "slipway-"); ok && !slices.Contains(got[action], who) {
				got[action] = append(got[action], who)
			}
		}
	}
	for action, who := range want {
		slices.Sort(got[action])
		if strings.Join(got[action], " ") != who {
			t.Errorf("%s: %v may, want %s", action, got[action], who)
		}
	}
}

// TestSecretsOfSlipwaysOwn: no role that has to do with scripts reaches what Slipway logs in with, and no other role what is the
// scripts'. No role of a build reads secrets: a commit's own code can take these on.
func TestSecretsOfSlipwaysOwn(t *testing.T) {
	got := map[string][]string{}
	for _, s := range statements(t, otherSlipway) {
		if slices.Contains(s.actions, "secretsmanager:GetSecretValue") || slices.Contains(s.actions, "ssm:GetParameter") {
			for _, r := range s.resources {
				name := r[strings.LastIndexAny(r, ":}")+1:]
				got[name] = append(got[name], strings.TrimPrefix(s.who, "slipway-"))
			}
		}
	}
	scripts := "build buildsession deploy rollback settle shift test"
	for name, who := range map[string]string{"parameter/slipway/*": scripts, "slipway/*": scripts,
		"parameter/slipway-own/*": "fetch notify", "slipway-own/*": "fetch notify", "slipway-own/github-webhook-??????": "webhook", "slipway-own/github-webhook": "webhook"} {
		slices.Sort(got[name])
		if strings.Join(got[name], " ") != who {
			t.Errorf("%s: %v may read it, want %s", name, got[name], who)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("and there are %v", got)
	}
}

// called finds the operations that the program's adapters build requests for.
var called = regexp.MustCompile(`\b(cloudwatchlogs|codebuild|codepipeline|dynamodb|eventbridge|lambda|s3|secretsmanager|sfn|sns|ssm|sts)\.([A-Z]\w+)Input\b`)

// allows says which action lets an operation through, where it isn't the operation's own name.
var allows = map[string]string{
	"dynamodb:TransactWriteItems": "dynamodb:PutItem", // those of puts; counts are added up by transactions of updates
	"lambda:Invoke":               "lambda:InvokeFunction",
	"s3:HeadObject":               "s3:GetObject",
}

func TestPoliciesAllowWhatTheProgramCalls(t *testing.T) {
	allowed := map[string]bool{}
	for _, s := range statements(t, otherSlipway) {
		for _, action := range s.actions {
			allowed[action] = strings.HasPrefix(s.who, "slipway-") || allowed[action]
		}
	}
	used := map[string]bool{
		"s3:ListBucket":           true,                                                                                               // so that a missing object is a 404
		"s3:GetObjectVersion":     true,                                                                                               // CodeBuild's own, for a build's source
		"execute-api:Invoke":      true,                                                                                               // a build, of the route for its session
		"sqs:SendMessage":         true,                                                                                               // Lambda itself, of an event that the function failed at
		"dynamodb:DescribeStream": true, "dynamodb:GetRecords": true, "dynamodb:GetShardIterator": true, "dynamodb:ListStreams": true, // Lambda itself, of the stream
		"dynamodb:UpdateItem": true, // types.Update in a transaction
		"codecommit:GitPull":  true, // git's own protocol, which is no operation
	}
	for action := range operations(t) {
		used[action] = true
		if !allowed[action] && action != "sts:AssumeRole" { // which the trust policy of the role allows
			t.Errorf("the program calls %s, which no function may", action)
		}
	}
	for action, ours := range allowed {
		if ours && !used[action] {
			t.Errorf("functions may %s, which the program never calls", action)
		}
	}
}

// operations reads the adapters' sources; internal/local and internal/preflight run on the operator's machine, with other rights.
func operations(t *testing.T) map[string]bool {
	found := map[string]bool{}
	files, err := filepath.Glob("../internal/*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources:", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "/local/") || strings.Contains(file, "/preflight/") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range called.FindAllStringSubmatch(string(source), -1) {
			service := strings.NewReplacer("cloudwatchlogs", "logs", "eventbridge", "events", "sfn", "states").Replace(match[1])
			action := service + ":" + match[2]
			if other, ok := allows[action]; ok {
				action = other
			}
			found[action] = true
		}
	}
	return found
}

func TestTargetsAndHooks(t *testing.T) {
	resourcesOf := func(in template, action string) (all []string) {
		for _, s := range statements(t, in) {
			if slices.Contains(s.actions, action) && s.who != "slipway" {
				all = append(all, s.resources...)
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	arn := "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
	for _, each := range []struct {
		in     template
		action string
		want   []string
	}{
		{slipway, "lambda:UpdateFunctionCode", []string{arn + infra.ShopFunction}},
		{slipway, "lambda:GetFunctionConfiguration", []string{arn + infra.ShopFunction, arn + infra.ShopFunction + ":*"}},
		{slipway, "lambda:InvokeFunction", nil},
		{otherSlipway, "lambda:UpdateAlias", []string{arn + "one", arn + "two"}},
		{otherSlipway, "lambda:InvokeFunction", []string{arn + "caller"}},
	} {
		if got := resourcesOf(each.in, each.action); !slices.Equal(got, each.want) {
			t.Errorf("%s on %v, want %v", each.action, got, each.want)
		}
	}
}
