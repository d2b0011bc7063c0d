package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/api/apitest"
	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
	"github.com/slipway-cd/slipway/internal/problem"
	"github.com/slipway-cd/slipway/internal/trigger"
)

func contract(t *testing.T) *apitest.Contract {
	t.Helper()
	c, err := apitest.NewContract(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDocumentIsOpenAPI holds the document to the OpenAPI Initiative's own schema of 3.1, and each of its schemas to JSON
// Schema's.
func TestDocumentIsOpenAPI(t *testing.T) {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(datamodel.OpenAPI31SchemaData))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:openapi", schema); err != nil {
		t.Fatal(err)
	}
	openAPI, err := c.Compile("urn:openapi")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.Document()))
	if err != nil {
		t.Fatal(err)
	}
	if err := openAPI.Validate(doc); err != nil {
		t.Error(err)
	}
	if err := c.AddResource("urn:document", doc); err != nil {
		t.Fatal(err)
	}
	for name := range schemas(t) {
		if _, err := c.Compile("urn:document#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
}

func schemas(t *testing.T) map[string]map[string]any {
	t.Helper()
	var doc struct {
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal(api.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Components.Schemas
}

// TestDocumentHasTheRoutes: no more, and no less.
func TestDocumentHasTheRoutes(t *testing.T) {
	got, want := ours(contract(t).Routes()), world(t).Control(quiet()).Routes()
	if !slices.Equal(got, want) {
		t.Errorf("openapi.json has\n%s\nthe API\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// ours leaves out the one route that another function serves.
func ours(routes []string) []string {
	return slices.DeleteFunc(routes, func(route string) bool { return route == "POST /webhooks/github" })
}

// TestProblemTypes: the code, the document and docs/api.md know the same ones.
func TestProblemTypes(t *testing.T) {
	manual, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	want := problem.Types()
	told := map[int]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([0-9]{3}) \\|").FindAllStringSubmatch(string(manual), -1) {
		status, _ := strconv.Atoi(row[2])
		told[status] = "urn:slipway:problem:" + row[1]
	}
	if !maps.Equal(told, want) {
		t.Errorf("docs/api.md has %v; the code %v", told, want)
	}
	var listed struct{ Enum []string }
	text, _ := json.Marshal(schemas(t)["ProblemType"])
	if err := json.Unmarshal(text, &listed); err != nil {
		t.Fatal(err)
	}
	slices.Sort(listed.Enum)
	if all := slices.Sorted(maps.Values(want)); !slices.Equal(listed.Enum, all) {
		t.Errorf("openapi.json has %v; the code %v", listed.Enum, all)
	}
}

// TestDocumentHasTheFields compares the schemas with the types that are read and written, member by member.
func TestDocumentHasTheFields(t *testing.T) {
	known := schemas(t)
	for name, v := range map[string]any{
		"Problem": api.Problem{}, "Fault": api.Fault{}, "DeploymentRequest": api.DeploymentRequest{}, "EnvironmentDeploymentRequest": api.EnvironmentDeploymentRequest{}, "RollbackRequest": api.RollbackRequest{},
		"Deployment": deploy.Deployment{}, "Summary": api.Summary{}, "DeploymentPage": api.DeploymentPage{}, "LinePage": api.LinePage{},
		"AppRequest": deploy.App{}, "App": deploy.App{}, "AppPage": api.AppPage{}, "SettingsRequest": deploy.Settings{}, "SourceRequest": deploy.Source{},
		"ScriptTarget": deploy.Target{}, "LambdaTarget": deploy.Target{}, "Environment": api.Environment{},
		"FlagPage": api.FlagPage{}, "VersionPage": api.VersionPage{}, "Changes": api.Changes{}, "CopyRequest": api.CopyRequest{}, "Reason": api.Reason{},
		"RolloutRequest": api.RolloutRequest{}, "RestoreRequest": api.RestoreRequest{}, "ExplainRequest": api.ExplainRequest{},
		"Explanation": flag.Explanation{}, "Export": api.Export{}, "KeyRequest": api.KeyRequest{}, "KeyPage": api.KeyPage{}, "NewKey": api.NewKey{},
		"Segment": api.Segment{}, "SegmentPage": api.SegmentPage{},
		"Version": board.Version{}, "Schedule": flag.Schedule{}, "PushAnswer": trigger.Answer{},
	} {
		sameFields(t, known, name, reflect.TypeOf(v))
	}
}

// sameFields compares a type with a schema, and what they hold with what that refers to.
func sameFields(t *testing.T, known map[string]map[string]any, name string, of reflect.Type) {
	t.Helper()
	properties, _ := known[name]["properties"].(map[string]any)
	fields := fieldsOf(of)
	got, want := slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(fields))
	if !slices.Equal(got, want) {
		t.Errorf("openapi.json, schema %s, has %v; %s has %v", name, got, of, want)
		return
	}
	for field, held := range fields {
		text, _ := json.Marshal(properties[field])
		if _, to, ok := strings.Cut(string(text), `"#/components/schemas/`); ok && held.Kind() == reflect.Struct && held != reflect.TypeFor[time.Time]() {
			to, _, _ = strings.Cut(to, `"`)
			sameFields(t, known, to, held)
		}
	}
}

// fieldsOf lists a struct's JSON members with what they hold, without the lists and pointers around it.
func fieldsOf(of reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || f.Anonymous || name == "script_slot" { // which the API doesn't show
			continue
		}
		held := f.Type
		for held.Kind() == reflect.Pointer || held.Kind() == reflect.Slice || held.Kind() == reflect.Map {
			held = held.Elem()
		}
		fields[name] = held
	}
	return fields
}

// TestPages: every route that has pages gives in pages of one what it gives in one page, in the same order.
func TestPages(t *testing.T) {
	c := world(t)
	for _, name := range []string{"till", "depot"} {
		a, err := c.App(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		a.Name = name
		if err := c.PutApp(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	h, paged := served(t, c.Control(quiet())), 0
	for _, key := range []string{"a", "b", "c"} {
		ask(h, "PUT "+preview+"/flags/"+key, `{"enabled":true}`)
		ask(h, "PUT "+preview+"/flags/a if-match=*", `{"users":["`+key+`"]}`)
	}
	for _, route := range ours(contract(t).Routes()) {
		path, reads := strings.CutPrefix(route, "GET ")
		environment := "preview"
		if strings.Contains(route, "/deployments") {
			environment = "production"
		}
		path = strings.NewReplacer("{app}", "shop", "{environment}", environment, "{id}", live, "{key}", "a").Replace(path)
		if !reads || ask(h, "GET "+path+"?limit=100", "").Code != 200 {
			continue
		}
		paged++
		if got, want := pages(t, h, path, 1), pages(t, h, path, 100); len(want) < 2 || !slices.Equal(got, want) {
			t.Errorf("%s: in pages of one\n%s\nat once\n%s", route, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if paged != 9 {
		t.Errorf("%d routes have pages", paged)
	}
}

// pages reads a list to its end, an item a text.
func pages(t *testing.T, h http.Handler, path string, limit int) (items []string) {
	t.Helper()
	for cursor := ""; ; {
		w := ask(h, fmt.Sprintf("GET %s?limit=%d&cursor=%s", path, limit, cursor), "")
		var page map[string]json.RawMessage
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, list := range page {
			var all []json.RawMessage
			if json.Unmarshal(list, &all) == nil {
				for _, each := range all {
					items = append(items, string(each))
				}
			}
		}
		var next string
		_ = json.Unmarshal(page["next_cursor"], &next) // "" where there is none
		if next == "" || next == cursor {              // a log's is there at its end too
			return items
		}
		cursor = next
	}
}

// TestUnknownParameters: no route lets one pass.
func TestUnknownParameters(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	for _, route := range ours(contract(t).Routes()) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{app}", "shop", "{environment}", "production", "{id}", live, "{key}", "cart", "{keyid}", "key-aaaaaaaaaaaaaaaa").Replace(path)
		w := ask(h, method+" "+path+"?limt=1", "")
		if w.Code != 400 || !strings.Contains(w.Body.String(), `"field":"limt"`) {
			t.Errorf("%s: %d %s", route, w.Code, w.Body)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	w := ask(served(t, world(t).Control(quiet())), "GET /v1/openapi.json", "")
	var got, want any
	if json.Unmarshal(w.Body.Bytes(), &got) != nil || json.Unmarshal(api.Document(), &want) != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d %.200s", w.Code, w.Body)
	}
}

// TestContractTells has the check see what it is there for: each of these answers but one is wrong in one way.
func TestContractTells(t *testing.T) {
	page := `{"deployments":[]}`
	for name, each := range map[string]struct {
		line, body string
		answer     func(w *httptest.ResponseRecorder)
	}{
		"":          {"GET /v1/deployments", page, nil},
		"status":    {"GET /v1/deployments", page, func(w *httptest.ResponseRecorder) { w.Code = 203 }},
		"media":     {"GET /v1/deployments", page, func(w *httptest.ResponseRecorder) { w.Header().Set("Content-Type", "text/html") }},
		"header":    {"GET /v1/deployments", page, func(w *httptest.ResponseRecorder) { w.Header().Del("X-Request-Id") }},
		"no ETag":   {"GET /v1/deployments", page, func(w *httptest.ResponseRecorder) { w.Header().Del("ETag") }},
		"ETag":      {"GET /v1/deployments", page, func(w *httptest.ResponseRecorder) { w.Header().Set("ETag", "1") }},
		"body":      {"GET /v1/deployments", `{"deployments":[{"id":"7"}]}`, nil},
		"query":     {"GET /v1/deployments?limit=200", page, nil},
		"unknown":   {"GET /v1/deployments?limt=2", page, nil},
		"path":      {"GET /v1/apps/S", `{"name":"shop","source":{"type":"bundle"},"environments":{},"version":1}`, nil},
		"no route":  {"GET /v1/nothing", page, nil},
		"no method": {"DELETE /v1/deployments", page, nil},
	} {
		c, w := contract(t), httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "7")
		w.Header().Set("ETag", `"1"`)
		w.Body.WriteString(each.body)
		if each.answer != nil {
			each.answer(w)
		}
		method, target, _ := strings.Cut(each.line, " ")
		if err := c.Hold(httptest.NewRequest(method, target, nil), nil, w); (err == nil) != (name == "") {
			t.Errorf("%q: it says %v", name, err)
		}
	}
}

// TestAppExamples lets in each form of an app that the document shows: every kind of source, every channel.
func TestAppExamples(t *testing.T) {
	var doc struct {
		Paths map[string]struct {
			Put struct {
				RequestBody struct {
					Content map[string]struct {
						Examples map[string]struct{ Value json.RawMessage }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(api.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	examples := doc.Paths["/v1/apps/{app}"].Put.RequestBody.Content["application/json"].Examples
	if len(examples) < 4 {
		t.Fatalf("%d examples of apps", len(examples))
	}
	for name, example := range examples {
		if w := ask(served(t, world(t).Control(quiet())), "PUT /v1/apps/shop", string(example.Value)); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
