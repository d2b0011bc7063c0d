package flag

import "slices"

// set is a copy of an object with one more member. flagd's library computes that member's value twice.
func (m *machine) set(n *node) Value {
	items, isList := m.arguments(n)
	switch {
	case m.failure != "":
		return Value{}
	case !isList:
		return m.fail("the argument of \"set\" is no array")
	case len(items) == 0:
		return Value{}
	case len(items) < 3 || items[0].kind < kindObject:
		return items[0]
	case items[1].kind != kindString:
		return m.fail("\"set\" wants a string as the member's name")
	}
	object, value := items[0], items[2]
	if object.kind == kindContext {
		object = m.whole()
	}
	if m.isRule(value) {
		value = m.run(value, n.level)
	}
	return Object(append(slices.Clone(object.members()), Attribute{items[1].str(), value})...)
}

// contains says whether all, any or none of the second list's elements are in the first.
func (m *machine) contains(n *node) Value {
	items, isList := m.arguments(n)
	if m.failure != "" {
		return Value{}
	}
	if !isList || len(items) != 2 || items[0].kind != kindList || items[1].kind != kindList {
		return Bool(n.op == opContainsNone)
	}
	for _, wanted := range items[1].items() {
		found := slices.ContainsFunc(items[0].items(), func(item Value) bool { return m.isSame(item, wanted) })
		if m.failure != "" {
			return Value{}
		}
		if found != (n.op == opContainsAll) {
			return Bool(n.op == opContainsAny)
		}
	}
	return Bool(n.op != opContainsAny)
}

// isSame compares scalars by type and value.
func (m *machine) isSame(a, b Value) bool {
	switch {
	case min(a.kind, kindObject) != min(b.kind, kindObject):
		return false
	case a.kind >= kindList:
		m.fail("a comparison of two lists or objects")
		return false
	}
	return looseEqual(a, b)
}
