package flag

import (
	"strings"
)

// variable finds what var names.
func (m *machine) variable(v *variable) Value {
	for _, level := range v.outer {
		if found := m.at(v, level); !found.isNull() {
			if changes(found) {
				return m.fail(literally)
			}
			return found
		}
	}
	return m.at(v, v.level)
}

// at looks at one level of data: 0 is the context, the others are the elements of iterations.
func (m *machine) at(v *variable, level uint8) Value {
	if v.computed != nil {
		return m.lookup(m.eval(v.computed), level)
	}
	var found Value
	switch {
	case level > 0:
		found = m.inElement(v, m.scratch.levels[level])
	case v.origin == fromData:
		found = m.inContext(v.parts)
	case v.origin == fromFlagKey:
		return String(m.flag.key)
	case v.origin == fromTimestamp:
		return Number(float64(m.ctx.now()))
	case v.origin == wholeData:
		found = Value{kind: kindContext}
	}
	if v.fallback == nil {
		return found
	}
	if fallback := m.eval(v.fallback); found.isNull() {
		return fallback
	}
	return found
}

func (m *machine) inElement(v *variable, data Value) Value {
	switch {
	case v.origin == wholeData:
		return data
	case v.origin == primitive && data.kind >= kindList:
		return Value{}
	case v.origin == primitive:
		return data
	}
	return m.walk(data, v.parts)
}

// inContext follows a path from the context, to which flagd adds $flagd.
func (m *machine) inContext(parts []part) Value {
	if parts[0].name != flagdName {
		return m.ctx.walk(parts)
	}
	// Rare, and a checked document never asks: the object itself, or a member that it lacks.
	return walk(m.properties(), parts[1:])
}

func (m *machine) walk(data Value, parts []part) Value {
	if data.kind == kindContext && len(parts) > 0 {
		return m.inContext(parts)
	}
	return walk(data, parts)
}

// lookup is var with an argument that was computed.
func (m *machine) lookup(arg Value, level uint8) Value {
	data := Value{kind: kindContext}
	if level > 0 {
		data = m.scratch.levels[level]
	}
	var fallback Value
	switch arg.kind {
	case kindNull:
		if data.kind >= kindList {
			return Value{}
		}
		return data
	case kindNumber:
		s := m.borrow()
		from := len(s.text)
		s.text = appendNumber(s.text, arg.num())
		return m.lookupPath(text(s.text[from:]), data, fallback)
	case kindString:
		if arg.n == 0 {
			return data
		}
		return m.lookupPath(arg.str(), data, fallback)
	case kindList:
		items := arg.items()
		if len(items) == 0 {
			return data
		}
		if len(items) == 2 {
			fallback = items[1]
		}
		if items[0].kind == kindString {
			return m.lookupPath(items[0].str(), data, fallback)
		}
	default:
		if data.isNull() {
			return Value{}
		}
	}
	return m.fail("the path of a \"var\" is no string")
}

func (m *machine) lookupPath(path string, data, fallback Value) Value {
	for path != "" && !data.isNull() {
		var name string
		name, path, _ = strings.Cut(path, ".")
		if name == "" {
			continue
		}
		step := [1]part{{name, 0}}
		if data.kind == kindList {
			step[0].index = listIndex(name)
		}
		data = m.walk(data, step[:])
	}
	if data.isNull() {
		return fallback
	}
	return data
}

// missing lists those of its arguments that name nothing.
func (m *machine) missing(n *node) Value {
	if n.path != nil {
		return m.missingPaths(n)
	}
	items, isList := m.arguments(n)
	if m.failure != "" {
		return Value{}
	}
	if !isList && items[0].kind != kindString {
		return m.fail("the argument of \"missing\" is no array")
	}
	list, _ := m.absent(items, n.level)
	return list
}

// missingPaths is missing where all of its paths are constant.
func (m *machine) missingPaths(n *node) Value {
	from, missing := m.reserve(len(n.args)), 0
	for i := range n.args {
		if m.inContext(n.args[i].path.parts).isNull() {
			m.scratch.values[from+missing] = n.args[i].value
			missing++
		}
	}
	return List(m.reserved(from, missing)...)
}

func (m *machine) absent(names []Value, level uint8) (list Value, found int) {
	from := m.reserve(len(names))
	missing := 0
	for _, name := range names {
		path := name
		if m.isRule(path) {
			path = m.run(path, level)
		}
		v := m.lookup(path, level)
		if m.failure != "" {
			return Value{}, 0
		}
		if v.isNull() {
			m.scratch.values[from+missing] = name
			missing++
		}
	}
	return List(m.reserved(from, missing)...), len(names) - missing
}

// missingSome is missing, unless as many as the first argument says are there.
func (m *machine) missingSome(n *node) Value {
	items, isList := m.arguments(n)
	if m.failure != "" {
		return Value{}
	}
	if !isList || len(items) < 2 || items[1].kind != kindList {
		return m.fail("\"missing_some\" wants a number and an array")
	}
	want, ok := number(items[0])
	if !ok {
		return m.fail("\"missing_some\" wants a number first")
	}
	list, found := m.absent(items[1].items(), n.level)
	if floatIndex(want) > found {
		return list
	}
	return List()
}
