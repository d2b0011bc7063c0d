package flag_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// testbed is flagd's own conformance suite, which isn't part of this repository.
const testbed = "../../../shared/conformance/flagd-testbed"

type scenario struct {
	name  string
	steps []string
}

// TestConformance runs flagd's scenarios against the engine, without those of the first hash version.
func TestConformance(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(testbed, "flags/testkit-flags.json"))
	if err != nil {
		t.Skip("skipped: flagd's testbed isn't at " + testbed)
	}
	set, _ := flag.CompileLenient(document)
	files, err := filepath.Glob(filepath.Join(testbed, "gherkin/*.feature"))
	if err != nil || len(files) == 0 {
		t.Fatal("no features", err)
	}
	ran := 0
	for _, file := range files {
		for _, s := range scenarios(t, file) {
			ran++
			t.Run(filepath.Base(file)+"/"+s.name, func(t *testing.T) { run(t, set, s.steps) })
		}
	}
	t.Logf("%d scenarios of flagd's testbed", ran)
	if ran != 125 {
		t.Errorf("ran %d scenarios; want 125", ran)
	}
}

// scenarios reads a feature: backgrounds, outlines and their tables are expanded, tagged examples of v1 left out.
func scenarios(t *testing.T, path string) []scenario {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []scenario
	var background, steps, header []string
	var name, tag string
	inBackground, isOutline, inExamples, skip := false, false, false, false
	flush := func() {
		if name != "" && !isOutline && !skip {
			all = append(all, scenario{name, append(append([]string{}, background...), steps...)})
		}
		name, steps = "", nil
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "Feature:"):
		case strings.HasPrefix(line, "@"):
			tag = line
		case strings.HasPrefix(line, "Background:"):
			inBackground = true
		case strings.HasPrefix(line, "Scenario"):
			flush()
			inBackground, inExamples = false, false
			isOutline = strings.HasPrefix(line, "Scenario Outline:")
			_, name, _ = strings.Cut(line, ": ")
			skip, tag = strings.Contains(tag, "@fractional-v1"), ""
		case strings.HasPrefix(line, "Examples:"):
			inExamples, header = true, nil
			skip, tag = strings.Contains(tag, "@fractional-v1"), ""
		case strings.HasPrefix(line, "|") && inExamples:
			cells := row(line)
			if header == nil {
				header = cells
			} else if !skip {
				all = append(all, scenario{name + " " + line, expand(append(append([]string{}, background...), steps...), header, cells)})
			}
		case inBackground:
			background = append(background, line)
		default:
			steps = append(steps, line)
		}
	}
	flush()
	return all
}

func row(line string) []string {
	var cells []string
	for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
		cells = append(cells, strings.TrimSpace(cell))
	}
	return cells
}

func expand(steps, header, cells []string) []string {
	expanded := make([]string, len(steps))
	for i, s := range steps {
		for j, h := range header {
			s = strings.ReplaceAll(s, "<"+h+">", cells[j])
		}
		expanded[i] = s
	}
	return expanded
}

var (
	reFlag     = regexp.MustCompile(`^Given a (\w+)-flag with key "(.*)" and a fallback value "(.*)"$`)
	reNested   = regexp.MustCompile(`^And a context containing a nested property with outer key "(.*)" and inner key "(.*)", with value "(.*)"$`)
	reTarget   = regexp.MustCompile(`^And a context containing a targeting key with value "(.*)"$`)
	reKey      = regexp.MustCompile(`^And a context containing a key "(.*)", with type "(.*)" and with value "(.*)"$`)
	reValue    = regexp.MustCompile(`^Then the resolved details value should be "(.*)"$`)
	reReason   = regexp.MustCompile(`^And the reason should be "(.*)"$`)
	reCode     = regexp.MustCompile(`^(?:And|Then) the error-code should be "(.*)"$`)
	reMetadata = regexp.MustCompile(`^\| (\S+) +\| (String|Integer|Float|Boolean) +\| (\S+) +\|$`)
)

// run plays an SDK's part for what the engine leaves to it: fallbacks and types.
func run(t *testing.T, set *flag.Set, steps []string) {
	attributes := map[string]any{}
	var kind, fallback string
	var r flag.Result
	var value any
	for _, step := range steps {
		step = strings.Replace(step, "And a Boolean-flag", "Given a Boolean-flag", 1)
		step = regexp.MustCompile(`^And a (\w+)-flag`).ReplaceAllString(step, "Given a $1-flag")
		if m := reFlag.FindStringSubmatch(step); m != nil {
			kind, fallback = m[1], m[3]
			attributes["\x00key"] = m[2]
		} else if m := reNested.FindStringSubmatch(step); m != nil {
			attributes[m[1]] = map[string]any{m[2]: m[3]}
		} else if m := reTarget.FindStringSubmatch(step); m != nil {
			attributes["targetingKey"] = m[1]
		} else if m := reKey.FindStringSubmatch(step); m != nil {
			attributes[m[1]] = typed(t, m[2], m[3])
		} else if step == "When the flag was evaluated with details" {
			key := attributes["\x00key"].(string)
			delete(attributes, "\x00key")
			text, err := json.Marshal(attributes)
			if err != nil {
				t.Fatal(err)
			}
			ctx, err := flag.ParseContext(text)
			if err != nil {
				t.Fatal(err)
			}
			r = set.Evaluate(key, ctx)
			if again := set.Evaluate(key, flag.ContextOf(attributes)); !reflect.DeepEqual(r, again) {
				t.Errorf("parsed: %+v; from a map: %+v", r, again)
			}
			value = r.Value
			if value == nil {
				value = typed(t, kind, fallback)
			} else if fmt.Sprintf("%T", value) != fmt.Sprintf("%T", typed(t, kind, fallback)) {
				r.ErrorCode = flag.TypeMismatch
			}
		} else if m := reValue.FindStringSubmatch(step); m != nil {
			if want := typed(t, kind, m[1]); !reflect.DeepEqual(value, want) {
				t.Errorf("value %v; want %v", value, want)
			}
		} else if m := reReason.FindStringSubmatch(step); m != nil {
			if string(r.Reason) != m[1] {
				t.Errorf("reason %s; want %s", r.Reason, m[1])
			}
		} else if m := reCode.FindStringSubmatch(step); m != nil {
			if string(r.ErrorCode) != m[1] {
				t.Errorf("error code %s; want %s", r.ErrorCode, m[1])
			}
		} else if m := reMetadata.FindStringSubmatch(step); m != nil {
			if got := r.Metadata.Values[m[1]]; !reflect.DeepEqual(got, typed(t, m[2], m[3])) {
				t.Errorf("metadata %s = %v; want %s", m[1], got, m[3])
			}
		} else if step == "Then the resolved metadata is empty" {
			if r.Metadata != nil {
				t.Errorf("metadata %v; want none", r.Metadata)
			}
		} else if step != "Given an evaluator" && !strings.HasPrefix(step, "| key ") && step != "Then the resolved metadata should contain" {
			t.Fatalf("a step that this test doesn't know: %s", step)
		}
	}
}

func typed(t *testing.T, kind, text string) any {
	t.Helper()
	switch kind {
	case "Boolean":
		return text == "true"
	case "Integer", "Float":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	case "Object":
		var v any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(text, `\"`, `"`)), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	return text
}
