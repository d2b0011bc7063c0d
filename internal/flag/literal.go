package flag

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// flagd's library takes some of its data for rules: it writes what a var finds into the rule of an iteration before it
// runs that, and runs an object that comes out of an "if". Scalars are the same either way, and are all that rules of
// this world give; for the rest this file does to the letter what the library does: it compiles what it got and runs it.

// Bounds on what data may make an evaluation do, so that no caller can stop the function. flagd has none.
const (
	maxRuns = 32      // rules out of data in one another
	maxWork = 1 << 16 // their values in one evaluation
)

// literally is no failure but says that an iteration's rule must be run as the library would write it.
const literally = "\x00literally"

// each is an iteration's rule as it was written, $refs resolved.
type each struct {
	rule    Value
	levels  []uint8 // whose data is written into it, one after the other
	vars    []*variable
	literal bool // where even a scalar would change its shape, or only the attempt fails
}

// isLiteral says whether the rule must be run as the library would write it whatever its vars find when they are reached:
// what one level writes into it the next one looks through, also where the rule never comes.
func (m *machine) isLiteral(n *node) bool {
	if n.each.literal || len(n.each.levels) < 2 {
		return n.each.literal
	}
	for _, level := range n.each.levels[:len(n.each.levels)-1] {
		for _, v := range n.each.vars {
			if changes(m.at(v, level)) {
				return true
			}
		}
	}
	return false
}

// literal runs an iteration's rule with the data written into it.
func (m *machine) literal(n *node) Value {
	rule := m.written(n)
	switch {
	case m.failure != "":
		return Value{}
	case rule.kind != kindObject && n.op != opMap && n.op != opFilter:
		return m.fail("the rule of an iteration became " + rule.kindName())
	}
	return m.run(rule, n.level)
}

func (m *machine) written(n *node) Value {
	rule := n.each.rule
	for _, level := range n.each.levels {
		rule = m.solve(rule, level)
	}
	return rule
}

// run takes a value for a rule.
func (m *machine) run(v Value, level uint8) Value {
	if v.kind == kindContext {
		v = m.whole()
	}
	if m.work += size(v); m.work > maxWork || m.runs == maxRuns {
		return m.fail("the context is a rule without an end, or one that is too large")
	}
	m.runs++
	c := rules{level: level}
	n := c.rule(v, nowhere, false)
	v = m.eval(&n)
	m.runs--
	return v
}

// size counts the values in v.
func size(v Value) int {
	n := 1
	switch v.kind {
	case kindList:
		for _, item := range v.items() {
			n += size(item)
		}
	case kindObject:
		for _, member := range v.members() {
			n += size(member.Value)
		}
	}
	return n
}

// solve writes what vars find at a level into a rule.
func (m *machine) solve(v Value, level uint8) Value {
	switch v.kind {
	case kindList:
		items := slices.Clone(v.items())
		for i := range items {
			items[i] = m.solve(items[i], level)
		}
		return List(items...)
	case kindObject:
		members := slices.Clone(v.members())
		for i := range members {
			if members[i].Name != "var" {
				members[i].Value = m.solve(members[i].Value, level)
			} else if found := m.solveVar(members[i].Value, level); !found.isNull() {
				return found
			}
		}
		return Object(members...)
	}
	return v
}

func (m *machine) solveVar(path Value, level uint8) Value {
	if path.kind == kindString && isLocal(path.str()) || m.failure != "" {
		return Value{}
	}
	found := m.run(Object(Attribute{"var", path}), level)
	if found.kind == kindContext {
		return m.whole()
	}
	return found
}

// isLocal says whether a path is never looked up outside of an iteration.
func isLocal(path string) bool { return path == "" || path[0] == '.' }

// whole is the context as an object, with what flagd adds.
func (m *machine) whole() Value {
	members := attributes(m.ctx.Map)
	members = append(members, m.ctx.Attributes...)
	if m.ctx.TargetingKey != "" {
		members = append(members, Attribute{targetingKeyName, String(m.ctx.TargetingKey)})
	}
	return Object(append(members, Attribute{flagdName, m.properties()})...)
}

