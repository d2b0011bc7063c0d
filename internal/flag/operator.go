package flag

// op is what a node does.
type op uint8

const (
	opConst op = iota
	opList     // an array with something to compute in it
	opFail     // what flagd fails on when it gets there; value says why
	opVar
	opMissing
	opMissingSome
	opIf
	opAnd
	opOr
	opNot
	opTruth
	opEqual
	opNotEqual
	opSame
	opNotSame
	opLess
	opLessOrEqual
	opMore
	opMoreOrEqual
	opIn
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opAbs
	opMin
	opMax
	opCat
	opSubstr
	opMerge
	opMap
	opFilter
	opReduce
	opAll
	opNone
	opSome
	opStartsWith
	opEndsWith
	opSemVer
	opFractional
	opSet
	opContainsAll
	opContainsAny
	opContainsNone
	opRollout // ours: the short form's percentage
)

// operator says how many arguments an operator takes. Bare allows one that isn't in an array. Foreign ones are
// evaluated by flagd, but aren't in its schema, and other flagd implementations don't know them.
type operator struct {
	op       op
	min, max int
	bare     bool
	foreign  bool
}

const many = 1 << 30

// operators are few: one that is walked costs less than a map that every program would fill at its start. The common ones
// come first.
var operators = [...]struct {
	name string
	operator
}{
	{"var", operator{op: opVar, min: 1, max: 2, bare: true}},
	{"if", operator{op: opIf, min: 1, max: many}},
	{"==", operator{op: opEqual, min: 2, max: 2}},
	{"in", operator{op: opIn, min: 2, max: 2}},
	{"fractional", operator{op: opFractional, min: 1, max: many}},
	{"and", operator{op: opAnd, min: 1, max: many}},
	{"or", operator{op: opOr, min: 1, max: many}},
	{"!", operator{op: opNot, min: 1, max: 1, bare: true}},
	{"!!", operator{op: opTruth, min: 1, max: 1, bare: true}},
	{"!=", operator{op: opNotEqual, min: 2, max: 2}},
	{"===", operator{op: opSame, min: 2, max: 2}},
	{"!==", operator{op: opNotSame, min: 2, max: 2}},
	{"<", operator{op: opLess, min: 2, max: 3}},
	{"<=", operator{op: opLessOrEqual, min: 2, max: 3}},
	{">", operator{op: opMore, min: 2, max: 2}},
	{">=", operator{op: opMoreOrEqual, min: 2, max: 2}},
	{"starts_with", operator{op: opStartsWith, min: 2, max: 2}},
	{"ends_with", operator{op: opEndsWith, min: 2, max: 2}},
	{"sem_ver", operator{op: opSemVer, min: 3, max: 3}},
	{"missing", operator{op: opMissing, min: 0, max: many}},
	{"missing_some", operator{op: opMissingSome, min: 2, max: 2}},
	{"+", operator{op: opAdd, min: 1, max: many}},
	{"-", operator{op: opSubtract, min: 1, max: many}},
	{"*", operator{op: opMultiply, min: 2, max: many}},
	{"/", operator{op: opDivide, min: 2, max: 2}},
	{"%", operator{op: opModulo, min: 2, max: 2}},
	{"min", operator{op: opMin, min: 1, max: many}},
	{"max", operator{op: opMax, min: 1, max: many}},
	{"cat", operator{op: opCat, min: 1, max: many}},
	{"substr", operator{op: opSubstr, min: 2, max: 3}},
	{"merge", operator{op: opMerge, min: 1, max: many}},
	{"map", operator{op: opMap, min: 2, max: 2}},
	{"filter", operator{op: opFilter, min: 2, max: 2}},
	{"reduce", operator{op: opReduce, min: 3, max: 3}},
	{"all", operator{op: opAll, min: 2, max: 2}},
	{"none", operator{op: opNone, min: 2, max: 2}},
	{"some", operator{op: opSome, min: 2, max: 2}},
	{"?:", operator{op: opIf, min: 1, max: many, foreign: true}},
	{"abs", operator{op: opAbs, min: 1, max: 1, bare: true, foreign: true}},
	{"set", operator{op: opSet, min: 3, max: 3, foreign: true}},
	{"contains_all", operator{op: opContainsAll, min: 2, max: 2, foreign: true}},
	{"contains_any", operator{op: opContainsAny, min: 2, max: 2, foreign: true}},
	{"contains_none", operator{op: opContainsNone, min: 2, max: 2, foreign: true}},
}

func operatorNamed(name string) (operator, bool) {
	for i := range operators {
		if operators[i].name == name {
			return operators[i].operator, true
		}
	}
	return operator{}, false
}

// operatorNames is for messages.
func operatorNames() string {
	var names []byte
	for i := range operators {
		if !operators[i].foreign {
			names = append(append(names, operators[i].name...), ' ')
		}
	}
	return string(names) + "$ref"
}
