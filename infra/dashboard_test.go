package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/pipeline"
)

// emitted are the metrics of AWS's own that the dashboard may show, by what their dimension names. As in AWS's documentation:
// "Types of metrics for Lambda functions", "Monitoring Step Functions metrics", "Amazon API Gateway dimensions and metrics".
var emitted = map[string]struct{ dimension, resource, names string }{
	"AWS/Lambda":     {"FunctionName", "AWS::Lambda::Function", "Invocations Errors Throttles Duration ConcurrentExecutions UrlRequestCount Url4xxCount Url5xxCount UrlRequestLatency"},
	"AWS/States":     {"StateMachineArn", "AWS::StepFunctions::StateMachine", "ExecutionsStarted ExecutionsSucceeded ExecutionsFailed ExecutionsAborted ExecutionsTimedOut ExecutionThrottled ExecutionTime"},
	"AWS/ApiGateway": {"ApiName", "AWS::ApiGateway::RestApi", "Count 4XXError 5XXError Latency IntegrationLatency"},
}

// printed are our own, by what they are told apart by, with its values.
var printed = map[string]struct {
	by     string
	values []string
}{
	pipeline.DeploymentsMetric: {pipeline.ByStatus, []string{string(deploy.Success), string(deploy.Failed), string(deploy.RolledBack), string(deploy.Aborted)}},
	pipeline.DurationMetric:    {pipeline.ByAction, []string{string(deploy.Deploy), string(deploy.Rollback)}},
	pipeline.StageMetric:       {pipeline.ByStage, infra.DashboardStages},
	infra.StaleMetric:          {},
	infra.PoisonedMetric:       {},
}

type widget struct {
	Type       string
	Properties struct {
		Title   string
		Metrics [][]any
		Query   string
		Alarms  []string
	}
}

func dashboard(t *testing.T) []widget {
	t.Helper()
	var body struct{ Widgets []widget }
	for _, d := range slipway.of(t, "AWS::CloudWatch::Dashboard") {
		if err := json.Unmarshal([]byte(d.text("DashboardBody")), &body); err != nil {
			t.Fatal(err)
		}
	}
	return body.Widgets
}

// TestDashboardShowsWhatThereIs: every metric is one that AWS emits for a resource of this template, or that our code prints.
func TestDashboardShowsWhatThereIs(t *testing.T) {
	shown := map[string]bool{}
	for _, w := range dashboard(t) {
		for _, m := range w.Properties.Metrics {
			namespace, name, dimensions := fmt.Sprint(m[0]), fmt.Sprint(m[1]), texts(m[2:])
			shown[name+" "+strings.Join(dimensions, "=")] = true
			if err := known(t, namespace, name, dimensions); err != nil {
				t.Errorf("%s: %v: %v", w.Properties.Title, m, err)
			}
		}
	}
	for name, of := range printed {
		for _, value := range of.values {
			if !shown[name+" "+of.by+"="+value] {
				t.Errorf("the dashboard lacks %s of %s %s", name, of.by, value)
			}
		}
	}
}

// texts leaves out how a metric is drawn.
func texts(m []any) []string {
	var all []string
	for _, each := range m {
		if text, ok := each.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func known(t *testing.T, namespace, name string, dimensions []string) error {
	t.Helper()
	if namespace == infra.Namespace {
		of, ok := printed[name]
		if !ok || of.by == "" && len(dimensions) > 0 || of.by != "" && (len(dimensions) != 2 || dimensions[0] != of.by || !slices.Contains(of.values, dimensions[1])) {
			return fmt.Errorf("nobody prints it; %v", of)
		}
		return nil
	}
	of, ok := emitted[namespace]
	if !ok || !slices.Contains(strings.Fields(of.names), name) || len(dimensions) != 2 || dimensions[0] != of.dimension {
		return fmt.Errorf("AWS has no such metric; of %s there are %s by %s", namespace, of.names, of.dimension)
	}
	for id, r := range slipway.of(t, of.resource) {
		if dimensions[1] == "${"+id+"}" || dimensions[1] == "${"+id+".Arn}" || dimensions[1] == r.text("Name") {
			return nil
		}
	}
	return fmt.Errorf("no %s of the template is %s", of.resource, dimensions[1])
}

// TestDashboardStages: what it shows are names that stages have on the record.
func TestDashboardStages(t *testing.T) {
	functions := infra.Functions()
	for _, stage := range infra.DashboardStages {
		if stage != "checkrollback" && !slices.Contains(functions, stage) { // CheckRollback is the function healthcheck again
			t.Errorf("no stage is called %s", stage)
		}
	}
}

// TestDashboardsQuery: what it asks Settle's log for is what Settle prints there.
func TestDashboardsQuery(t *testing.T) {
	source, err := os.ReadFile("../internal/pipeline/measure.go")
	if err != nil {
		t.Fatal(err)
	}
	queries, alarms := 0, 0
	for _, w := range dashboard(t) {
		alarms += len(w.Properties.Alarms)
		if w.Type != "log" {
			continue
		}
		queries++
		if !strings.Contains(w.Properties.Query, "SOURCE '${FunctionsSettleLogs") {
			t.Errorf("it asks %s", w.Properties.Query)
		}
		for _, match := range regexp.MustCompile(`latest\((\w+)\)|ispresent\((\w+)\)`).FindAllStringSubmatch(w.Properties.Query, -1) {
			if name := match[1] + match[2]; !strings.Contains(string(source), `"`+name+`"`) {
				t.Errorf("Settle prints no %s", name)
			}
		}
	}
	if want := len(slipway.of(t, "AWS::CloudWatch::Alarm")); queries != 1 || alarms != want {
		t.Errorf("%d queries, %d of %d alarms", queries, alarms, want)
	}
}

// TestStartsAreLimited: what starts an execution has a limit of its own, below the whole stage's.
func TestStartsAreLimited(t *testing.T) {
	for _, stage := range slipway.of(t, "AWS::ApiGateway::Stage") {
		limits := map[string]any{}
		for _, each := range objects(stage.at("MethodSettings")) {
			limits[fmt.Sprint(each["HttpMethod"], " ", each["ResourcePath"])] = each["ThrottlingRateLimit"]
		}
		whole := limits["* /*"].(float64)
		for _, route := range []string{"POST /~1v1~1deployments", "POST /~1v1~1deployments~1{id}~1rollback",
			"POST /~1v1~1apps~1{app}~1environments~1{environment}~1rollback", "POST /~1v1~1deployments~1{id}~1repair",
			"POST /~1v1~1deployments~1{id}~1repair~1to", "POST /~1v1~1deployments~1{id}~1repair~1skip-scripts",
			"POST /~1v1~1deployments~1{id}~1repair~1declare", "POST /~1v1~1deployments~1{id}~1repair~1deployment"} {
			if rate, ok := limits[route].(float64); !ok || rate >= whole {
				t.Errorf("%s is let in %v times a second, of %v", route, limits[route], whole)
			}
		}
	}
}

func objects(v any) []object {
	var all []object
	for _, each := range v.([]any) {
		all = append(all, each.(object))
	}
	return all
}