func (m *machine) properties() Value {
	return Object(Attribute{"flagKey", String(m.flag.key)}, Attribute{"timestamp", Number(float64(m.ctx.now()))})
}

// isRule says whether flagd would run v: an object with one member, be it the $flagd of a context without any other, or
// a list with one in it.
func (m *machine) isRule(v Value) bool {
	switch v.kind {
	case kindObject:
		_, isSingle := v.single()
		return isSingle
	case kindList:
		return slices.ContainsFunc(v.items(), m.isRule)
	}
	return v.kind == kindContext && m.ctx.isEmpty()
}

// isOperation is isRule where a list is data.
func (m *machine) isOperation(v Value) bool { return v.kind != kindList && m.isRule(v) }

// changes says whether v, written into a rule, could be more than data there.
func changes(v Value) bool {
	switch v.kind {
	case kindObject:
		_, isSingle := v.single()
		return isSingle || slices.ContainsFunc(v.members(), func(a Attribute) bool { return a.Name == "var" || changes(a.Value) })
	case kindList:
		return slices.ContainsFunc(v.items(), changes)
	}
	return v.kind == kindContext
}

// reshapes says whether a rule has a place where what a var finds would change what is run, or a var that can fail.
func reshapes(v Value) bool {
	switch v.kind {
	case kindList:
		return slices.ContainsFunc(v.items(), reshapes)
	case kindObject:
		if v.n == 1 {
			m := v.members()[0]
			return operationReshapes(m.Name, m.Value)
		}
		return slices.ContainsFunc(v.members(), func(a Attribute) bool { return a.Name == "var" || hasVar(a.Value) })
	}
	return false
}

func operationReshapes(name string, arg Value) bool {
	switch name {
	case "var":
		switch arg.kind {
		case kindList:
			items := arg.items()
			return len(items) == 0 || len(items) > 2 || items[0].kind != kindString || len(items) == 2 && items[1].kind >= kindList
		case kindBool, kindObject:
			return true
		}
		return false
	case "if", "?:", "and", "or", "map", "filter", "reduce", "all", "none", "some":
		return arg.kind == kindObject && hasVar(arg) || reshapes(arg)
	}
	return reshapes(arg)
}

func hasVar(v Value) bool {
	switch v.kind {
	case kindList:
		return slices.ContainsFunc(v.items(), hasVar)
	case kindObject:
		return slices.ContainsFunc(v.members(), func(a Attribute) bool { return a.Name == "var" || hasVar(a.Value) })
	}
	return false
}

// resolved puts segments in the place of their names.
func resolved(v Value, segments map[string]Value) (_ Value, found bool) {
	switch v.kind {
	case kindList:
		items := slices.Clone(v.items())
		for i := range items {
			item, foundItem := resolved(items[i], segments)
			items[i], found = item, found || foundItem
		}
		if found {
			return List(items...), true
		}
	case kindObject:
		if v.n == 1 && v.members()[0].Name == "$ref" {
			name := v.members()[0].Value.textOf()
			if segment, known := segments[name]; known && isPlain(name) {
				return segment, true
			}
		}
		members := slices.Clone(v.members())
		for i := range members {
			item, foundItem := resolved(members[i].Value, segments)
			members[i].Value, found = item, found || foundItem
		}
		if found {
			return Object(members...), true
		}
	}
	return v, false
}

// isPlain says whether flagd knows a name again: it compares JSON's text with the quotation marks taken out, in which
// these characters are written otherwise.
func isPlain(name string) bool {
	return !strings.ContainsAny(name, "\"\\<>&\u2028\u2029") && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

// jsonName is the name that flagd makes of a rule's result.
func (m *machine) jsonName(v Value) string {
	if v.kind == kindContext {
		v = m.whole()
	}
	text, err := json.Marshal(v.decoded())
	if err != nil {
		m.fail("the rule gave a number that JSON can't say")
	}
	return strings.ReplaceAll(string(text), "\"", "")
}
