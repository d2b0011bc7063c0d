// Package asl reads the state machine's definition, holds it to the project's rules and draws it. It knows as much of the
// Amazon States Language as statemachine.asl.json uses.
package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Machine is a state machine.
type Machine struct {
	Comment string
	StartAt string
	States  map[string]*State

	order []string       // the states' names as the file has them
	tree  map[string]any // the whole definition
}

// State is one state, whatever its type.
type State struct {
	Type       string
	Comment    string
	Next       string
	End        bool
	Resource   string
	Parameters struct{ FunctionName string }

	TimeoutSeconds any
	Retry          []Retrier
	Catch          []Catcher
	Choices        []Choice
	Default        string
}

// Retrier says after which errors a task is tried again. Numbers that are left out are Step Functions' defaults.
type Retrier struct {
	ErrorEquals     []string
	IntervalSeconds *float64
	MaxAttempts     *float64
	BackoffRate     *float64
	MaxDelaySeconds *float64
	JitterStrategy  string
}

// Catcher says where errors lead.
type Catcher struct {
	ErrorEquals []string
	ResultPath  string
	Next        string
}

// Choice is one rule of a choice. Of its comparisons only StringEquals is known.
type Choice struct {
	Variable     string
	StringEquals string
	Next         string
}

// Edge is one way from a state to another.
type Edge struct {
	From, To string
	When     string // what a rule compares, or the errors that a catcher takes; "" for the plain way
	Caught   bool
}

// Parse reads a definition.
func Parse(data []byte) (*Machine, error) {
	m := &Machine{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("asl: %w", err)
	}
	if err := json.Unmarshal(data, &m.tree); err != nil {
		return nil, fmt.Errorf("asl: %w", err)
	}
	var raw struct{ States json.RawMessage }
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("asl: %w", err)
	}
	if len(m.States) == 0 {
		return nil, fmt.Errorf("asl: no states")
	}
	for name, s := range m.States {
		if s == nil {
			return nil, fmt.Errorf("asl: state %s is null", name)
		}
	}
	m.order = keys(raw.States)
	return m, nil
}

// keys lists a JSON object's keys in the text's order. The object has been parsed before, so nothing fails.
func keys(object json.RawMessage) []string {
	var names []string
	d := json.NewDecoder(bytes.NewReader(object))
	_, _ = d.Token() // the opening brace
	for d.More() {
		var value json.RawMessage
		name, _ := d.Token()
		_ = d.Decode(&value)
		names = append(names, fmt.Sprint(name))
	}
	return names
}

// Names lists the states as the file has them.
func (m *Machine) Names() []string { return m.order }

// Edges lists the ways out of a state: the plain one, then a choice's rules and default, then the catchers.
func (m *Machine) Edges(name string) []Edge {
	s := m.States[name]
	var edges []Edge
	if s.Next != "" {
		edges = append(edges, Edge{From: name, To: s.Next})
	}
	for _, c := range s.Choices {
		edges = append(edges, Edge{From: name, To: c.Next, When: strings.TrimPrefix(c.Variable, "$.") + " = " + c.StringEquals})
	}
	if s.Default != "" {
		edges = append(edges, Edge{From: name, To: s.Default, When: "else"})
	}
	for _, c := range s.Catch {
		edges = append(edges, Edge{From: name, To: c.Next, When: strings.Join(c.ErrorEquals, ", "), Caught: true})
	}
	return edges
}

// Ends tells whether an execution can end in the state.
func (s *State) Ends() bool { return s.End || s.Type == "Succeed" || s.Type == "Fail" }

// Walk lists the states that an execution enters when no task fails and each choice reads its variable from input, as in
// {"$.verdict": "done"}.
func (m *Machine) Walk(input map[string]string) ([]string, error) {
	var path []string
	for name := m.StartAt; ; {
		s, ok := m.States[name]
		if !ok {
			return path, fmt.Errorf("asl: no state %q", name)
		}
		if path = append(path, name); s.Ends() {
			return path, nil
		}
		if len(path) > 10*len(m.States) {
			return path, fmt.Errorf("asl: no end after %d states", len(path))
		}
		name = s.after(input)
	}
}

func (s *State) after(input map[string]string) string {
	for _, c := range s.Choices {
		if value, ok := input[c.Variable]; ok && value == c.StringEquals {
			return c.Next
		}
	}
	if s.Default != "" {
		return s.Default
	}
	return s.Next
}
