package ofrep_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testbed is where flagd's conformance suite lies, if it does.
const testbed = "../../../shared/conformance/flagd-testbed"

// scenarios is how many the suite (version 3.9.0) has for an evaluator without fractional v1.
const scenarios = 125

// TestConformance runs flagd's own suite as an OFREP client over HTTP. fractional v1 is what flagd had until 0.15; its
// scenarios contradict those of v2.
func TestConformance(t *testing.T) {
	features, _ := filepath.Glob(testbed + "/gherkin/*.feature")
	if len(features) == 0 {
		t.Skipf("flagd's testbed isn't at %s: nothing of it was run", testbed)
	}
	document, err := os.ReadFile(testbed + "/flags/testkit-flags.json")
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]*httptest.Server{}
	for version, text := range map[string][]byte{"": document, "v3": withHashVersion(t, document, "v3")} {
		w := newWorld(string(text))
		servers[version] = httptest.NewServer(w.server)
		defer servers[version].Close()
	}
	ran, left := 0, 0
	for _, file := range features {
		for _, s := range readFeature(t, file) {
			if slices.Contains(s.tags, "@fractional-v1") {
				left++
				continue
			}
			ran++
			version := ""
			if slices.Contains(s.tags, "@fractional-v3") {
				version = "v3"
			}
			t.Run(s.name, func(t *testing.T) { (&evaluation{url: servers[version].URL}).run(t, s) })
		}
	}
	t.Logf("%d scenarios ran, %d of fractional v1 did not", ran, left)
	if ran != scenarios {
		t.Errorf("%d scenarios, want %d: has the reader lost some, or the suite got more?", ran, scenarios)
	}
}

func withHashVersion(t *testing.T, document []byte, version string) []byte {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	for _, f := range d["flags"].(map[string]any) {
		f.(map[string]any)["hashVersion"] = version
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// evaluation is a scenario on its way: what was asked, and what a client makes of the answer.
type evaluation struct {
	url, key, kind, code string
	context              map[string]any

	value           any
	reason, failure string
	metadata        map[string]any
}

var steps = []struct {
	pattern *regexp.Regexp
	do      func(t *testing.T, e *evaluation, arg []string, table [][]string)
}{
	{regexp.MustCompile(`^an evaluator$`), func(_ *testing.T, e *evaluation, _ []string, _ [][]string) { e.context = map[string]any{} }},
	{regexp.MustCompile(`^a (\w+)-flag with key "(.*)" and a fallback value "(.*)"$`),
		func(_ *testing.T, e *evaluation, arg []string, _ [][]string) {
			e.kind, e.key, e.code = arg[0], arg[1], arg[2]
		}},
	{regexp.MustCompile(`^a context containing a key "(.*)", with type "(.*)" and with value "(.*)"$`),
		func(t *testing.T, e *evaluation, arg []string, _ [][]string) {
			e.context[arg[0]] = typed(t, arg[1], arg[2])
		}},
	{regexp.MustCompile(`^a context containing a nested property with outer key "(.*)" and inner key "(.*)", with value "(.*)"$`),
		func(_ *testing.T, e *evaluation, arg []string, _ [][]string) {
			e.context[arg[0]] = map[string]any{arg[1]: arg[2]}
		}},
	{regexp.MustCompile(`^a context containing a targeting key with value "(.*)"$`),
		func(_ *testing.T, e *evaluation, arg []string, _ [][]string) { e.context["targetingKey"] = arg[0] }},
	{regexp.MustCompile(`^the flag was evaluated with details$`),
		func(t *testing.T, e *evaluation, _ []string, _ [][]string) { e.ask(t) }},
	{regexp.MustCompile(`^the resolved details value should be "(.*)"$`),
		func(t *testing.T, e *evaluation, arg []string, _ [][]string) {
			if want := typed(t, e.kind, arg[0]); !reflect.DeepEqual(e.value, want) {
				t.Errorf("value %#v, want %#v", e.value, want)
			}
		}},
	{regexp.MustCompile(`^the reason should be "(.*)"$`), func(t *testing.T, e *evaluation, arg []string, _ [][]string) {
		if e.reason != arg[0] {
			t.Errorf("reason %s, want %s", e.reason, arg[0])
		}
	}},
	{regexp.MustCompile(`^the error-code should be "(.*)"$`), func(t *testing.T, e *evaluation, arg []string, _ [][]string) {
		if e.failure != arg[0] {
			t.Errorf("error %q, want %s", e.failure, arg[0])
		}
	}},
	{regexp.MustCompile(`^the resolved metadata is empty$`), func(t *testing.T, e *evaluation, _ []string, _ [][]string) {
		if len(e.metadata) > 0 {
			t.Errorf("metadata %v", e.metadata)
		}
	}},
	{regexp.MustCompile(`^the resolved metadata should contain$`), func(t *testing.T, e *evaluation, _ []string, table [][]string) {
		for _, row := range table[1:] {
			if want := typed(t, row[1], row[2]); !reflect.DeepEqual(e.metadata[row[0]], want) {
				t.Errorf("metadata %s: %#v, want %#v", row[0], e.metadata[row[0]], want)
			}
		}
	}},
}

func (e *evaluation) run(t *testing.T, s scenario) {
	for _, st := range s.steps {
		known := false
		for _, each := range steps {
			if arg := each.pattern.FindStringSubmatch(st.text); arg != nil {
				known = true
				each.do(t, e, arg[1:], st.table)
				break
			}
		}
		if !known {
			t.Fatalf("no such step: %s", st.text)
		}
	}
}

// ask evaluates as a client does: an error or a missing value is the code's default, a value of another type is
// TYPE_MISMATCH.
func (e *evaluation) ask(t *testing.T) {
	body, err := json.Marshal(map[string]any{"context": e.context})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, e.url+"/ofrep/v1/evaluate/flags/"+e.key, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", goodKey)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var a struct {
		Key, Reason, ErrorCode string
		Value                  any
		Metadata               map[string]any
	}
	if err := json.NewDecoder(answer.Body).Decode(&a); err != nil || a.Key != e.key {
		t.Fatalf("%s: %v, key %q", answer.Status, err, a.Key)
	}
	if (answer.StatusCode == http.StatusOK) != (a.ErrorCode == "") {
		t.Errorf("%s with the error %q", answer.Status, a.ErrorCode)
	}
	e.value, e.reason, e.failure, e.metadata = a.Value, a.Reason, a.ErrorCode, a.Metadata
	code := typed(t, e.kind, e.code)
	switch {
	case e.failure != "" || e.value == nil:
		e.value = code
	case reflect.TypeOf(e.value) != reflect.TypeOf(code):
		e.value, e.failure = code, "TYPE_MISMATCH"
	}
}

// typed reads a value as the suite writes it.
func typed(t *testing.T, kind, text string) any {
	t.Helper()
	var v any
	var err error
	switch kind {
	case "Boolean":
		v, err = strconv.ParseBool(text)
	case "Integer", "Float":
		v, err = strconv.ParseFloat(text, 64)
	case "String":
		v = text
	case "Object":
		err = json.Unmarshal([]byte(strings.ReplaceAll(text, `\"`, `"`)), &v)
	default:
		err = fmt.Errorf("no such type: %s", kind)
	}
	if err != nil {
		t.Fatalf("%s %q: %v", kind, text, err)
	}
	return v
}
