package infra_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// openRoute is the only one that needs no signature of AWS.
const openRoute = "POST /webhooks/github"

func TestOpenRoute(t *testing.T) {
	open := 0
	for id, m := range slipway.of(t, "AWS::ApiGateway::Method") {
		if m.text("AuthorizationType") == "AWS_IAM" {
			continue
		}
		open++
		if route := m.text("HttpMethod") + " " + pathOf(slipway, m.text("ResourceId")); route != openRoute || m.text("AuthorizationType") != "NONE" {
			t.Errorf("%s (%s) is open", route, id)
		}
		if !strings.HasSuffix(m.text("Integration", "Uri"), "/functions/${WebhookFunction.Arn}/invocations") {
			t.Errorf("it goes to %v", m.at("Integration"))
		}
	}
	if open != 1 {
		t.Errorf("%d open routes, want 1", open)
	}
	for _, stage := range slipway.of(t, "AWS::ApiGateway::Stage") {
		settings, _ := stage.at("MethodSettings").([]any)
		if !slices.ContainsFunc(settings, func(s any) bool {
			o := s.(object)
			return o["HttpMethod"] == "POST" && o["ResourcePath"] == "/~1webhooks~1github" && o["ThrottlingRateLimit"] == 10.0 && o["ThrottlingBurstLimit"] == 20.0
		}) {
			t.Errorf("the open route has no limit of its own: %v", settings)
		}
	}
}

// TestPushRules: each event that tells of a commit comes to the function, or to the dead letters.
func TestPushRules(t *testing.T) {
	rules, queue := map[string]object{}, "${EventsDead"
	for id, r := range slipway.of(t, "AWS::Events::Rule") {
		targets := r.at("Targets").([]any)
		target := targets[0].(object)
		if len(targets) != 1 || target["Arn"] != "${CommitFunction.Arn}" {
			continue
		}
		dead := fmt.Sprint(target["DeadLetterConfig"].(object)["Arn"])
		if retry := target["RetryPolicy"].(object); !strings.HasPrefix(dead, queue) || retry["MaximumRetryAttempts"] != 20.0 || retry["MaximumEventAgeInSeconds"] != 3600.0 {
			t.Errorf("%s: %v", id, target)
		}
		pattern := r.at("EventPattern").(object)
		rules[fmt.Sprint(r.at("EventBusName"))+" "+fmt.Sprint(pattern["source"])+" "+fmt.Sprint(pattern["detail-type"])] = pattern
		called := 0
		for _, p := range slipway.of(t, "AWS::Lambda::Permission") {
			if p.text("Principal") == "events.amazonaws.com" && p.text("SourceArn") == "${"+id+".Arn}" && p.text("FunctionName") == "${CommitFunction}" {
				called++
			}
		}
		if called != 1 {
			t.Errorf("%s may call the function by %d permissions", id, called)
		}
	}
	var got []string
	for name := range rules {
		got = append(got, strings.NewReplacer(busName(t), "BUS").Replace(name))
	}
	slices.Sort(got)
	want := []string{"<nil> [aws.codecommit] [CodeCommit Repository State Change]", "<nil> [slipway] [Commit Pushed]", "BUS [slipway] [Commit Pushed]"}
	if !slices.Equal(got, want) {
		t.Errorf("rules %q, want %q", got, want)
	}
	detail := rules[want[0]]["detail"]
	if fmt.Sprint(detail) != "map[event:[referenceCreated referenceUpdated referenceDeleted] referenceType:[branch]]" {
		t.Errorf("of CodeCommit: %v", detail)
	}
}

func busName(t *testing.T) string {
	for id := range slipway.of(t, "AWS::Events::EventBus") {
		return "${" + id + "}"
	}
	return "?"
}

