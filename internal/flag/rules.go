package flag

import (
	"strconv"
)

// maxLevel bounds how deep iterations (map, filter, ...) lie in one another.
const maxLevel = 8

// rules compiles targeting rules into nodes, and says what is wrong with them.
type rules struct {
	problems   *problems
	evaluators map[string]Value
	variants   []variant // of the flag at hand; nil for a segment
	used       map[string]bool
	where      map[*node]*place // for explain; nil else
	level      uint8
	outer      []uint8
	vars       *[]*variable // that the rule of an iteration asks outside of it
	inSegment  bool
	quiet      bool // in a segment that has been judged where it is defined
}

func (c *rules) add(at *place, message string) {
	if !c.quiet && c.problems != nil {
		c.problems.add(at, message)
	}
}

func constant(v Value) node { return node{op: opConst, value: v} }

func failing(why string) node { return node{op: opFail, value: String(why)} }

// rule compiles any value. isResult says that what it gives is the name of a variant.
func (c *rules) rule(v Value, at *place, isResult bool) node {
	switch v.kind {
	case kindList:
		return c.list(v, at)
	case kindObject:
		if m, isSingle := v.single(); isSingle {
			return c.operation(m.Name, m.Value, at, isResult)
		}
		if v.n == 0 {
			return constant(v)
		}
		c.add(at, "an object with "+strconv.Itoa(int(v.n))+" members is no rule; want one operator, as {\"if\": […]}")
		return constant(v)
	}
	if isResult {
		c.checkVariant(v, at)
	}
	return constant(v)
}

func (c *rules) checkVariant(v Value, at *place) {
	if c.variants == nil || v.isNull() || c.problems == nil {
		return
	}
	switch name := variantName(v); {
	case find(c.variants, name) < 0:
		c.problems.add(at, strconv.Quote(name)+" is none of the flag's variants; want "+variantNames(c.variants)+" or null")
	case !isPlain(name):
		c.problems.add(at, "flagd's rules don't find a variant with one of \" \\ < > & or a control character in its name; want another name")
	}
}

func (c *rules) list(v Value, at *place) node {
	args := c.args(v, at, false)
	for i := range args {
		if args[i].op != opConst {
			return node{op: opList, args: args}
		}
	}
	return constant(v)
}

func (c *rules) args(list Value, at *place, isResult bool) []node {
	args := make([]node, list.n)
	for i, item := range list.items() {
		args[i] = c.rule(item, at.item(i), isResult)
		c.note(&args[i], at.item(i))
	}
	return args
}

func (c *rules) note(n *node, at *place) {
	if c.where != nil {
		c.where[n] = at
	}
}

func (c *rules) operation(name string, arg Value, at *place, isResult bool) node {
	if name == "$ref" {
		return c.reference(arg, at, isResult)
	}
	at = at.member(name)
	o, known := operatorNamed(name)
	if !known {
		c.add(at, "no such operator; want one of "+operatorNames())
		return failing("the operator " + strconv.Quote(name) + " is not supported")
	}
	c.checkArity(o, name, arg, at)
	switch o.op {
	case opVar:
		return c.variable(arg, at)
	case opIf:
		return c.conditional(arg, at, isResult)
	case opAnd, opOr:
		return c.logic(o.op, arg, at)
	case opMap, opFilter, opReduce, opAll, opNone, opSome:
		return c.iteration(o.op, arg, at)
	case opFractional:
		return c.fractional(arg, at, isResult)
	}
	n := c.plain(o.op, arg, at)
	c.specialize(&n, at)
	return n
}

func (c *rules) checkArity(o operator, name string, arg Value, at *place) {
	switch {
	case o.foreign:
		c.add(at, "only flagd's Go library knows "+name+"; want an operator of flagd's schema")
	case arg.kind != kindList:
		if !o.bare {
			c.add(at, name+" has "+arg.kindName()+" as its argument; want an array")
		}
	case int(arg.n) < o.min || int(arg.n) > o.max:
		c.add(at, name+" has "+strconv.Itoa(int(arg.n))+" arguments; want "+arity(o))
	}
}

func arity(o operator) string {
	switch {
	case o.max == many:
		return "at least " + strconv.Itoa(o.min)
	case o.min == o.max:
		return strconv.Itoa(o.min)
	}
	return strconv.Itoa(o.min) + " or " + strconv.Itoa(o.max)
}

// plain compiles an operator that first computes its arguments.
func (c *rules) plain(o op, arg Value, at *place) node {
	if arg.kind == kindList {
		return node{op: o, level: c.level, args: c.args(arg, at, false)}
	}
	return node{op: o, level: c.level, whole: true, args: c.one(arg, at)}
}

func (c *rules) one(v Value, at *place) []node {
	args := make([]node, 1)
	args[0] = c.rule(v, at, false)
	c.note(&args[0], at)
	return args
}

// specialize prepares what is constant, and checks it.
func (c *rules) specialize(n *node, at *place) {
	if n.whole {
		return
	}
	switch n.op {
	case opSemVer:
		c.semver(n, at)
	case opIn:
		if len(n.args) == 2 && n.args[1].op == opConst {
			n.set = stringSet(n.args[1].value)
		}
	case opStartsWith, opEndsWith:
		for i := range n.args {
			if a := &n.args[i]; a.op == opConst && a.value.kind != kindString {
				c.add(at.item(i), "this is "+a.value.kindName()+"; want a string or a rule that gives one")
			}
		}
	case opMissing:
		c.missing(n, at)
	}
}

