// Package engines_test shows Slipway's export to the in-process engines that applications use, and compares what they make
// of it with Slipway's own answers. It is a module of its own, so that flagd's dependencies stay out of the product's.
package engines_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	flags "github.com/slipway-cd/slipway/internal/flag"
)

var update = flag.Bool("update", false, "write the measured table into docs/ofrep.md")

// question is one evaluation to ask an engine for.
type question struct {
	Key     string         `json:"key"`
	Type    string         `json:"type"` // boolean, string, integer, float
	Context map[string]any `json:"context"`
}

// exported is a document of Slipway's in plain flagd, and what to ask about it.
type exported struct {
	Document string     `json:"document"`
	Asks     []question `json:"asks"`
}

// result is what an engine makes of one document.
type result struct {
	Refused string   `json:"refused"`
	Answers []answer `json:"answers"`
}

type answer struct {
	Value   json.RawMessage `json:"value"`
	Variant string          `json:"variant"`
	Reason  string          `json:"reason"`
	Error   string          `json:"error"`
}

// users are 300 contexts, enough to tell any two ways of splitting apart.
func users(key, kind string) []question {
	asks := make([]question, 300)
	for i := range asks {
		asks[i] = question{key, kind, map[string]any{"targetingKey": fmt.Sprint("user-", i), "company": fmt.Sprint("c", i)}}
	}
	return asks
}

func one(key, kind string) []question { return users(key, kind)[:1] }

// row is one line of the table: a document as it is kept in Slipway.
type row struct {
	title    string
	document string
	asks     []question
}

const (
	onOff = `"state":"ENABLED","variants":{"on":true,"off":false}`
	plain = `"plain":{` + onOff + `,"defaultVariant":"on"}`
)

var rows = []row{
	{"a split with `hashVersion` v2 (the default)", `{"flags":{"f":{` + onOff + `,"defaultVariant":"off","targeting":{"fractional":[["on",20],["off",80]]},"hashVersion":"v2"}}}`, users("f", "boolean")},
	{"a split with `hashVersion` v3", `{"flags":{"f":{` + onOff + `,"defaultVariant":"off","targeting":{"fractional":[["on",20],["off",80]]},"hashVersion":"v3"}}}`, users("f", "boolean")},
	{"`rollout_percent` with v2 (the default)", `{"flags":{"f":{"enabled":false,"rollout_percent":20}}}`, users("f", "boolean")},
	{"`rollout_percent` with v3", `{"flags":{"f":{"enabled":false,"rollout_percent":20,"hashVersion":"v3"}}}`, users("f", "boolean")},
	{"a flag with a `description`", `{"flags":{"f":{` + onOff + `,"defaultVariant":"on","description":"d"}}}`, one("f", "boolean")},
	{"a segment that reads `$flagd.timestamp`", `{"flags":{"f":{` + onOff + `,"defaultVariant":"off","targeting":{"if":[{"$ref":"s"},"on",null]}},` + plain + `},"$evaluators":{"s":{">":[{"var":"$flagd.timestamp"},5]}}}`,
		append(one("f", "boolean"), one("plain", "boolean")...)},
	{"a segment with a quotation mark in a text", `{"flags":{"f":{` + onOff + `,"defaultVariant":"off","targeting":{"if":[{"$ref":"s"},"on",null]}}},"$evaluators":{"s":{"!=":[{"var":"company"},"c\"0"]}}}`, one("f", "boolean")},
	{"a schedule and a prerequisite", `{"flags":{"f":{` + onOff + `,"defaultVariant":"on","schedule":{"from":"2020-01-01T00:00:00Z"},"prerequisites":[{"flag":"plain","variant":"on"}]},` + plain + `}}`, one("f", "boolean")},
	{"no `defaultVariant`, and the rule gives none", `{"flags":{"f":{` + onOff + `,"targeting":{"if":[{"==":[{"var":"company"},"acme"]},"on",null]}},` + plain + `}}`, append(one("f", "boolean"), one("plain", "boolean")...)},
	{"a disabled flag", `{"flags":{"f":{"state":"DISABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}}}`, one("f", "boolean")},
	{"a float flag whose value is `1`", `{"flags":{"f":{"state":"ENABLED","variants":{"low":1,"high":1.5},"defaultVariant":"low"}}}`, one("f", "float")},
	{"an integer flag whose value is `1.0`", `{"flags":{"f":{"state":"ENABLED","variants":{"low":1.0,"high":2.0},"defaultVariant":"low"}}}`, one("f", "integer")},
	{"the integer 9007199254740993", `{"flags":{"f":{"state":"ENABLED","variants":{"n":9007199254740993},"defaultVariant":"n"}}}`, one("f", "integer")},
}