func TestDeadEvents(t *testing.T) {
	for id, q := range slipway.of(t, "AWS::SQS::Queue") {
		if !slices.Contains([]string{"slipway-dead-events", "slipway-dead-notifications"}, q.text("QueueName")) || q.at("SqsManagedSseEnabled") != true || q.at("MessageRetentionPeriod") != 1209600.0 {
			t.Errorf("%s: %v", id, q.Properties)
		}
	}
	for _, c := range slipway.of(t, "AWS::Lambda::EventInvokeConfig") {
		if c.text("FunctionName") == "${NotifyFunction}" {
			continue // TestChannels
		}
		to := fmt.Sprint(c.at("DestinationConfig", "OnFailure", "Destination"))
		if !strings.HasPrefix(to, "${EventsDead") || c.at("MaximumRetryAttempts") != 2.0 || c.text("FunctionName") != "${CommitFunction}" {
			t.Errorf("%v", c.Properties)
		}
	}
	for id, p := range slipway.of(t, "AWS::SQS::QueuePolicy") {
		for _, s := range p.at("PolicyDocument", "Statement").([]any) {
			s := s.(object)
			text := fmt.Sprint(s["Condition"])
			switch {
			case s["Effect"] == "Deny":
				if !strings.Contains(text, "aws:SecureTransport:false") {
					t.Errorf("%s denies on %s", id, text)
				}
			case s["Action"] != "sqs:SendMessage" || fmt.Sprint(s["Principal"]) != "map[Service:events.amazonaws.com]" || strings.Count(text, ".Arn}") != map[bool]int{true: 3, false: 1}[strings.HasPrefix(id, "EventsDead")]:
				t.Errorf("%s allows %v", id, s)
			}
		}
	}
}

// counts reports whether a filter pattern that joins comparisons of text by && holds for a line of a log.
func counts(t *testing.T, pattern string, line map[string]string) bool {
	t.Helper()
	inner := strings.TrimSuffix(strings.TrimPrefix(pattern, "{"), "}")
	for _, term := range strings.Split(inner, "&&") {
		var field, operator, value string
		if n, err := fmt.Sscanf(strings.Trim(term, " ()"), "$.%s %s %q", &field, &operator, &value); n != 3 || err != nil || operator != "=" && operator != "!=" {
			t.Fatalf("%q is none of $.FIELD = \"VALUE\" and !=: %v", term, err)
		}
		if (line[field] == value) != (operator == "=") {
			return false
		}
	}
	return true
}

// TestTooLarge: what a caller of the account sends and no function sees, since it is too large, rings an alarm, by the access log's
// status and caller, which are text there. What a stranger sends rings none.
func TestTooLarge(t *testing.T) {
	filters := slipway.of(t, "AWS::Logs::MetricFilter")
	if len(filters) != 1 {
		t.Fatalf("%d metric filters", len(filters))
	}
	for _, f := range filters {
		made := f.at("MetricTransformations").([]any)[0].(object)
		for _, c := range []struct {
			who  string
			line map[string]string
			want bool
		}{
			{"a stranger's request that is too large", map[string]string{"status": "413", "caller": "-"}, false},
			{"a stranger's wrong signature", map[string]string{"status": "401", "caller": "-"}, false},
			{"an IAM caller's request that is too large", map[string]string{"status": "413", "caller": "AROAEXAMPLE:ci"}, true},
			{"an IAM caller's request", map[string]string{"status": "202", "caller": "AROAEXAMPLE:ci"}, false},
		} {
			if got := counts(t, f.text("FilterPattern"), c.line); got != c.want {
				t.Errorf("%s counts: %v, want %v", c.who, got, c.want)
			}
		}
		if made["MetricNamespace"] != "Slipway" || made["MetricName"] != "RequestsTooLarge" || made["MetricValue"] != "1" {
			t.Errorf("filter %v", f)
		}
		for _, stage := range slipway.of(t, "AWS::ApiGateway::Stage") {
			group := strings.TrimSuffix(strings.TrimPrefix(f.text("LogGroupName"), "${"), "}")
			if s := stage.at("AccessLogSetting").(object); group == "" || !strings.Contains(fmt.Sprint(s["DestinationArn"]), group) || !strings.Contains(fmt.Sprint(s["Format"]), `"status":"$context.status"`) ||
				!strings.Contains(fmt.Sprint(s["Format"]), `"caller":"$context.identity.caller"`) {
				t.Errorf("the access log %v is not that of %s", s, group)
			}
		}
	}
	for _, alarm := range slipway.of(t, "AWS::CloudWatch::Alarm") {
		if alarm.text("AlarmName") == "slipway-request-too-large" && alarm.text("MetricName") == "RequestsTooLarge" && alarm.at("Threshold") == 1.0 {
			return
		}
	}
	t.Error("no alarm")
}
