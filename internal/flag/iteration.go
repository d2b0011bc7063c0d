package flag

import (
	"slices"
	"strconv"
)

// iteration compiles map and its like. Their rules see an element as the data. Where a name is looked up is flagd's own:
// before the rule runs, filter and none put what they find in the data outside in the place of a var, all what it finds
// in the element, and some both; map and reduce ask the element alone. That looks the same as asking the levels one
// after the other, as long as what is found is a scalar; else see literal.go.
func (c *rules) iteration(o op, arg Value, at *place) node {
	want := 2
	if o == opReduce {
		want = 3
	}
	if arg.kind != kindList {
		return failing("the argument of an iteration is no array")
	}
	items := arg.items()
	if len(items) < want {
		switch {
		case o == opMap || o == opFilter:
			return constant(List())
		case o == opReduce:
			return constant(Number(0))
		case len(items) == 0:
			return failing("an iteration has no arguments")
		}
	}
	args := make([]node, want)
	switch items[0].kind {
	case kindList:
		args[0] = constant(items[0]) // flagd doesn't compute its elements
	case kindObject:
		args[0] = c.rule(items[0], at.item(0), false)
	default:
		c.add(at.item(0), "this is "+items[0].kindName()+"; want an array or a rule that gives one")
		args[0] = constant(Value{})
	}
	each := new(each)
	if args[1] = failing("an iteration has no rule"); len(items) > 1 {
		args[1] = c.each(o, items[1], at.item(1), each)
	}
	if o == opReduce {
		args[2] = c.initial(items[2], at.item(2))
	}
	for i := range args {
		c.note(&args[i], at.item(i))
	}
	return node{op: o, args: args, level: c.level + 1, each: each}
}

// initial is reduce's third argument; flagd computes an object, and takes only a bool, a number or a string.
func (c *rules) initial(v Value, at *place) node {
	if v.kind == kindList || v.kind == kindNull {
		c.add(at, "this is "+v.kindName()+"; want a boolean, a number or a string to begin with")
	}
	if v.kind == kindList {
		return constant(v)
	}
	return c.rule(v, at, false)
}

func (c *rules) each(o op, v Value, at *place, each *each) node {
	if c.level+1 >= maxLevel {
		c.add(at, "iterations lie in one another more than "+strconv.Itoa(maxLevel-1)+" levels deep")
		return failing("too many iterations in one another")
	}
	if o != opMap && o != opFilter && (v.kind != kindObject) {
		c.add(at, "this is "+v.kindName()+"; want a rule")
		return failing("an iteration's rule is no object")
	}
	inner := *c
	inner.level++
	inner.outer = slices.Clone(c.outer)
	if o == opFilter || o == opNone || o == opSome {
		inner.outer = append(inner.outer, c.level)
	}
	if o == opAll || o == opSome {
		inner.outer = append(inner.outer, inner.level)
	}
	each.rule, each.levels = v, inner.outer
	if !c.inSegment {
		each.rule, _ = resolved(v, c.evaluators)
	}
	each.literal = len(each.levels) > 0 && reshapes(each.rule)
	inner.vars = &each.vars
	rule := inner.rule(v, at, false)
	if c.vars != nil {
		*c.vars = append(*c.vars, each.vars...)
	}
	return rule
}
