package infra_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/notify"
)

const deadNotes = "${NotificationsDead"

// TestStream: each write to a deployment comes to the function, whatever was written before the mapping was there too.
func TestStream(t *testing.T) {
	for id, table := range slipway.of(t, "AWS::DynamoDB::Table") {
		want := any(nil)
		if strings.HasPrefix(id, "DataDeployments") {
			want = "NEW_AND_OLD_IMAGES"
		}
		if got := table.at("StreamSpecification", "StreamViewType"); got != want {
			t.Errorf("%s has the stream %v, want %v", id, got, want)
		}
	}
	for id, m := range slipway.of(t, "AWS::Lambda::EventSourceMapping") {
		if m.text("FunctionName") != "${NotifyFunction}" || !strings.HasPrefix(m.text("EventSourceArn"), "${DataDeployments") || m.text("StartingPosition") != "TRIM_HORIZON" {
			t.Errorf("%s: %v", id, m.Properties)
		}
		if m.at("BisectBatchOnFunctionError") != true || m.at("MaximumRetryAttempts") != 100.0 || m.at("MaximumRecordAgeInSeconds") != 3600.0 ||
			!strings.HasPrefix(fmt.Sprint(m.at("DestinationConfig", "OnFailure", "Destination")), deadNotes) {
			t.Errorf("%s does not end well: %v", id, m.Properties)
		}
		var patterns []string
		for _, f := range m.at("FilterCriteria", "Filters").([]any) {
			patterns = append(patterns, f.(object)["Pattern"].(string))
		}
		if !slices.Equal(patterns, infra.StreamPatterns()) || !strings.Contains(patterns[2], `"status":{"S":["success","failed","rolled_back","cancelled"]}`) {
			t.Errorf("%s: %v", id, patterns)
		}
	}
}

// TestChannels: each channel is a target of its own, tried again by itself, and a dead letter at last.
func TestChannels(t *testing.T) {
	found := 0
	for id, r := range slipway.of(t, "AWS::Events::Rule") {
		targets := r.at("Targets").([]any)
		if targets[0].(object)["Arn"] != "${NotifyFunction.Arn}" {
			continue
		}
		found++
		if text := fmt.Sprint(r.at("EventPattern")); text != "map[detail-type:[Deployment Status Changed] source:[slipway]]" || fmt.Sprint(r.at("EventBusName")) != busName(t) {
			t.Errorf("%s: %s on %v", id, text, r.at("EventBusName"))
		}
		called := 0
		for _, p := range slipway.of(t, "AWS::Lambda::Permission") {
			if p.text("Principal") == "events.amazonaws.com" && p.text("SourceArn") == "${"+id+".Arn}" && p.text("FunctionName") == "${NotifyFunction}" {
				called++
			}
		}
		if called != 1 {
			t.Errorf("%d permissions to call the function", called)
		}
		if len(targets) != len(notify.Channels) {
			t.Fatalf("%d targets", len(targets))
		}
		for i, channel := range notify.Channels {
			target := targets[i].(object)
			input, retry := target["InputTransformer"].(object), target["RetryPolicy"].(object)
			if target["Id"] != channel || input["InputTemplate"] != `{"channel":"`+channel+`","event":<aws.events.event.json>}` || input["InputPathsMap"] != nil ||
				retry["MaximumRetryAttempts"] != 20.0 || !strings.HasPrefix(fmt.Sprint(target["DeadLetterConfig"].(object)["Arn"]), deadNotes) {
				t.Errorf("%s: %v", channel, target)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d rules for the channels", found)
	}
	for _, c := range slipway.of(t, "AWS::Lambda::EventInvokeConfig") {
		if c.text("FunctionName") == "${NotifyFunction}" && (c.at("MaximumRetryAttempts") != 2.0 || !strings.HasPrefix(fmt.Sprint(c.at("DestinationConfig", "OnFailure", "Destination")), deadNotes)) {
			t.Errorf("%v", c.Properties)
		}
	}
}
