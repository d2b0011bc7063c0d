package ofrep_test

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// scenario is one case of a feature file, its outline's placeholders filled in.
type scenario struct {
	name  string
	tags  []string
	steps []step
}

type step struct {
	text  string
	table [][]string
}

// readFeature reads as much of Gherkin as flagd's testbed uses: backgrounds, scenarios, outlines with several tables of
// examples, tags on each of them, and tables below steps.
func readFeature(t testing.TB, file string) []scenario {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := reader{file: strings.TrimSuffix(filepath.Base(file), ".feature")}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			r.line(line)
		}
	}
	r.closeScenario()
	return r.done
}

type reader struct {
	file              string
	tags, featureTags []string // tags: seen and not yet taken
	background        []step
	into              *[]step // where steps go
	now               *scenario
	examples          []examples
	done              []scenario
}

type examples struct {
	tags []string
	rows [][]string
}

func (r *reader) line(line string) {
	keyword, rest, _ := strings.Cut(line, ":")
	switch {
	case line[0] == '@':
		r.tags = append(r.tags, strings.Fields(line)...)
	case keyword == "Feature":
		r.featureTags, r.tags = r.tags, nil
	case keyword == "Background":
		r.into = &r.background
	case keyword == "Scenario", keyword == "Scenario Outline":
		tags := r.tags
		r.tags = nil
		r.closeScenario()
		r.now = &scenario{name: r.file + ": " + strings.TrimSpace(rest), tags: slices.Concat(r.featureTags, tags)}
		r.now.steps = slices.Clone(r.background)
		r.into = &r.now.steps
	case keyword == "Examples":
		r.examples = append(r.examples, examples{tags: r.tags})
		r.tags = nil
	case line[0] == '|' && len(r.examples) > 0:
		last := &r.examples[len(r.examples)-1]
		last.rows = append(last.rows, cells(line))
	case line[0] == '|':
		last := &(*r.into)[len(*r.into)-1]
		last.table = append(last.table, cells(line))
	default:
		_, text, _ := strings.Cut(line, " ")
		*r.into = append(*r.into, step{text: text})
	}
}

// cells splits a table's row. Gherkin escapes \| and \\ there; \" stays as it is.
func cells(line string) []string {
	parts := strings.Split(strings.Trim(line, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func (r *reader) closeScenario() {
	if r.now == nil {
		return
	}
	if len(r.examples) == 0 {
		r.done = append(r.done, *r.now)
	}
	for _, each := range r.examples {
		for _, row := range each.rows[1:] {
			s := scenario{name: r.now.name + " " + strings.Join(row, " "), tags: slices.Concat(r.now.tags, each.tags)}
			for _, st := range r.now.steps {
				for i, name := range each.rows[0] {
					st.text = strings.ReplaceAll(st.text, "<"+name+">", row[i])
				}
				s.steps = append(s.steps, st)
			}
			r.done = append(r.done, s)
		}
	}
	r.now, r.examples = nil, nil
}
