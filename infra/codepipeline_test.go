package infra_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/pipeline"
)

// actions are the example pipeline's, by name.
func actions(t *testing.T) map[string]object {
	t.Helper()
	found := map[string]object{}
	for _, p := range example.of(t, "AWS::CodePipeline::Pipeline") {
		for _, s := range p.at("Stages").([]any) {
			for _, a := range s.(object)["Actions"].([]any) {
				found[a.(object)["Name"].(string)] = a.(object)
			}
		}
	}
	return found
}

// TestExampleInput: what the pipeline sends is what Prepare takes, once CodePipeline has put its variables in.
func TestExampleInput(t *testing.T) {
	all := actions(t)
	commit := strings.Repeat("a", 40)
	fill := strings.NewReplacer("#{SourceVariables.CommitId}", commit, "#{SourceVariables.BranchName}", "main")
	machine := all["Staging"]["Configuration"].(object)
	in, err := pipeline.ParseInput([]byte(fill.Replace(machine["Input"].(string))))
	if err != nil || in.App != "shop" || in.Environment != "staging" || in.CommitSHA != commit || in.Branch != "main" || machine["InputType"] != "Literal" {
		t.Errorf("%v: %+v, %v", machine, in, err)
	}
	if !strings.HasSuffix(machine["StateMachineArn"].(string), ":stateMachine:slipway") {
		t.Errorf("starts %v", machine["StateMachineArn"])
	}
	function := all["Production"]["Configuration"].(object)
	var parameters map[string]string
	if err := json.Unmarshal([]byte(fill.Replace(function["UserParameters"].(string))), &parameters); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(parameters) != fmt.Sprint(map[string]string{"app": "shop", "environment": "production", "commit_sha": commit, "branch": "main"}) {
		t.Errorf("parameters %v", parameters)
	}
	if function["FunctionName"] != "slipway-codepipeline" || len(all["Production"]["InputArtifacts"].([]any)) != 1 {
		t.Errorf("production: %v", all["Production"])
	}
	if source := all["Source"]; source["Namespace"] != "SourceVariables" || source["Configuration"].(object)["RepositoryName"] != "shop" {
		t.Errorf("source: %v", source)
	}
}

// TestExampleMayLittle: the pipeline's roles speak of its own bucket and of what it takes and calls, and of nothing else.
func TestExampleMayLittle(t *testing.T) {
	want := map[string]string{
		"codecommit:":                         ":shop",
		"states:StartExecution":               ":stateMachine:slipway",
		"states:DescribeStateMachine":         ":stateMachine:slipway",
		"states:DescribeExecution":            ":execution:slipway:*",
		"lambda:InvokeFunction":               ":function:slipway-codepipeline",
		"codepipeline:StartPipelineExecution": ":slipway-example",
		"s3:":                                 "${Artifacts",
	}
	seen := map[string]bool{}
	for _, s := range statements(t, example) {
		for _, action := range s.actions {
			key := action
			if service, _, _ := strings.Cut(action, ":"); want[service+":"] != "" {
				key = service + ":"
			}
			seen[key] = true
			for _, r := range s.resources {
				if want[key] == "" || !strings.Contains(r, want[key]) || strings.Contains(action, "*") {
					t.Errorf("%s may %s on %s", s.who, action, r)
				}
			}
		}
	}
	if len(seen) != len(want) {
		t.Errorf("only %v may be done", seen)
	}
}

// TestExampleStore: CodePipeline looks at its bucket before it puts an artifact there ("Manage the CodePipeline service role").
func TestExampleStore(t *testing.T) {
	var actions []string
	for _, s := range statements(t, example) {
		if slices.ContainsFunc(s.resources, func(r string) bool { return strings.HasPrefix(r, "${Artifacts") && strings.HasSuffix(r, ".Arn}") }) {
			actions = append(actions, s.actions...)
		}
	}
	slices.Sort(actions)
	if want := []string{"s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"}; !slices.Equal(actions, want) {
		t.Errorf("the pipeline may %v on its bucket, want %v", actions, want)
	}
}

// TestExampleStandsAlone: it takes no output of another stack, and keeps its bucket closed.
func TestExampleStandsAlone(t *testing.T) {
	text, err := json.Marshal(example)
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`ImportValue|\$\{Slipway`).Match(text) {
		t.Error("it refers to another stack")
	}
	for id, b := range example.of(t, "AWS::S3::Bucket") {
		if b.at("PublicAccessBlockConfiguration", "RestrictPublicBuckets") != true || b.DeletionPolicy != "RetainExceptOnCreate" {
			t.Errorf("%s: %v", id, b)
		}
	}
	for id, r := range example.of(t, "AWS::Events::Rule") {
		if got := list(r.at("EventPattern", "detail", "referenceName")); !slices.Equal(got, []string{"main"}) {
			t.Errorf("%s starts it for %v", id, got)
		}
	}
}
