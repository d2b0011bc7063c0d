package flag

import "math"

// list computes what an iteration runs over. A var in an iteration around this one has been replaced by what it found:
// flagd takes a list as it is, and all else that is no object for null.
func (m *machine) list(n *node) Value {
	if v := n.args[0].path; n.args[0].op == opVar {
		for _, level := range v.outer {
			found := m.at(v, level)
			switch {
			case changes(found):
				return m.fail(literally)
			case found.kind >= kindList:
				return found
			case found.kind != kindNull:
				return Value{}
			}
		}
		return m.at(v, v.level)
	}
	return m.eval(&n.args[0])
}

// subject is an iteration's list; null where there is none, and all else fails.
func (m *machine) subject(n *node) (items []Value, isNull bool) {
	v := m.list(n)
	switch {
	case v.isNull() || m.failure != "":
		return nil, true
	case v.kind != kindList:
		m.fail("an iteration runs over " + v.kindName())
		return nil, true
	}
	m.borrow()
	return v.items(), false
}

// step runs an iteration's rule for one element.
func (m *machine) step(n *node, element Value, isLiteral bool) Value {
	if m.steps++; m.steps > maxSteps {
		return m.fail("the rule iterates over more than 262144 elements")
	}
	m.scratch.levels[n.level] = element
	if !isLiteral {
		v := m.eval(&n.args[1])
		if m.failure != literally {
			return v
		}
		m.failure = ""
	}
	return m.literal(n)
}

// collect is map and filter.
func (m *machine) collect(n *node) Value {
	items, isNull := m.subject(n)
	if isNull {
		return List()
	}
	isLiteral := m.isLiteral(n)
	if isLiteral && n.op == opFilter {
		m.written(n) // fails where there is nothing to run over, too
	}
	if len(items) == 0 || m.failure != "" {
		return List()
	}
	from := m.reserve(len(items))
	kept := 0
	for _, item := range items {
		v := m.step(n, item, isLiteral)
		if m.failure != "" {
			return Value{}
		}
		if n.op == opFilter {
			if !truthy(v) {
				continue
			}
			v = item
		}
		m.scratch.values[from+kept] = v
		kept++
	}
	return List(m.reserved(from, kept)...)
}

// reduce folds a list; the accumulator keeps the type that it began with.
func (m *machine) reduce(n *node) Value {
	accumulator := m.eval(&n.args[2])
	if k := accumulator.kind; m.failure == "" && k != kindBool && k != kindNumber && k != kindString {
		return m.fail("\"reduce\" begins with " + accumulator.kindName())
	}
	items, isNull := m.subject(n)
	if isNull {
		return Number(0)
	}
	valueType := String([...]string{kindBool: "bool", kindNumber: "number", kindString: "string"}[accumulator.kind])
	isLiteral := m.isLiteral(n)
	from := len(m.scratch.values)
	for _, item := range items {
		if item.isNull() {
			continue
		}
		v := m.step(n, m.frame(n.level, item, accumulator, valueType), isLiteral)
		m.checkVariable(n)
		if accumulator = m.retype(v, accumulator.kind); m.failure != "" {
			return Value{}
		}
		if accumulator.kind != kindString { // else what was built is still in use
			m.scratch.values = m.scratch.values[:from]
		}
	}
	return accumulator
}

// frame is the data that reduce's rule sees. Each level has one, which its steps use again.
func (m *machine) frame(level uint8, current, accumulator, valueType Value) Value {
	s := m.scratch
	if s.frames == nil {
		s.frames = make([]Attribute, 3*maxLevel)
	}
	frame := s.frames[3*int(level) : 3*int(level)+3]
	frame[0] = Attribute{"current", current}
	frame[1] = Attribute{"accumulator", accumulator}
	frame[2] = Attribute{"valueType", valueType}
	return Object(frame...)
}

func (m *machine) retype(v Value, k kind) Value {
	switch k {
	case kindBool:
		return Bool(truthy(v))
	case kindNumber:
		f, ok := number(v)
		if !ok {
			return m.fail("\"reduce\" wants a number at each step")
		}
		return Number(f)
	}
	if v.kind == kindString {
		return v
	}
	s := m.borrow()
	from := len(s.text)
	var ok bool
	if s.text, ok = appendText(s.text, v); !ok {
		return m.fail("\"reduce\" wants a text at each step")
	}
	return String(text(s.text[from:]))
}