// engine is an in-process evaluator, and how it is made to answer.
type engine struct {
	name    string
	needs   []string // programs; an engine without them is skipped, and its column stays as it is in docs
	install func(t *testing.T, dir string)
	run     func(t *testing.T, dir string, documents []exported) []result
}

const root = "../.."

func copyInto(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, file := range files {
		content, err := os.ReadFile(file)
		to := filepath.Join(dir, filepath.Base(file))
		if filepath.Ext(file) == ".rs" {
			to = filepath.Join(dir, "src", filepath.Base(file))
		}
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func command(t *testing.T, dir string, input []byte, words ...string) []byte {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	var errs bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(input), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(words, " "), err, out, &errs)
	}
	return out
}

// speaking runs a program that reads the documents and prints results.
func speaking(words ...string) func(*testing.T, string, []exported) []result {
	return func(t *testing.T, dir string, documents []exported) []result {
		input, err := json.Marshal(map[string]any{"documents": documents})
		if err != nil {
			t.Fatal(err)
		}

		var results []result
		if err := json.Unmarshal(command(t, dir, input, words...), &results); err != nil || len(results) != len(documents) {
			t.Fatalf("%d results for %d documents: %v", len(results), len(documents), err)
		}
		return results
	}
}

var engines = []engine{
	{name: "Go flagd core 0.17.0", install: func(*testing.T, string) {}, run: flagdCore},
	{
		name: "npm flagd-core 4.0.1", needs: []string{"npm", "node"},
		install: func(t *testing.T, dir string) {
			copyInto(t, dir, "node/package.json", "node/package-lock.json", "node/engine.mjs")
			command(t, dir, nil, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
		},
		run: speaking("node", "engine.mjs"),
	},
	{
		name: "PyPI openfeature-flagd-core 2.0.0", needs: []string{"python3"},
		install: func(t *testing.T, dir string) {
			copyInto(t, dir, "python/requirements.txt", "python/engine.py")
			command(t, dir, nil, "python3", "-m", "venv", ".")
			command(t, dir, nil, "bin/python3", "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:",
				"--no-deps", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt")
		},
		run: speaking("bin/python3", "engine.py"),
	},
	{
		name: "Rust flagd-evaluation-engine 0.1.0", needs: []string{"cargo"},
		install: func(t *testing.T, dir string) {
			copyInto(t, dir, "rust/Cargo.toml", "rust/Cargo.lock", "rust/src/main.rs")
			command(t, dir, nil, "cargo", "build", "--locked", "--quiet", "--release")
		},
		run: speaking("target/release/engine"),
	},
	{
		name: "Java flagd 0.11.15", needs: []string{"mvn", "javac", "java"},
		install: func(t *testing.T, dir string) {
			copyInto(t, dir, "java/pom.xml", "java/Engine.java")
			command(t, dir, nil, "mvn", "--quiet", "--batch-mode", "--strict-checksums",
				"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime")
			command(t, dir, nil, "javac", "-cp", "jars/*", "-d", "classes", "Engine.java")
		},
		run: speaking("java", "-cp", "jars/*:classes", "Engine"),
	},
}

// TestEngines fails if an engine reads Slipway's export otherwise than the table in docs/ofrep.md says; -update writes the table.
func TestEngines(t *testing.T) {
	documents := make([]exported, len(rows))
	for i, r := range rows {
		documents[i] = exported{string(export(t, r.document)), r.asks}
	}

	was := readTable(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			for _, program := range e.needs {
				if _, err := exec.LookPath(program); err != nil {
					t.Skipf("%s is not installed: not measured", program)
				}
			}

			dir, err := filepath.Abs(filepath.Join(root, ".slipway", "engines", strings.Fields(e.name)[0]))
			if err := errors.Join(err, os.MkdirAll(dir, 0o755)); err != nil {
				t.Fatal(err)
			}
			e.install(t, dir)
			for i, got := range e.run(t, dir, documents) {
				cell := judge(t, rows[i], got)
				if was[rows[i].title][e.name] != cell && !*update {
					t.Errorf("%s: %q; docs/ofrep.md says %q", rows[i].title, cell, was[rows[i].title][e.name])
				}
				if was[rows[i].title] == nil {
					was[rows[i].title] = map[string]string{}
				}
				was[rows[i].title][e.name] = cell
			}
		})
	}

	if *update {
		writeTable(t, was)
	}
}

