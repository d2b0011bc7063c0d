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
)

// parameter is how the definition names what the stack knows.
var parameter = regexp.MustCompile(`\$\{(\w+)\}`)

func readDefinition(t *testing.T) string {
	definition, err := os.ReadFile("../statemachine.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(definition)
}

func TestDefinitionIsTheFile(t *testing.T) {
	machine := slipway.Resources["StateMachine"]
	if machine.text("DefinitionString") != readDefinition(t) {
		t.Error("the state machine's definition is not statemachine.asl.json as it is")
	}
}

func TestDefinitionIsSubstituted(t *testing.T) {
	var named []string
	for _, match := range parameter.FindAllStringSubmatch(readDefinition(t), -1) {
		named = append(named, match[1])
	}
	slices.Sort(named)
	given := slipway.Resources["StateMachine"].at("DefinitionSubstitutions").(object)
	if got, want := sorted(given), slices.Compact(named); !slices.Equal(got, want) {
		t.Errorf("given %v, the definition names %v", got, want)
	}
	for name, arn := range given {
		if name == "CodeBuildProject" {
			if arn != "${CodeBuildProject}" {
				t.Errorf("${%s} is %v", name, arn)
			}
			continue
		}
		function := functionAt(slipway, arn.(string))
		if want := "slipway-" + strings.ToLower(strings.TrimSuffix(name, "FunctionArn")); function.text("FunctionName") != want {
			t.Errorf("${%s} is %s, want %s", name, function.text("FunctionName"), want)
		}
	}
}

func functionAt(in template, arn string) resource {
	return in.Resources[strings.TrimSuffix(strings.Trim(arn, "${}"), ".Arn")]
}

// A function that Lambda stops names its error; a task that Step Functions gives up leaves one behind that runs on.
func TestFunctionsEndBeforeTheirTasks(t *testing.T) {
	var definition struct {
		States map[string]struct {
			Type, Resource string
			TimeoutSeconds float64
			Parameters     struct{ FunctionName string }
		}
	}
	if err := json.Unmarshal([]byte(readDefinition(t)), &definition); err != nil {
		t.Fatal(err)
	}
	given := slipway.Resources["StateMachine"].at("DefinitionSubstitutions").(object)
	tasks := 0
	for name, state := range definition.States {
		if state.Type != "Task" {
			continue
		}
		tasks++
		if strings.Contains(state.Resource, ":codebuild:") {
			project := slipway.Resources["CodeBuildProject"]
			queued, _ := project.at("QueuedTimeoutInMinutes").(float64)
			runs, _ := project.at("TimeoutInMinutes").(float64)
			if queued <= 0 || runs <= 0 || 60*(queued+runs) >= state.TimeoutSeconds {
				t.Errorf("%s waits for %v s, its build for %v min and %v min", name, state.TimeoutSeconds, queued, runs)
			}
			continue
		}
		arn, _ := given[strings.Trim(state.Parameters.FunctionName, "${}")].(string)
		timeout, _ := functionAt(slipway, arn).at("Timeout").(float64)
		if timeout <= 0 || timeout >= state.TimeoutSeconds {
			t.Errorf("%s waits for %v s, its function runs for %v s", name, state.TimeoutSeconds, timeout)
		}
	}
	if tasks == 0 {
		t.Error("the definition has no tasks")
	}
	if timeout := slipway.Resources["ApiFunction"].at("Timeout").(float64); timeout > 29 {
		t.Errorf("the API's function runs for %v s, and API Gateway waits for 29", timeout)
	}
}

// A name that nothing has is an error in AWS only.
func TestNoDeadNames(t *testing.T) {
	for _, in := range []template{slipway, shop, otherSlipway, otherShop} {
		for id, r := range in.Resources {
			properties := fmt.Sprint(r.Properties)
			if r.Type == "AWS::StepFunctions::StateMachine" {
				properties = strings.ReplaceAll(properties, r.text("DefinitionString"), "")
			}
			for _, match := range regexp.MustCompile(`\$\{([A-Za-z0-9]+)(\.[A-Za-z.]+)?\}`).FindAllStringSubmatch(properties, -1) {
				if _, ok := in.Resources[match[1]]; !ok {
					t.Errorf("%s names %s, which isn't there", id, match[1])
				}
			}
			for _, other := range list(r.DependsOn) {
				if _, ok := in.Resources[other]; !ok {
					t.Errorf("%s depends on %s, which isn't there", id, other)
				}
			}
		}
	}
}

func TestAlarms(t *testing.T) {
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	watched := map[string]int{}
	for id, a := range slipway.of(t, "AWS::CloudWatch::Alarm") {
		if !strings.Contains(string(manual), "`"+a.text("AlarmName")+"`") {
			t.Errorf("docs/operations.md doesn't say what to do about %s", a.text("AlarmName"))
		}
		if a.text("TreatMissingData") != "notBreaching" || a.at("AlarmActions") != nil {
			t.Errorf("%s: %v", id, a.Properties)
		}
		watched[a.text("Namespace")+" "+a.text("MetricName")]++
		if topic := list(otherSlipway.Resources[id].at("AlarmActions")); len(topic) != 1 || !strings.HasSuffix(topic[0], ":ops") {
			t.Errorf("%s tells %v", id, topic)
		}
	}
	want := map[string]int{"Slipway Dirty": 1, "AWS/States ExecutionsFailed": 1, "AWS/States ExecutionsAborted": 1,
		"AWS/Lambda Errors": 18, "AWS/Lambda Throttles": 18, "AWS/SQS ApproximateNumberOfMessagesVisible": 2, "Slipway NotificationsRefused": 1, "Slipway PoisonedFlags": 1, "Slipway RequestsTooLarge": 1, "Slipway StaleFlags": 1}
	if fmt.Sprint(watched) != fmt.Sprint(want) {
		t.Errorf("alarms on %v, want %v", watched, want)
	}
}

// The whole of both templates, without what a build changes and what has a file of its own.
func TestGolden(t *testing.T) {
	for name, in := range map[string]template{"Slipway": slipway, "SlipwayShop": shop} {
		text, err := json.MarshalIndent(in, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		definition, _ := json.Marshal(readDefinition(t))
		got := strings.ReplaceAll(string(text), strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(definition)), `"…"`)
		got = strings.ReplaceAll(got, string(definition), `"…"`)
		got = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(got, "ASSET") + "\n"
		file := filepath.Join("testdata", name+".golden.json")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: %s\nread the change, then: go test ./infra -update", file, firstDifference(got, string(want)))
		}
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
