package infra_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/infra"
	"github.com/slipway-cd/slipway/internal/local"
)

// TestLocalTemplates: the templates that the local cloud deploys are what the CDK makes of infra. make template writes them anew.
func TestLocalTemplates(t *testing.T) {
	settings, err := infra.ParseSettings(map[string]any{"removal": "destroy", "runner": "function", "assetsBucket": "slipway-assets",
		"hookFunctions": local.HookFunction, "topics": local.Topic, "repositories": local.Repository,
		"targets": []any{"slipway-shop", "hello"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, _, err := synth(dir, "local build", settings); err != nil {
		t.Fatal(err)
	}

	out := filepath.Join(dir, "local build.out")
	fill := placeholders(t, out)
	for _, stack := range []string{"Slipway", "SlipwayShop"} {
		name := stack + ".template.json"
		got := localTemplate(t, filepath.Join(out, name), fill)
		file := filepath.Join("local", name)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("infra/%s isn't what the CDK makes of infra; run make template (%v)", file, err)
		}
	}
}

// placeholders replaces what differs from machine to machine, and the state machine's definition, which has a file of its own.
func placeholders(t *testing.T, out string) *strings.Replacer {
	t.Helper()
	fill := []string{`"arm64"`, `"ARCHITECTURE"`}
	for _, name := range infra.Functions() {
		found := ""
		assets, _ := filepath.Glob(filepath.Join(out, "asset.*", "bootstrap"))
		for _, file := range assets {
			if text, _ := os.ReadFile(file); strings.HasPrefix(string(text), name+" ") {
				found = strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "asset.")
			}
		}
		if found == "" {
			t.Fatalf("the function %s is no asset of the assembly", name)
		}
		fill = append(fill, found+".zip", "ASSET-"+name+".zip")
	}
	return strings.NewReplacer(fill...)
}

// localTemplate reads a template, without what is for the CDK and SAM alone.
func localTemplate(t *testing.T, file string, fill *strings.Replacer) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Description string
		Resources   map[string]map[string]any
		Outputs     map[string]any
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&template); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, r := range template.Resources {
		delete(r, "Metadata")
		if r["Type"] == "AWS::StepFunctions::StateMachine" {
			r["Properties"].(object)["DefinitionString"] = "DEFINITION"
		}
	}

	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(template); err != nil {
		t.Fatal(err)
	}
	return []byte(fill.Replace(out.String()))
}
