package infra_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
)

// Two rules call the function sweep, nobody else may, and what is open is listed by an index that only a deployment's begin
// and end are written to.
func TestSecondDoor(t *testing.T) {
	rules := map[string]string{}
	for id, rule := range slipway.of(t, "AWS::Events::Rule") {
		targets, _ := json.Marshal(rule.at("Targets"))
		if !strings.Contains(string(targets), "SweepFunction.Arn") {
			continue
		}
		pattern, _ := json.Marshal(rule.at("EventPattern"))
		rules[rule.text("Name")] = string(pattern) + rule.text("ScheduleExpression")
		allowed := false
		for _, p := range slipway.of(t, "AWS::Lambda::Permission") {
			allowed = allowed || p.text("SourceArn") == "${"+id+".Arn}" && p.text("Principal") == "events.amazonaws.com" && p.text("FunctionName") == "${SweepFunction.Arn}"
		}
		if !allowed {
			t.Errorf("%s may not call the function", id)
		}
	}
	ended := rules[infra.EndedRule]
	for _, want := range []string{`"source":["aws.states"]`, `"detail-type":["Step Functions Execution Status Change"]`,
		`"stateMachineArn":["${StateMachine}"]`, `"status":["ABORTED","FAILED","TIMED_OUT"]`} {
		if !strings.Contains(ended, want) {
			t.Errorf("the rule of ended executions matches %s, want %s in it", ended, want)
		}
	}
	if minute := rules[infra.SweepRule]; !strings.HasSuffix(minute, "rate(1 minute)") || len(rules) != 2 {
		t.Errorf("the rules are %v", rules)
	}
	for id, p := range slipway.of(t, "AWS::Lambda::Permission") {
		if p.text("FunctionName") == "${SweepFunction.Arn}" && !strings.HasPrefix(p.text("SourceArn"), "${Sweep") {
			t.Errorf("%s lets others in: %v", id, p.Properties)
		}
	}
	found := false
	for _, table := range slipway.of(t, "AWS::DynamoDB::Table") {
		indexes, _ := table.at("GlobalSecondaryIndexes").([]any)
		for _, each := range indexes {
			index := resource{Properties: each.(object)}
			if index.text("IndexName") == "open" {
				keys, _ := json.Marshal(index.at("KeySchema"))
				found = string(keys) == `[{"AttributeName":"open","KeyType":"HASH"},{"AttributeName":"id","KeyType":"RANGE"}]` && index.text("Projection", "ProjectionType") == "KEYS_ONLY"
			}
		}
	}
	if !found {
		t.Error("no index open, of keys alone")
	}
}
