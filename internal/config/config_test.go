package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden runs render over each input of an archive and holds the archive's next file, named as the input but ending in
// suffix, to what it gives.
func golden(t *testing.T, path, suffix string, render func(name string, data []byte) string) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]string{}
	fresh := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		if name, ok := strings.CutSuffix(f.Name, suffix); ok {
			wanted[name] = string(f.Data)
		}
	}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		got := render(name, f.Data)
		if got != wanted[name] && !*update {
			t.Errorf("%s: got\n%swant\n%s", f.Name, got, wanted[name])
		}
		fresh.Files = append(fresh.Files, f, txtar.File{Name: name + suffix, Data: []byte(got)})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseGood(t *testing.T) {
	golden(t, "testdata/good.txtar", ".json", func(name string, data []byte) string {
		c, err := config.Parse(data, "staging")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return ""
		}
		out, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(out) + "\n"
	})
}

func TestParseBad(t *testing.T) {
	golden(t, "testdata/bad.txtar", ".err", func(name string, data []byte) string {
		_, err := config.Parse(data, "staging")
		if err == nil {
			t.Errorf("%s: no error", name)
			return ""
		}
		if deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) == "" {
			t.Errorf("%s: kind %s, field %q", name, deploy.KindOf(err), deploy.FieldOf(err))
		}
		if !strings.Contains(err.Error(), ": line ") || !strings.Contains(err.Error(), "want") && !strings.Contains(err.Error(), "zero byte") {
			t.Errorf("%s: no place or no remedy: %v", name, err)
		}
		return err.Error() + "\n"
	})
}

func TestParseAppGolden(t *testing.T) {
	golden(t, "testdata/app.txtar", ".out", func(name string, data []byte) string {
		app, err := config.ParseApp(data)
		if err != nil {
			return err.Error() + "\n"
		}
		out, err := json.MarshalIndent(app, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(out) + "\n"
	})
}

// An environment without a section, and a file without a word, have the defaults.
func TestParseDefaults(t *testing.T) {
	for _, data := range []string{"", "\n\n", "# x", "---\n", "\xef\xbb\xbf", "environments: {production: {rollback_enabled: false}}"} {
		c, err := config.Parse([]byte(data), "staging")
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if want := deploy.DefaultConfig(); !reflect.DeepEqual(*c, want) {
			t.Errorf("%q: got %+v, want %+v", data, *c, want)
		}
	}
}

// A TAB in a value is kept or refused. The lexer would leave it out of a plain value, and misread a block that begins with one.
func TestTabs(t *testing.T) {
	const plain, block = "a TAB in a plain value is lost; want the value in quotes or in a block (|)", "the block begins with a TAB and can't be read; want spaces"
	for name, row := range map[string]struct{ test, want, err string }{
		"plain":                   {test: "test -z\t\"$(echo x)\"\n", err: "line 2, column 9: " + plain},
		"plain, a later line":     {test: "make\n    a\tb\n", err: plain},
		"plain, many":             {test: "a\t\t\tb\n", err: plain},
		"a key":                   {test: "make\n  bu\tild: make\n", err: plain},
		"plain, around it":        {test: "\tmake \t\n", want: "make"},
		"plain, before a comment": {test: "make\t# a\tb\n", want: "make"},
		"single quotes":           {test: "'a\tb'\n", want: "a\tb"},
		"double quotes":           {test: "\"a\tb\\tc\"\n", want: "a\tb\tc"},
		"block":                   {test: "|\n    a\tb\n    \tc\n", want: "a\tb\n\tc\n"},
		"folded block":            {test: "> # x\ty\n    a\tb\n    c\n", want: "a\tb c\n"},
		"block, first":            {test: "|\n    \ta\n    b\n", err: "line 2, column 9: " + block},
		"block, first and alone":  {test: "|\n    \ta\n", err: block},
		"folded block, first":     {test: ">- # x\n\n    \ta\n    #c\n", err: block},
		"block, CRLF":             {test: "|\r\n\r\n    \ta\r\n    #c\r\n", err: block},
	} {
		c, err := config.Parse([]byte("scripts:\n  test: "+row.test), "staging")
		switch {
		case row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err) || deploy.KindOf(err) != deploy.Invalid):
			t.Errorf("%s: got %v, want %s", name, err, row.err)
		case row.err == "" && (err != nil || c.Scripts.Test != row.want):
			t.Errorf("%s: got %+v, %v; want %q", name, c, err, row.want)
		}
	}

	in := "environments:\n  production:\n    url: https://a\t.example\n"
	if _, err := config.ParseApp([]byte(in)); err == nil || !strings.Contains(err.Error(), "app.yaml: line 3, column 10: "+plain) {
		t.Errorf("app.yaml: %v", err)
	}
}

