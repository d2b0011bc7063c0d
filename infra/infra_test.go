package infra_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/infra"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The templates that the tests are about: as on AWS with no setting changed, and with every setting changed.
var slipway, shop, otherSlipway, otherShop template

// example is the template of the example pipeline, which only the second has.
var example template

func TestMain(m *testing.M) {
	flag.Parse()
	code := 1
	if err := synthesize(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	jsii.Close()
	os.Exit(code)
}

func synthesize() error {
	dir, err := os.MkdirTemp("", "slipway-infra")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	usual := infra.DefaultSettings()
	if slipway, shop, err = synth(dir, "first build", usual); err != nil {
		return err
	}
	other, err := infra.ParseSettings(map[string]any{"arch": "x86_64", "removal": "destroy", "retentionDays": 7.0, "flagsConcurrency": 0.0, "targets": "one,two", "runner": "function", "buildCache": "local",
		"hookFunctions": []any{"caller"}, "repositories": "shop", "topics": "told", "pipelineRepository": "shop", "alarmTopic": "arn:aws:sns:eu-west-1:123456789012:ops", "assetsBucket": "builds",
		"apiGatewayRole": "keep"})
	if err != nil {
		return err
	}
	if otherSlipway, otherShop, err = synth(dir, "second build", other); err != nil {
		return err
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "*", "SlipwayPipeline.template.json")); len(made) != 1 {
		return fmt.Errorf("example pipelines: %v; want one, of the second build", made)
	}
	example, err = readTemplate(filepath.Join(dir, "second build.out", "SlipwayPipeline.template.json"))
	return err
}

// synth makes both templates with stubs for the functions' builds.
func synth(dir, build string, s infra.Settings) (main, shop template, err error) {
	s.FunctionsDir = filepath.Join(dir, build)
	for _, name := range infra.Functions() {
		if err := writeBootstrap(s.FunctionsDir, name, build); err != nil {
			return main, shop, err
		}
	}
	out := filepath.Join(dir, build+".out")
	if err := infra.Synth(infra.Input{Root: "..", Out: out, Settings: s}); err != nil {
		return main, shop, err
	}
	if main, err = readTemplate(filepath.Join(out, "Slipway.template.json")); err != nil {
		return main, shop, err
	}
	shop, err = readTemplate(filepath.Join(out, "SlipwayShop.template.json"))
	return main, shop, err
}

func writeBootstrap(dir, name, text string) error {
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bootstrap"), []byte(name+" "+text), 0o755)
}

// template is a CloudFormation template whose references are written as text: {"Ref": "X"} is "${X}".
type template struct {
	Resources map[string]resource
	Outputs   map[string]any
}

type resource struct {
	Type                string
	Properties          object
	DeletionPolicy      string `json:",omitempty"`
	UpdateReplacePolicy string `json:",omitempty"`
	DependsOn           any    `json:",omitempty"`
}

type object = map[string]any

func readTemplate(file string) (t template, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	var raw any
	if err := json.Unmarshal(data, &raw); err != nil {
		return t, err
	}
	if data, err = json.Marshal(flatten(raw)); err != nil {
		return t, err
	}
	return t, json.Unmarshal(data, &t)
}

// flatten writes each reference as text.
func flatten(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = flatten(v[i])
		}
	case object:
		for key := range v {
			v[key] = flatten(v[key])
		}
		if len(v) == 1 {
			return intrinsic(v)
		}
	}
	return v
}

func intrinsic(v object) any {
	for name, argument := range v {
		switch name {
		case "Ref":
			return fmt.Sprintf("${%v}", argument)
		case "Fn::GetAtt":
			return fmt.Sprintf("${%v.%v}", argument.([]any)[0], argument.([]any)[1])
		case "Fn::Sub":
			return argument
		case "Fn::Join":
			return joined(argument.([]any))
		}
	}
	return v
}

func joined(argument []any) string {
	var parts []string
	for _, part := range argument[1].([]any) {
		parts = append(parts, part.(string))
	}
	return strings.Join(parts, argument[0].(string))
}

// of lists the resources of a type by their logical ids, and fails the test where there are none.
func (t template) of(tb testing.TB, kind string) map[string]resource {
	tb.Helper()
	found := map[string]resource{}
	for id, r := range t.Resources {
		if r.Type == kind {
			found[id] = r
		}
	}
	if len(found) == 0 {
		tb.Fatalf("the template has no %s", kind)
	}
	return found
}

// at reads a nested property, nil where it isn't.
func (r resource) at(path ...string) any {
	var v any = r.Properties
	for _, key := range path {
		m, _ := v.(object)
		v = m[key]
	}
	return v
}

func (r resource) text(path ...string) string {
	s, _ := r.at(path...).(string)
	return s
}

// list takes one or many, as CloudFormation does.
func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, each := range v {
			all = append(all, each.(string))
		}
		return all
	}
	return nil
}

func sorted[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
