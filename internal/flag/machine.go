package flag

import (
	"sync"
)

// machine runs one flag's rule for one context. It lives on the caller's stack; only a rule that builds texts or lists
// borrows a scratch.
type machine struct {
	ctx     *Context
	flag    *flag
	scratch *scratch
	failure string // why flagd would answer PARSE_ERROR; the first one
	steps   int    // iterations so far
	runs    int    // rules out of data that are running
	work    int    // and the size of all there were
}

// Bounds on one evaluation, so that no rule and no context can hold a function.
const (
	maxSteps  = 1 << 18 // elements seen by map, filter and the like
	maxValues = 1 << 16 // elements of lists that were built
	maxText   = 1 << 18 // bytes of texts that were built
)

// scratch holds what a rule builds: it only grows, so that what points into it stays valid.
type scratch struct {
	values []Value
	text   []byte
	levels [maxLevel]Value // the data of each iteration
	frames []Attribute     // of reduce
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (m *machine) borrow() *scratch {
	if m.scratch == nil {
		m.scratch = scratches.Get().(*scratch)
	}
	return m.scratch
}

// close gives the scratch back without what it referred to.
func (m *machine) close() {
	if s := m.scratch; s != nil {
		clear(s.values)
		s.values, s.text = s.values[:0], s.text[:0]
		s.levels = [maxLevel]Value{}
		clear(s.frames)
		m.scratch = nil
		scratches.Put(s)
	}
}

// fail is where flagd's library panics.
func (m *machine) fail(why string) Value {
	if m.failure == "" {
		m.failure = why
	}
	return Value{}
}

// reserve makes room for a list of n, which other lists may follow before it is filled.
func (m *machine) reserve(n int) int {
	s := m.borrow()
	from := len(s.values)
	if from+n > maxValues {
		m.fail("the rule builds more than 65536 values")
		n = 0
	}
	for range n {
		s.values = append(s.values, Value{})
	}
	return from
}

func (m *machine) reserved(from, n int) []Value {
	if len(m.scratch.values) < from+n {
		return nil
	}
	return m.scratch.values[from : from+n : from+n]
}

// compute fills a list with what nodes give.
func (m *machine) compute(args []node) []Value {
	from := m.reserve(len(args))
	for i := range args {
		v := m.eval(&args[i])
		if m.failure != "" {
			return nil
		}
		m.scratch.values[from+i] = v
	}
	return m.reserved(from, len(args))
}

// arguments are an operator's. Where they weren't written as an array they are what the one argument gives, and isList
// says whether that is a list; if it isn't, it is the only element.
func (m *machine) arguments(n *node) (items []Value, isList bool) {
	if !n.whole {
		return m.compute(n.args), true
	}
	v := m.eval(&n.args[0])
	if v.kind == kindList {
		return v.items(), true
	}
	from := m.reserve(1)
	m.scratch.values[from] = v
	return m.reserved(from, 1), false
}

// eval runs a node.
func (m *machine) eval(n *node) Value {
	switch n.op {
	case opConst:
		return n.value
	case opVar:
		return m.variable(n.path)
	case opIf:
		return m.conditional(n)
	case opEqual, opNotEqual, opSame, opNotSame, opLess, opLessOrEqual, opMore, opMoreOrEqual:
		return m.comparison(n)
	case opAnd, opOr:
		return m.logic(n)
	case opNot, opTruth:
		return m.negation(n)
	case opIn:
		return m.in(n)
	case opStartsWith, opEndsWith:
		return m.affix(n)
	case opSemVer:
		return m.semver(n)
	case opFractional:
		return m.fractional(n)
	case opList:
		return List(m.compute(n.args)...)
	case opFail:
		return m.fail(n.value.str())
	}
	return m.evalOther(n)
}

// evalOther is for the operators that are rare.
func (m *machine) evalOther(n *node) Value {
	switch n.op {
	case opCat:
		return m.cat(n)
	case opSubstr:
		return m.substr(n)
	case opMerge:
		return m.merge(n)
	case opMissing:
		return m.missing(n)
	case opMissingSome:
		return m.missingSome(n)
	case opSet:
		return m.set(n)
	case opContainsAll, opContainsAny, opContainsNone:
		return m.contains(n)
	case opMap, opFilter:
		return m.collect(n)
	case opReduce:
		return m.reduce(n)
	case opAll, opNone, opSome:
		return m.quantify(n)
	case opRollout:
		return m.rollout(n)
	}
	return m.arithmetic(n)
}

// conditional computes the first branch whose condition holds.
func (m *machine) conditional(n *node) Value {
	args := n.args
	for len(args) > 1 {
		if truthy(m.eval(&args[0])) {
			return m.branch(n, &args[1])
		}
		if m.failure != "" {
			return Value{}
		}
		args = args[2:]
	}
	if len(args) == 1 {
		return m.branch(n, &args[0])
	}
	return Value{}
}

// branch is a branch's value; flagd runs an object that comes out of it as a rule once more.
func (m *machine) branch(n, branch *node) Value {
	v := m.eval(branch)
	if v.kind >= kindObject && m.isOperation(v) {
		return m.run(v, n.level)
	}
	return v
}

func (m *machine) logic(n *node) Value {
	var last Value
	for i := range n.args {
		last = m.eval(&n.args[i])
		if m.failure != "" || truthy(last) == (n.op == opOr) {
			return last
		}
	}
	return last
}

func (m *machine) negation(n *node) Value {
	isTruth := n.op == opTruth
	if n.whole {
		v := m.eval(&n.args[0])
		if v.kind == kindList && v.n > 0 {
			v = v.items()[0]
		}
		return Bool(truthy(v) == isTruth)
	}
	if len(n.args) == 0 {
		return Bool(!isTruth)
	}
	v := m.eval(&n.args[0])
	for i := range n.args[1:] {
		m.eval(&n.args[1+i])
	}
	return Bool(truthy(v) == isTruth)
}

// comparison of two, or of three that should lie in order.
func (m *machine) comparison(n *node) Value {
	if !n.whole && len(n.args) == 2 {
		return Bool(compare(n.op, m.eval(&n.args[0]), m.eval(&n.args[1])))
	}
	items, isList := m.arguments(n)
	switch {
	case !isList && (n.op == opSame || n.op == opNotSame):
		return Bool(n.op == opNotSame)
	case !isList:
		return m.fail("a comparison's argument is no array")
	case len(items) < 2:
		return Bool(n.op == opNotEqual || n.op == opNotSame)
	case len(items) == 3 && n.op >= opLess:
		return Bool(compare(n.op, items[0], items[1]) && compare(n.op, items[1], items[2]))
	}
	return Bool(compare(n.op, items[0], items[1]))
}

func compare(o op, a, b Value) bool {
	switch o {
	case opEqual:
		return looseEqual(a, b)
	case opNotEqual:
		return !looseEqual(a, b)
	case opSame:
		return strictEqual(a, b)
	case opNotSame:
		return !strictEqual(a, b)
	case opLess:
		return less(a, b)
	case opLessOrEqual:
		return less(a, b) || looseEqual(a, b)
	case opMore:
		return less(b, a)
	}
	return less(b, a) || looseEqual(b, a)
}