// A file with CRLF reads as the same file with LF, and an error has the same place.
func TestCRLF(t *testing.T) {
	for _, in := range []string{
		"scripts:\n  test: \"exit\n    1\"\n",
		"scripts:\n  test: 'exit\n    1'\n  build: make\n    all\n",
		"scripts:\n  test: \"a \\\n    b\n\n    c\"\n  build: |\n    x \\\n\n    y\n",
		"# x\nscripts:\n  test: >-\n    exit\n    1\n",
		"scripts: # x\n  test: 'exit\n    1'\n  tset: 1\n",
		"scripts:\n  test: make\n\n  build: [x]\n",
	} {
		lf, wantErr := config.Parse([]byte(in), "staging")
		crlf, err := config.Parse([]byte(strings.ReplaceAll(in, "\n", "\r\n")), "staging")
		if !reflect.DeepEqual(crlf, lf) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%q: with CRLF %+v, %v; want %+v, %v", in, crlf, err, lf, wantErr)
		}
	}
}

// TestNoLastBreak: without a line break at the file's end, a value lacks its own last break at most.
func TestNoLastBreak(t *testing.T) {
	for in, want := range map[string]string{
		">\n    exit\n    1":  "exit 1",
		">-\n    exit\n    1": "exit 1",
		"|\n    exit\n    1":  "exit\n1",
		"|\n    a\tb\t":       "a\tb\t",
		"|+\n    a\n\n    b ": "a\n\nb ",
		"|\n    a\n  # end":   "a\n",
		"|\n    a\n    ":      "a\n",
		"exit\n    1":         "exit 1",
		"'exit\n    1'":       "exit 1",
	} {
		c, err := config.Parse([]byte("scripts:\n  test: "+in), "staging")
		if err != nil || c.Scripts.Test != want {
			t.Errorf("%q: got %+v, %v; want %q", in, c, err, want)
		}
	}
}

func TestParseTooMuch(t *testing.T) {
	var variables, environments, keys strings.Builder
	for i := range 101 {
		fmt.Fprintf(&variables, "\n  V%d: x", i)
		fmt.Fprintf(&environments, "\n  e%d: {}", i)
	}
	for i := range 10_000 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	for name, row := range map[string]struct{ data, want string }{
		"bytes":     {"# " + strings.Repeat("x", config.MaxBytes), "want at most 262144"},
		"not UTF-8": {"scripts:\n  test: caf\xe9", "line 2, column 12: not UTF-8"},

		"variables":    {"environment_variables:" + variables.String(), "environment_variables: line 2, column 3: 101 of them; want at most 100"},
		"environments": {"environments:" + environments.String(), "101 of them; want at most 20"},
		"keys":         {keys.String(), "over 20000 words and signs"},
		"script":       {"scripts: {test: " + strings.Repeat("x", 16<<10+1) + "}", "scripts.test: line 1, column 17: 16385 bytes"},
		"bomb":         {"a: &a [x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]", "line 1, column 4: an anchor"},
		"together": {"environment_variables:" + strings.Replace(variables.String(), "\n  V0: x", "", 1) + "\nenvironments:\n  staging:\n    environment_variables: {W: x}",
			"environments.staging.environment_variables: line 104, column 28: 101 of them"},
	} {
		_, err := config.Parse([]byte(row.data), "staging")
		if err == nil || !strings.Contains(err.Error(), row.want) || deploy.KindOf(err) != deploy.Invalid {
			t.Errorf("%s: got %v, want %s", name, err, row.want)
		}
	}
}

