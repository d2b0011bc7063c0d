package infra_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/buildsession"
	"github.com/slipway-cd/slipway/internal/problem"
)

// buildRoute is the route of the builds' sessions. It is no part of the control API: its callers are builds alone.
const buildRoute = "POST " + buildsession.Path

// TestBuildRoute: who calls it has to sign, and it leads to its own function.
func TestBuildRoute(t *testing.T) {
	found := 0
	for _, m := range slipway.of(t, "AWS::ApiGateway::Method") {
		if m.text("HttpMethod")+" "+pathOf(slipway, m.text("ResourceId")) != buildRoute {
			continue
		}
		found++
		if uri := m.text("Integration", "Uri"); m.text("AuthorizationType") != "AWS_IAM" || !strings.HasSuffix(uri, "/functions/${BuildsessionFunction.Arn}/invocations") {
			t.Errorf("it is open to %q and leads to %v", m.text("AuthorizationType"), uri)
		}
	}
	if found != 1 {
		t.Errorf("%d routes %s, want 1", found, buildRoute)
	}
}

func TestRoutes(t *testing.T) {
	var got []string
	for id, m := range slipway.of(t, "AWS::ApiGateway::Method") {
		route := m.text("HttpMethod") + " " + pathOf(slipway, m.text("ResourceId"))
		if route == openRoute || route == buildRoute {
			continue // TestOpenRoute, TestBuildRoute
		}
		got = append(got, route)
		if m.text("AuthorizationType") != "AWS_IAM" {
			t.Errorf("%s (%s) is open to %q", route, id, m.text("AuthorizationType"))
		}
		uri := m.text("Integration", "Uri")
		if m.text("Integration", "Type") != "AWS_PROXY" || !strings.HasSuffix(uri, "/functions/${ApiFunction.Arn}/invocations") {
			t.Errorf("%s goes to %v", route, m.at("Integration"))
		}
	}
	slices.Sort(got)
	if want := new(api.Control).Routes(); !slices.Equal(got, want) {
		t.Errorf("the API has the routes\n%s\nand its function serves\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestDocumentIsOfTheStack: the OpenAPI document has the routes of the REST API, and calls open the one that is.
func TestDocumentIsOfTheStack(t *testing.T) {
	var got, want []string
	for _, m := range slipway.of(t, "AWS::ApiGateway::Method") {
		if route := m.text("HttpMethod") + " " + pathOf(slipway, m.text("ResourceId")); route != buildRoute {
			want = append(want, route+" "+strconv.FormatBool(m.text("AuthorizationType") == "AWS_IAM"))
		}
	}
	var doc struct {
		Security []any
		Paths    map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(api.Document(), &doc); err != nil || len(doc.Security) != 1 {
		t.Fatalf("%v, %v", doc.Security, err)
	}
	for path, methods := range doc.Paths {
		for method, text := range methods {
			if method == "parameters" {
				continue
			}
			var op struct{ Security *[]any }
			if err := json.Unmarshal(text, &op); err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.ToUpper(method)+" "+path+" "+strconv.FormatBool(op.Security == nil))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("openapi.json has\n%s\nthe stack\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRefusalsAreProblems: what API Gateway refuses by itself reads as what the function refuses.
func TestRefusalsAreProblems(t *testing.T) {
	got := map[string]int{}
	for id, r := range slipway.of(t, "AWS::ApiGateway::GatewayResponse") {
		var p api.Problem
		text := strings.ReplaceAll(r.text("ResponseTemplates", "application/json"), "$context.error.messageString", `"no"`)
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatalf("%s: %v in %s", id, err, text)
		}
		urn, title := problem.Type(p.Status)
		if p.Type != urn || p.Title != title || p.Detail != "no" || p.RequestID != "$context.requestId" || r.text("StatusCode") != strconv.Itoa(p.Status) {
			t.Errorf("%s: %+v", id, p)
		}
		headers, _ := r.at("ResponseParameters").(object)
		if headers["gatewayresponse.header.Content-Type"] != "'application/problem+json'" || (headers["gatewayresponse.header.Retry-After"] == "'1'") != (p.Status == 429) {
			t.Errorf("%s: %v", id, headers)
		}
		got[r.text("ResponseType")] = p.Status
	}
	want := map[string]int{"ACCESS_DENIED": 403, "EXPIRED_TOKEN": 403, "INVALID_SIGNATURE": 403, "MISSING_AUTHENTICATION_TOKEN": 403,
		"REQUEST_TOO_LARGE": 413, "THROTTLED": 429}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func pathOf(in template, id string) string {
	r, ok := in.Resources[strings.Trim(id, "${}")]
	if !ok {
		return "" // the root
	}
	return pathOf(in, r.text("ParentId")) + "/" + r.text("PathPart")
}

func TestStage(t *testing.T) {
	for _, stage := range slipway.of(t, "AWS::ApiGateway::Stage") {
		settings, _ := stage.at("MethodSettings").([]any)
		if !slices.ContainsFunc(settings, func(s any) bool {
			return s.(object)["ThrottlingRateLimit"] != nil && s.(object)["ResourcePath"] == "/*"
		}) {
			t.Errorf("not every route is throttled: %v", settings)
		}
		format := stage.text("AccessLogSetting", "Format")
		if !strings.Contains(format, "$context.status") || strings.Contains(format, "body") {
			t.Errorf("the access log has the format %s", format)
		}
	}
	for id, p := range slipway.of(t, "AWS::Lambda::Permission") {
		if strings.HasPrefix(id, "FlagsUrl") || strings.HasPrefix(id, "Pushes") || strings.HasPrefix(id, "NotificationsChanged") {
			continue // TestFlagsURL, TestPushRules, TestChannels
		}
		if strings.HasPrefix(id, "Sweep") {
			continue // TestSecondDoor
		}
		if p.text("Principal") != "apigateway.amazonaws.com" || !strings.Contains(p.text("SourceArn"), ":${ApiRestApi") {
			t.Errorf("%s lets others than our API in: %v", id, p.Properties)
		}
	}
}

func TestTables(t *testing.T) {
	tables := slipway.of(t, "AWS::DynamoDB::Table")
	if len(tables) != 2 {
		t.Errorf("%d tables, want 2", len(tables))
	}
	for id, r := range tables {
		if r.text("BillingMode") != "PAY_PER_REQUEST" {
			t.Errorf("%s is not on demand", id)
		}
		if r.at("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") != true {
			t.Errorf("%s can't be restored to a point in time", id)
		}
		// Without a word DynamoDB encrypts with a key of AWS's own; it can't be switched off.
		if s, ok := r.at("SSESpecification").(object); ok && s["SSEEnabled"] != true {
			t.Errorf("%s has another encryption: %v", id, s)
		}
		// A protected table would stop CloudFormation from taking a failed first deployment back.
		if r.DeletionPolicy != "RetainExceptOnCreate" || r.UpdateReplacePolicy != "Retain" || r.at("DeletionProtectionEnabled") == true {
			t.Errorf("%s goes with its stack, or stays when its first deployment fails: %s, %s", id, r.DeletionPolicy, r.UpdateReplacePolicy)
		}
		if got := otherSlipway.Resources[id].DeletionPolicy; got != "Delete" {
			t.Errorf("%s with removal=destroy: %s", id, got)
		}
	}
}

func TestIndexes(t *testing.T) {
	want := map[string]string{"by-environment": "app_environment", "by-app": "app", "by-time": "kind"}
	for _, r := range slipway.of(t, "AWS::DynamoDB::Table") {
		indexes, _ := r.at("GlobalSecondaryIndexes").([]any)
		for _, each := range indexes {
			index := resource{Properties: each.(object)}
			name, keys := index.text("IndexName"), index.at("KeySchema").([]any)
			if name == "open" {
				continue // TestSecondDoor
			}
			partition, sort := keys[0].(object)["AttributeName"], keys[1].(object)["AttributeName"]
			if partition != want[name] || sort != "id" {
				t.Errorf("%s has the keys %v and %v", name, partition, sort)
			}
			projected := append(list(index.at("Projection", "NonKeyAttributes")), "app", "id")
			for _, attribute := range []string{"app", "environment", "status", "commit_sha", "branch", "start_time", "end_time", "error",
				"dirty", "rollback_from", "superseded_by", "action"} {
				if !slices.Contains(projected, attribute) {
					t.Errorf("%s lacks %s", name, attribute)
				}
			}
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("no indexes %v", sorted(want))
	}
}

func TestBucket(t *testing.T) {
	for id, b := range slipway.of(t, "AWS::S3::Bucket") {
		rules, _ := b.at("BucketEncryption", "ServerSideEncryptionConfiguration").([]any)
		if len(rules) != 1 || b.DeletionPolicy != "RetainExceptOnCreate" || b.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s: encryption %v, deletion %s", id, rules, b.DeletionPolicy)
		}
		for _, name := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if b.at("PublicAccessBlockConfiguration", name) != true {
				t.Errorf("%s: not %s", id, name)
			}
		}
	}
	for _, p := range slipway.of(t, "AWS::S3::BucketPolicy") {
		text, _ := json.Marshal(p.Properties)
		if !strings.Contains(string(text), `"Effect":"Deny"`) || !strings.Contains(string(text), `"aws:SecureTransport":"false"`) || strings.Contains(string(text), `"Allow"`) {
			t.Errorf("the bucket's policy is %s", text)
		}
	}
}

func TestLogsAreKeptForATime(t *testing.T) {
	for _, each := range []struct {
		in   template
		days float64
	}{{slipway, 30}, {shop, 30}, {otherSlipway, 7}, {otherShop, 7}} {
		for id, g := range each.in.of(t, "AWS::Logs::LogGroup") {
			if g.at("RetentionInDays") != each.days {
				t.Errorf("%s keeps logs for %v days, want %v", id, g.at("RetentionInDays"), each.days)
			}
		}
		for id, f := range each.in.of(t, "AWS::Lambda::Function") {
			group := each.in.Resources[strings.Trim(f.text("LoggingConfig", "LogGroup"), "${}")]
			if group.text("LogGroupName") != "/aws/lambda/"+f.text("FunctionName") {
				t.Errorf("%s logs into %v", id, f.at("LoggingConfig"))
			}
		}
	}
	if group := slipway.Outputs["LogGroup"].(object)["Value"]; slipway.Resources[strings.Trim(group.(string), "${}")].text("LogGroupName") != infra.OutputGroup {
		t.Errorf("the output LogGroup is %v", group)
	}
}

func TestFunctions(t *testing.T) {
	folders, err := filepath.Glob("../functions/*/main.go")
	if err != nil || len(folders) == 0 {
		t.Fatal("no functions:", err)
	}
	want := []string{infra.ShopFunction}
	for _, file := range folders {
		want = append(want, "slipway-"+filepath.Base(filepath.Dir(file)))
	}
	var got []string
	for _, in := range []template{slipway, shop} {
		for id, f := range in.of(t, "AWS::Lambda::Function") {
			got = append(got, f.text("FunctionName"))
			if f.text("Runtime") != "provided.al2023" || f.text("Handler") != "bootstrap" || list(f.at("Architectures"))[0] != "arm64" {
				t.Errorf("%s: %v", id, f.Properties)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("functions %v, want %v", got, want)
	}
	for id, f := range otherSlipway.of(t, "AWS::Lambda::Function") {
		if list(f.at("Architectures"))[0] != "x86_64" || f.text("Code", "S3Bucket") != "builds" {
			t.Errorf("%s: %v, code in %v", id, f.at("Architectures"), f.at("Code"))
		}
	}
}

// TestVariables: each function has all variables that the mains ask for and no other, but those of the builds' sessions, which their
// function has alone.
func TestVariables(t *testing.T) {
	asked := map[string]bool{"SLIPWAY_FLAGS_TABLE": true}
	for _, pattern := range []string{"../functions/*/main.go", "../internal/boot/*.go", "../internal/boot/*/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`"(SLIPWAY_[A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
				asked[match[1]] = true
			}
		}
	}
	ofBuilds := []string{"SLIPWAY_BUILD_PROJECT", "SLIPWAY_BUILD_ROLE", "SLIPWAY_JOB_ROLE"}
	for id, f := range slipway.of(t, "AWS::Lambda::Function") {
		want := slices.DeleteFunc(sorted(asked), func(name string) bool {
			return id != "BuildsessionFunction" && slices.Contains(ofBuilds, name)
		})
		if got := sorted(f.at("Environment", "Variables").(object)); !slices.Equal(got, want) {
			t.Errorf("%s has the variables %v, the functions ask for %v", id, got, want)
		}
	}
}

func TestOutputs(t *testing.T) {
	want := []string{"Api", "Bucket", "DeploymentsTable", "EventBus", "FlagsTable", "FlagsUrl", "LogGroup", "StateMachineArn"}
	if got := sorted(slipway.Outputs); !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	if got := sorted(shop.Outputs); !slices.Equal(got, []string{"ShopUrl"}) {
		t.Errorf("the shop's outputs: %v", got)
	}
}

// CloudFormation must see no change in what Slipway moves, whatever else changes: another build, another setting.
func TestUpdatesLeaveTheShopsTrafficAlone(t *testing.T) {
	for _, kind := range []string{"AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::Url", "AWS::Lambda::Permission"} {
		before, after := shop.of(t, kind), otherShop.of(t, kind)
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s changes with the build:\n%v\n%v", kind, before, after)
		}
	}
	for id, v := range shop.of(t, "AWS::Lambda::Version") {
		if v.DeletionPolicy != "Retain" || v.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s: an update may delete what a rollback needs", id)
		}
	}
	for id, f := range shop.of(t, "AWS::Lambda::Function") {
		if reflect.DeepEqual(f.at("Code"), otherShop.Resources[id].at("Code")) {
			t.Error("the test is blind: another build has the same code")
		}
	}
}