// missing prepares paths in the context that are constant.
func (c *rules) missing(n *node, at *place) {
	constant := c.level == 0
	for i := range n.args {
		a := &n.args[i]
		if a.op == opConst && a.value.kind != kindString {
			c.add(at.item(i), "this is "+a.value.kindName()+"; want a path, as in var")
		}
		if a.op != opConst {
			return
		}
		a.path = &variable{parts: parsePath(a.value.textOf())}
		constant = constant && a.op == opConst && len(a.path.parts) > 0
	}
	if constant {
		n.path = &variable{}
	}
}

func (c *rules) semver(n *node, at *place) {
	for _, i := range []int{0, 2} {
		if i < len(n.args) && n.args[i].op == opConst {
			v, ok := constantVersion(n.args[i].value)
			if !ok {
				c.add(at.item(i), "this is no version; want one like 1.2.3")
			} else if i == 2 && n.args[i].value.kind == kindString {
				n.version = &v
			}
		}
	}
	if len(n.args) > 1 && n.args[1].op == opConst {
		if _, ok := (version{}).matches(n.args[1].value.textOf(), version{}); !ok {
			c.add(at.item(1), "no such comparison; want one of = != < <= > >= ^ ~")
		}
	}
}

func constantVersion(v Value) (version, bool) {
	if v.kind == kindNumber {
		return parseVersion(string(appendVersion(nil, v)))
	}
	return parseVersion(v.textOf())
}

// textOf is a string's text, "" for all else.
func (v Value) textOf() string {
	if v.kind == kindString {
		return v.str()
	}
	return ""
}

// setFrom is the number of strings from which a set is faster than a walk.
const setFrom = 12

func stringSet(list Value) map[string]struct{} {
	if list.kind != kindList || list.n < setFrom {
		return nil
	}
	set := make(map[string]struct{}, list.n)
	for _, item := range list.items() {
		if item.kind != kindString {
			return nil
		}
		set[item.str()] = struct{}{}
	}
	return set
}

// conditional and logic want a literal array: flagd panics on all else.
func (c *rules) conditional(arg Value, at *place, isResult bool) node {
	if arg.kind != kindList {
		return failing("the argument of \"if\" is no array")
	}
	args := make([]node, arg.n)
	for i, item := range arg.items() {
		isCondition := i%2 == 0 && i < len(args)-1
		args[i] = c.rule(item, at.item(i), isResult && !isCondition)
		c.note(&args[i], at.item(i))
	}
	return node{op: opIf, args: args, level: c.level}
}

func (c *rules) logic(o op, arg Value, at *place) node {
	if arg.kind != kindList {
		return failing("the argument of \"and\" or \"or\" is no array")
	}
	return node{op: o, args: c.args(arg, at, false)}
}

// reference puts a segment in the place of {"$ref": name}, as flagd does with the document's text.
func (c *rules) reference(arg Value, at *place, isResult bool) node {
	name := arg.textOf()
	segment, known := c.evaluators[name]
	known = known && isPlain(name)
	switch {
	case c.inSegment:
		c.add(at, "a $ref in $evaluators; flagd doesn't resolve it. Want the rule itself")
		return failing("a $ref in $evaluators is not supported")
	case arg.kind != kindString || !known:
		c.add(at, "$evaluators has no "+strconv.Quote(name)+"; want one of the names that are there")
		return failing("$ref " + strconv.Quote(name) + " names none of $evaluators")
	}
	if c.used != nil {
		c.used[name] = true
	}
	inner := *c
	inner.quiet, inner.inSegment = true, true
	return inner.rule(segment, at, isResult)
}

// variable compiles var's argument.
func (c *rules) variable(arg Value, at *place) node {
	v := &variable{level: c.level, outer: c.outer}
	switch arg.kind {
	case kindNull:
		v.origin = primitive
	case kindString:
		c.setPath(v, arg.str(), at)
		if isLocal(arg.str()) {
			v.outer = nil
		}
	case kindNumber:
		c.setPath(v, string(appendNumber(nil, arg.num())), at)
	case kindList:
		if !c.variableList(v, arg, at) {
			return c.computed(v, arg, at)
		}
	default:
		if arg.kind == kindBool {
			c.add(at, "this is a boolean; want a path")
		}
		return c.computed(v, arg, at)
	}
	if c.vars != nil && v.outer != nil {
		*c.vars = append(*c.vars, v)
	}
	return node{op: opVar, path: v}
}

func appendNumber(out []byte, f float64) []byte { return strconv.AppendFloat(out, f, 'f', -1, 64) }

func (c *rules) variableList(v *variable, arg Value, at *place) bool {
	items := arg.items()
	switch {
	case len(items) == 0:
		v.origin = wholeData
		return true
	case items[0].kind != kindString:
		if items[0].kind != kindObject {
			c.add(at.item(0), "this is "+items[0].kindName()+"; want a path")
		}
		return false
	case len(items) > 2:
		return false
	}
	c.setPath(v, items[0].str(), at)
	if len(items) == 2 {
		fallback := c.rule(items[1], at.item(1), false)
		v.fallback = &fallback
	}
	return true
}

func (c *rules) computed(v *variable, arg Value, at *place) node {
	path := c.rule(arg, at, false)
	v.computed = &path
	return node{op: opVar, path: v}
}

func (c *rules) setPath(v *variable, path string, at *place) {
	v.path, v.parts = path, parsePath(path)
	if len(v.parts) == 0 {
		v.origin = wholeData
		return
	}
	if v.parts[0].name != flagdName {
		return
	}
	switch {
	case len(v.parts) == 2 && v.parts[1].name == "flagKey":
		v.origin = fromFlagKey
	case len(v.parts) == 2 && v.parts[1].name == "timestamp":
		v.origin = fromTimestamp
	default:
		c.add(at, "$flagd has no such member; want $flagd.flagKey or $flagd.timestamp")
	}
}

const flagdName = "$flagd"
