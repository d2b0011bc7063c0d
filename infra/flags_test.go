package infra_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/ofrep"
)

// TestFlagsConcurrency: the function that strangers may call takes a part of the account's concurrency, and no other reserves any.
func TestFlagsConcurrency(t *testing.T) {
	for _, c := range []struct {
		in   template
		want any
	}{{slipway, 100.0}, {otherSlipway, nil}} {
		for id, fn := range c.in.of(t, "AWS::Lambda::Function") {
			want := any(nil)
			if id == "OfrepFunction" {
				want = c.want
			}
			if got := fn.at("ReservedConcurrentExecutions"); got != want {
				t.Errorf("%s reserves %v, want %v", id, got, want)
			}
		}
	}
}

func TestFlagsURL(t *testing.T) {
	urls := slipway.of(t, "AWS::Lambda::Url")
	if len(urls) != 1 {
		t.Fatalf("%d function URLs, want 1", len(urls))
	}
	for id, u := range urls {
		if u.text("AuthType") != "NONE" || u.text("TargetFunctionArn") != "${OfrepFunction.Arn}" || u.at("Cors") != nil {
			t.Errorf("%s: %v", id, u.Properties)
		}
		if got := slipway.Outputs["FlagsUrl"].(object)["Value"]; got != "${"+id+".FunctionUrl}" {
			t.Errorf("the output FlagsUrl is %v", got)
		}
	}
	conditions := map[string]bool{}
	for id, p := range slipway.of(t, "AWS::Lambda::Permission") {
		if !strings.HasPrefix(id, "FlagsUrl") {
			continue
		}
		if p.text("FunctionName") != "${OfrepFunction}" || p.text("Principal") != "*" {
			t.Errorf("%s: %v", id, p.Properties)
		}
		conditions[p.text("Action")] = p.text("FunctionUrlAuthType") == "NONE" || p.at("InvokedViaFunctionUrl") == true
	}
	if len(conditions) != 2 || !conditions["lambda:InvokeFunctionUrl"] || !conditions["lambda:InvokeFunction"] {
		t.Errorf("permissions without their condition: %v", conditions)
	}
}

// Who evaluates reads flags and counts, and gets at nothing else: the one function that is open to everybody.
func TestWhatOFREPMay(t *testing.T) {
	for _, s := range statements(t, slipway) {
		if s.who != "slipway-ofrep" {
			continue
		}
		actions := strings.Join(s.actions, " ")
		switch {
		case actions == "logs:CreateLogStream logs:PutLogEvents":
		case actions == "dynamodb:GetItem dynamodb:UpdateItem" && len(s.resources) == 1 && strings.HasPrefix(s.resources[0], "${DataFlags"):
		default:
			t.Errorf("it may %v on %v", s.actions, s.resources)
		}
	}
}

func TestMetricsAreTheServers(t *testing.T) {
	if infra.PoisonedMetric != ofrep.PoisonedMetric || infra.StaleMetric != ofrep.StaleMetric {
		t.Error("the alarms watch metrics that nobody writes")
	}
}