// quantify is all, none and some; an empty list is false, true and false.
func (m *machine) quantify(n *node) Value {
	v := m.list(n)
	if m.failure != "" {
		return Value{}
	}
	if !truthy(v) {
		return Bool(n.op == opNone)
	}
	if v.kind != kindList {
		return m.fail("an iteration runs over " + v.kindName())
	}
	m.borrow()
	isLiteral := m.isLiteral(n)
	for _, item := range v.items() {
		found := m.step(n, item, isLiteral)
		m.checkVariable(n)
		if m.failure != "" {
			return Value{}
		}
		if truthy(found) != (n.op == opAll) {
			return Bool(n.op == opSome)
		}
	}
	return Bool(n.op != opSome)
}

// checkVariable is for a rule that is only a var: it has been replaced by what it found, which flagd wants to be a rule.
func (m *machine) checkVariable(n *node) {
	v := n.args[1].path
	if n.args[1].op != opVar {
		return
	}
	for _, level := range v.outer {
		if found := m.at(v, level); !found.isNull() {
			if found.kind < kindObject {
				m.fail("the rule of an iteration became " + found.kindName())
			}
			return
		}
	}
}

// merge joins lists, and what is none as one element.
func (m *machine) merge(n *node) Value {
	items, isList := m.arguments(n)
	switch {
	case m.failure != "":
		return Value{}
	case !isList && (items[0].isNull() || items[0].kind >= kindList):
		return m.fail("the argument of \"merge\" is no array")
	case !isList:
		return List(items...)
	}
	total := 0
	for _, item := range items {
		if item.kind == kindList {
			total += int(item.n)
		} else {
			total++
		}
	}
	to := m.reserved(m.reserve(total), total)
	if m.failure != "" {
		return Value{}
	}
	merged := to[:0]
	for _, item := range items {
		if item.kind == kindList {
			merged = append(merged, item.items()...)
		} else {
			merged = append(merged, item)
		}
	}
	return List(merged...)
}

// arithmetic takes numbers, and strings as numbers; all else fails.
func (m *machine) arithmetic(n *node) Value {
	if !n.whole && len(n.args) == 2 && n.op != opAbs {
		a, okA := number(m.eval(&n.args[0]))
		b, okB := number(m.eval(&n.args[1]))
		if !okA || !okB {
			return m.fail("arithmetic with something that is no number")
		}
		return Number(operate(n.op, a, b))
	}
	items, isList := m.arguments(n)
	if m.failure != "" {
		return Value{}
	}
	if !isList && n.op != opAdd && n.op != opAbs {
		return m.fail("an arithmetic operator's argument is no array")
	}
	if len(items) == 0 {
		return m.emptyArithmetic(n.op)
	}
	total, ok := number(items[0])
	switch {
	case n.op == opModulo && len(items) < 2:
		return m.fail("\"%\" wants two arguments")
	case n.op == opModulo:
		items = items[:2]
	case n.op == opAbs:
		items = items[:1]
		total = math.Abs(total)
	case n.op == opSubtract && len(items) == 1:
		total = -total
	}
	for _, item := range items[1:] {
		f, okItem := number(item)
		ok = ok && okItem
		total = operate(n.op, total, f)
	}
	if !ok {
		return m.fail("arithmetic with something that is no number")
	}
	return Number(total)
}

func (m *machine) emptyArithmetic(o op) Value {
	switch o {
	case opMin, opMax:
		return Value{}
	case opMultiply:
		return Number(1)
	case opSubtract, opDivide:
		return goInt()
	case opModulo, opAbs:
		return m.fail("an arithmetic operator has no argument")
	}
	return Number(0)
}

func operate(o op, a, b float64) float64 {
	switch o {
	case opAdd:
		return a + b
	case opSubtract:
		return a - b
	case opMultiply:
		return a * b
	case opDivide:
		return a / b
	case opModulo:
		return math.Mod(a, b)
	case opMin:
		if a > b {
			return b
		}
	case opMax:
		if b > a {
			return b
		}
	}
	return a
}
