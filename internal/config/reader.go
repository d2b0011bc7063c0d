package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// document is a file that was read along a shape: its values as JSON has them (map, slice, string, int, bool), and where
// each of them stands.
type document struct {
	tree   map[string]any
	places map[string]place // by field, as in scripts.test or hooks.pre_deploy[0]
}

// place is a position in a file; both count from 1.
type place struct{ line, column int }

// errorf makes an Invalid error about what stands at p.
func (p place) errorf(field, format string, args ...any) error {
	return &deploy.Error{Kind: deploy.Invalid, Field: deploy.Cut(field, 200),
		Err: fmt.Errorf("line %d, column %d: %w", p.line, p.column, fmt.Errorf(format, args...))}
}

// read takes a file apart along a shape. File is what errors about the whole of it name.
func read(file string, data []byte, s *shape) (*document, error) {
	body, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	d := &document{tree: map[string]any{}, places: map[string]place{}}
	if body == nil {
		return d, d.needs(s, map[string]any{}, place{1, 1}, "")
	}
	if _, ok := body.(*ast.MappingNode); !ok {
		return nil, placeOf(body).errorf(file, "%s; want keys, each with a value", describe(body))
	}
	tree, err := d.value(body, s, "")
	if err != nil {
		return nil, err
	}
	d.tree = tree.(map[string]any)
	return d, nil
}

// value reads what stands at field.
func (d *document) value(n ast.Node, s *shape, field string) (any, error) {
	at := placeOf(n)
	d.places[field] = at
	switch node := n.(type) {
	case *ast.StringNode:
		return d.text(node.Value, s, at, field)
	case *ast.LiteralNode:
		return d.text(node.Value.Value, s, at, field)
	case *ast.IntegerNode:
		if number, err := strconv.Atoi(node.Token.Value); s.kind == whole && err == nil && plainNumber().MatchString(node.Token.Value) {
			return number, nil
		}
		if s.kind == code {
			return node.Token.Value, nil
		}
	case *ast.BoolNode:
		if s.kind == truth {
			return node.Value, nil
		}
	case *ast.SequenceNode:
		if s.kind == list {
			return d.list(node, s, at, field)
		}
	case *ast.MappingNode:
		if s.kind == table || s.kind == object {
			return d.mapping(node, s, at, field)
		}
	}
	return nil, at.errorf(field, "%s; want %s", describe(n), wanted(n, s))
}

// plainNumber leaves out what YAML's versions read differently: 010 is ten or eight.
var plainNumber = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`) })

func (d *document) text(value string, s *shape, at place, field string) (any, error) {
	switch {
	case s.kind == object && s.bare != "":
		d.places[field+"."+s.bare] = at
		return map[string]any{s.bare: value}, nil
	case s.kind != text && s.kind != code:
		return nil, at.errorf(field, "%s is text; want %s", strconv.Quote(deploy.Cut(value, 40)), want[s.kind])
	case !utf8.ValidString(value):
		return nil, at.errorf(field, "an escape makes text that is not UTF-8; want UTF-8")
	}
	return value, nil
}

func (d *document) list(n *ast.SequenceNode, s *shape, at place, field string) (any, error) {
	if s.max > 0 && len(n.Values) > s.max {
		return nil, at.errorf(field, "%d of them; want at most %d", len(n.Values), s.max)
	}
	values := make([]any, 0, len(n.Values))
	for i, entry := range n.Values {
		value, err := d.value(entry, s.each, fmt.Sprintf("%s[%d]", field, i))
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (d *document) mapping(n *ast.MappingNode, s *shape, at place, field string) (any, error) {
	if s.max > 0 && len(n.Values) > s.max {
		return nil, at.errorf(field, "%d of them; want at most %d", len(n.Values), s.max)
	}
	values, lines := map[string]any{}, map[string]int{}
	for _, entry := range n.Values {
		at := placeOf(entry)
		name, ok := entry.Key.(*ast.StringNode)
		if !ok || name.Value == "" {
			return nil, at.errorf(join(field, entry.Key.String()), "a key that is empty or not text; want it in quotes")
		}
		path := join(field, name.Value)
		if line, twice := lines[name.Value]; twice {
			return nil, at.errorf(path, "the key is there twice, first in line %d; want it once", line)
		}
		lines[name.Value] = at.line
		inner, err := s.inner(name.Value, at, path)
		if err != nil {
			return nil, err
		}
		if values[name.Value], err = d.value(entry.Value, inner, path); err != nil {
			return nil, err
		}
	}
	return values, d.needs(s, values, at, field)
}

// inner finds what may stand under a name.
func (s *shape) inner(name string, at place, path string) (*shape, error) {
	if s.kind == table {
		if !s.name.allows(name) {
			return nil, at.errorf(path, "%q is not a name for this; want %s", deploy.Cut(name, 40), s.name.want)
		}
		return s.each, nil
	}
	for _, k := range s.keys {
		if k.name == name && k.not == "" {
			return k.shape, nil
		} else if k.name == name {
			return nil, at.errorf(path, "%s; want it left out here", k.not)
		}
	}
	return nil, at.errorf(path, "unknown key; want %s", s.suggest(name))
}

func (r *rule) allows(name string) bool {
	return regexp.MustCompile(r.pattern).MatchString(name) && (r.never == "" || !regexp.MustCompile(r.never).MatchString(name))
}

// needs checks that what must be there is there.
func (d *document) needs(s *shape, values map[string]any, at place, field string) error {
	for _, k := range s.keys {
		if _, ok := values[k.name]; k.need && !ok {
			return at.errorf(join(field, k.name), "missing; want %s", want[k.shape.kind])
		}
	}
	return nil
}

// locate says where a field that Validate found fault with stands: itself or what holds it, first under prefix (which
// ends in a dot, or is empty), then at the top. It gives the field's full name too.
func (d *document) locate(prefix, field string) (string, place) {
	for _, p := range []string{prefix, ""} {
		for f := field; f != ""; f = parent(f) {
			if at, ok := d.places[p+f]; ok {
				return p + field, at
			}
		}
	}
	return field, place{1, 1}
}

// blame adds to a Validate's error where the field stands.
func (d *document) blame(prefix string, err error) error {
	var fault *deploy.Error
	if !errors.As(err, &fault) || fault.Field == "" {
		return err
	}
	field, at := d.locate(prefix, fault.Field)
	return at.errorf(field, "%w", fault.Err)
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func parent(field string) string { return field[:max(0, strings.LastIndexAny(field, ".["))] }