func export(t *testing.T, document string) []byte {
	t.Helper()
	parsed, err := flags.ParseDocument([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Validate(); err != nil {
		t.Fatal(err)
	}
	text, _ := parsed.Flagd()
	return text
}

// judge words in a cell how an engine's answers to one document compare with Slipway's.
func judge(t *testing.T, r row, got result) string {
	t.Helper()
	if got.Refused != "" {
		return "refuses the document"
	}
	set, problems := flags.CompileLenient([]byte(r.document))
	if len(problems) > 0 || len(got.Answers) != len(r.asks) {
		t.Fatalf("%s: %v, %d answers", r.title, problems, len(got.Answers))
	}

	different, last := 0, ""
	for i, q := range r.asks {
		want := set.Evaluate(q.Key, flags.ContextOf(q.Context))
		if said := compare(got.Answers[i], want); said != "" {
			different++
			last = said
		}
	}
	switch {
	case different == 0:
		return "same"
	case len(r.asks) > 10:
		return fmt.Sprintf("other variant for %d of %d users", different, len(r.asks))
	}
	return last
}

// compare words the difference of one answer; "" where there is none.
func compare(got answer, want flags.Result) string {
	switch {
	case got.Error != "":
		return got.Error
	case want.Value == nil && got.Variant == "": // the code's own default, whichever it is
		return ""
	case got.Variant != want.Variant && want.Variant != "":
		return "variant " + got.Variant
	case !sameNumber(got.Value, want.JSON):
		return "value " + string(got.Value)
	}
	return ""
}

// sameNumber compares two values; 1 and 1.0 are the same, to a caller who asked for a number.
func sameNumber(a, b json.RawMessage) bool {
	trim := func(v json.RawMessage) string { return strings.TrimSuffix(string(v), ".0") }
	return trim(a) == trim(b)
}

const (
	docs  = root + "/docs/ofrep.md"
	begin = "<!-- begin engines: make engines -->\n"
	end   = "<!-- end engines -->\n"
)

// readTable reads the table of docs: title to engine to cell.
func readTable(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), begin)
	table, _, closed := strings.Cut(after, end)
	if !found || !closed {
		t.Fatalf("%s has no table between %q and %q", docs, begin, end)
	}

	cells := map[string]map[string]string{}
	var names []string
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		fields := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case i == 0:
			names = fields[1:]
		case i > 1 && len(fields) == len(names)+1:
			cells[fields[0]] = map[string]string{}
			for j, name := range names {
				cells[fields[0]][name] = fields[j+1]
			}
		}
	}
	return cells
}

func writeTable(t *testing.T, cells map[string]map[string]string) {
	t.Helper()
	var table strings.Builder
	head, rule := "| In Slipway", "|---"
	for _, e := range engines {
		head, rule = head+" | "+e.name, rule+"|---"
	}
	fmt.Fprintf(&table, "%s |\n%s|\n", head, rule)
	for _, r := range rows {
		line := "| " + r.title
		for _, e := range engines {
			cell := cells[r.title][e.name]
			if cell == "" {
				cell = "not measured"
			}
			line += " | " + cell
		}
		table.WriteString(line + " |\n")
	}

	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(text), begin)
	_, rest, _ := strings.Cut(after, end)
	if err := os.WriteFile(docs, []byte(before+begin+table.String()+end+rest), 0o644); err != nil {
		t.Fatal(err)
	}
}