// What a hostile commit can make the parser do takes well under Prepare's time.
func TestParseIsBounded(t *testing.T) {
	n := config.MaxBytes
	for _, unit := range []string{"- ", "a: ", "a: b\n", "? ", "[", "{a: ", "'", "#\n", "&a ", "!a ", "|\n", "a:\n", "- x\n", ": ", "x, ", "---\n"} {
		start := time.Now()
		_, err := config.Parse([]byte(strings.Repeat(unit, n)[:n]), "staging")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%q...: %v, %v", unit, took, err)
		}
	}
}

func TestSchemaFile(t *testing.T) {
	path := filepath.Join("..", "..", "slipway.schema.json")
	if *update {
		if err := os.WriteFile(path, config.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, config.Schema()) {
		t.Errorf("%s is not what the code says (%v): go test ./internal/config -update", path, err)
	}
}

// An editor with the schema and the parser refuse the same documents, but for those that are wrong as YAML.
func TestSchemaAgrees(t *testing.T) {
	s := compile(t)
	for path, right := range map[string]bool{"testdata/good.txtar": true, "testdata/bad.txtar": false} {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if !strings.HasSuffix(f.Name, ".yaml") || strings.HasPrefix(f.Name, "yaml-") {
				continue
			}
			var value any
			if err := yaml.Unmarshal(f.Data, &value); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if value == nil {
				value = map[string]any{}
			}
			if err := s.Validate(jsonValue(t, value)); (err == nil) != right {
				t.Errorf("%s: schema says %v", f.Name, err)
			}
		}
	}
}

// The file has the names that deploy.Config's JSON has, and the schema the defaults of deploy.DefaultConfig.
func TestSchemaHasEveryField(t *testing.T) {
	var s struct {
		Properties map[string]struct {
			Default    any
			Properties map[string]any
		}
	}
	if err := json.Unmarshal(config.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	var names, fields []string
	for name := range s.Properties {
		if name != "environments" {
			names = append(names, name)
		}
	}
	fields = slices.DeleteFunc(tags(reflect.TypeFor[deploy.Config]()), func(name string) bool {
		return name == "build_variables" // which Parse finds out
	})
	slices.Sort(names)
	if !slices.Equal(names, fields) {
		t.Errorf("schema has %v, deploy.Config %v", names, fields)
	}
	for name, typ := range map[string]reflect.Type{"scripts": reflect.TypeFor[deploy.Scripts](), "hooks": reflect.TypeFor[deploy.Hooks]()} {
		var names []string
		for key := range s.Properties[name].Properties {
			names = append(names, key)
		}
		slices.Sort(names)
		if !slices.Equal(names, tags(typ)) {
			t.Errorf("schema's %s has %v, deploy %v", name, names, tags(typ))
		}
	}
	if got := s.Properties["health_check_path"].Default; got != deploy.DefaultConfig().HealthCheckPath {
		t.Errorf("default path %v", got)
	}
}

func tags(typ reflect.Type) []string {
	var names []string
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("slipway.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("slipway.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func jsonValue(t *testing.T, value any) any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWhatACommitMayNotDecide: what an app's owner decides isn't a commit's to say, at the top or for an environment, but for the two
// settings that the owner's own word wins over.
func TestWhatACommitMayNotDecide(t *testing.T) {
	both := []string{"rollback_enabled", "environment_variables"}
	settings := reflect.TypeFor[deploy.Settings]()
	fields := []string{"source", "notifications", "name"}
	for i := range settings.NumField() {
		name, _, _ := strings.Cut(settings.Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	for _, field := range fields {
		if slices.Contains(both, field) {
			continue
		}
		for path, text := range map[string]string{field: field + ": x", "environments.production." + field: "environments: {production: {" + field + ": x}}"} {
			if _, err := config.Parse([]byte(text), "production"); deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != path {
				t.Errorf("a commit says %q: %v", text, err)
			}
		}
	}
	for _, field := range both {
		if !slices.Contains(fields, field) {
			t.Errorf("settings have no %s", field)
		}
	}
}
