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

// operatorNamed is a switch and not a map, so that a program that evaluates no flag pays nothing at its start.
func operatorNamed(name string) (operator, bool) {
	o := operator{min: 2, max: 2}
	switch name {
	case "var":
		o.op, o.min, o.bare = opVar, 1, true
	case "missing":
		o.op, o.min, o.max = opMissing, 0, many
	case "missing_some":
		o.op = opMissingSome
	case "if":
		o.op, o.min, o.max = opIf, 1, many
	case "?:":
		o.op, o.min, o.max, o.foreign = opIf, 1, many, true
	case "and":
		o.op, o.min, o.max = opAnd, 1, many
	case "or":
		o.op, o.min, o.max = opOr, 1, many
	case "!":
		o.op, o.min, o.max, o.bare = opNot, 1, 1, true
	case "!!":
		o.op, o.min, o.max, o.bare = opTruth, 1, 1, true
	default:
		return otherOperator(name)
	}
	return o, true
}

func otherOperator(name string) (operator, bool) {
	o := operator{min: 2, max: 2}
	switch name {
	case "==":
		o.op = opEqual
	case "!=":
		o.op = opNotEqual
	case "===":
		o.op = opSame
	case "!==":
		o.op = opNotSame
	case "<":
		o.op, o.max = opLess, 3
	case "<=":
		o.op, o.max = opLessOrEqual, 3
	case ">":
		o.op = opMore
	case ">=":
		o.op = opMoreOrEqual
	case "in":
		o.op = opIn
	case "starts_with":
		o.op = opStartsWith
	case "ends_with":
		o.op = opEndsWith
	case "sem_ver":
		o.op, o.min, o.max = opSemVer, 3, 3
	case "fractional":
		o.op, o.min, o.max = opFractional, 1, many
	default:
		return listOperator(name)
	}
	return o, true
}

func listOperator(name string) (operator, bool) {
	o := operator{min: 1, max: many}
	switch name {
	case "+":
		o.op = opAdd
	case "-":
		o.op = opSubtract
	case "*":
		o.op, o.min = opMultiply, 2
	case "/":
		o.op, o.min, o.max = opDivide, 2, 2
	case "%":
		o.op, o.min, o.max = opModulo, 2, 2
	case "abs":
		o.op, o.max, o.bare, o.foreign = opAbs, 1, true, true
	case "min":
		o.op = opMin
	case "max":
		o.op = opMax
	case "cat":
		o.op = opCat
	case "substr":
		o.op, o.min, o.max = opSubstr, 2, 3
	case "merge":
		o.op = opMerge
	case "map":
		o.op, o.min, o.max = opMap, 2, 2
	case "filter":
		o.op, o.min, o.max = opFilter, 2, 2
	case "reduce":
		o.op, o.min, o.max = opReduce, 3, 3
	case "all":
		o.op, o.min, o.max = opAll, 2, 2
	case "none":
		o.op, o.min, o.max = opNone, 2, 2
	case "some":
		o.op, o.min, o.max = opSome, 2, 2
	default:
		return foreignOperator(name)
	}
	return o, true
}

// foreignOperator is what flagd's library knows beyond JSONLogic; "?:" and abs are there, too.
func foreignOperator(name string) (operator, bool) {
	o := operator{min: 2, max: 2, foreign: true}
	switch name {
	case "set":
		o.op, o.min, o.max = opSet, 3, 3
	case "contains_all":
		o.op = opContainsAll
	case "contains_any":
		o.op = opContainsAny
	case "contains_none":
		o.op = opContainsNone
	default:
		return operator{}, false
	}
	return o, true
}

// operatorNames is for messages.
const operatorNames = "var missing missing_some if and or ! !! == != === !== < <= > >= in + - * / % min max cat substr merge " +
	"map filter reduce all none some starts_with ends_with sem_ver fractional $ref"
