package asl

import (
	"bytes"
	"fmt"
	"strings"
)

// Mermaid draws a machine as a Mermaid flowchart: a box is a task, a diamond a choice, a rounded box a wait, a double circle
// an end; a dotted arrow is an error's way. Source of the notation: Mermaid's documentation, "Flowcharts".
func Mermaid(m *Machine) string {
	var b strings.Builder
	b.WriteString("flowchart TD\n    start((start)) --> " + m.StartAt + "\n")
	for _, name := range m.order {
		fmt.Fprintf(&b, "    %s\n", node(name, m.States[name]))
	}
	var caught []Edge
	for _, name := range m.order {
		for _, e := range m.Edges(name) {
			switch {
			case e.Caught:
				caught = append(caught, e)
			case e.When != "":
				fmt.Fprintf(&b, "    %s -->|%s| %s\n", e.From, e.When, e.To)
			default:
				fmt.Fprintf(&b, "    %s --> %s\n", e.From, e.To)
			}
		}
		if m.States[name].End {
			fmt.Fprintf(&b, "    %s --> done(((done)))\n", name)
		}
	}
	for _, line := range together(caught) {
		b.WriteString("    " + line + "\n")
	}
	return b.String()
}

func node(name string, s *State) string {
	switch s.Type {
	case "Choice":
		return name + "{" + name + "}"
	case "Wait":
		return name + "(" + name + ")"
	case "Succeed", "Fail":
		return name + "(((" + name + ")))"
	}
	return name + "[" + name + "]"
}

// together writes the ways of errors that lead to one state for one reason in one line.
func together(edges []Edge) []string {
	var order []string
	from := map[string][]string{}
	for _, e := range edges {
		when := strings.ReplaceAll(e.When, all, "any error")
		arrow := fmt.Sprintf(" -. %s .-> %s", when, e.To)
		if from[arrow] == nil {
			order = append(order, arrow)
		}
		from[arrow] = append(from[arrow], e.From)
	}
	lines := make([]string, 0, len(order))
	for _, arrow := range order {
		lines = append(lines, strings.Join(from[arrow], " & ")+arrow)
	}
	return lines
}

// Table lists a machine's states in Markdown, each with its time limit and its comment.
func Table(m *Machine) string {
	var b strings.Builder
	b.WriteString("| State | Type | At most | What it does |\n|---|---|---|---|\n")
	for _, name := range m.order {
		s := m.States[name]
		limit := ""
		if s.TimeoutSeconds != nil {
			limit = fmt.Sprintf("%v s", s.TimeoutSeconds)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, s.Type, limit, strings.ReplaceAll(s.Comment, "|", `\|`))
	}
	return b.String()
}

// Render writes a machine's picture and table into a Markdown document, between the lines <!-- begin diagram --> and
// <!-- end diagram -->, and the same with states. It is an error when the document has neither.
func Render(doc []byte, m *Machine) ([]byte, error) {
	found := false
	for name, text := range map[string]string{"diagram": "```mermaid\n" + Mermaid(m) + "```\n", "states": Table(m)} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, ok := bytes.Cut(doc, []byte(begin))
		if !ok {
			continue
		}
		_, after, ok := bytes.Cut(rest, []byte(end))
		if !ok {
			return nil, fmt.Errorf("%q has no %q", strings.TrimSpace(begin), end)
		}
		found = true
		doc = []byte(string(before) + begin + text + end + string(after))
	}
	if !found {
		return nil, fmt.Errorf("no line <!-- begin diagram --> or <!-- begin states -->")
	}
	return doc, nil
}
