package flag

import (
	"math"
)

// maxWeights is the largest sum of a fractional's weights.
const maxWeights = math.MaxInt32

// split is a fractional whose buckets are constant.
type split struct {
	names  []Value
	ends   []uint32 // cumulative weights
	total  uint32
	hasKey bool // the first argument is the key's rule, and no bucket
	fixed  bool // names and weights are usable; else all is computed at each call
}

// fractional prepares constant buckets; what is wrong with them gives null at evaluation, as everywhere in flagd.
func (c *rules) fractional(arg Value, at *place, isResult bool) node {
	if arg.kind != kindList || arg.n == 0 {
		return c.plain(opFractional, arg, at)
	}
	items := arg.items()
	s := &split{hasKey: items[0].kind != kindList, fixed: true}
	args := make([]node, len(items))
	for i, item := range items {
		at := at.item(i)
		if i == 0 && s.hasKey {
			args[0] = c.rule(item, at, false)
			if k := item.kind; k == kindNumber || k == kindBool {
				c.add(at, "this is "+item.kindName()+"; want a string, or a rule that gives the string to bucket by")
			}
		} else {
			args[i] = c.bucket(s, item, at, isResult)
		}
		c.note(&args[i], at)
	}
	if len(s.ends) == 0 && s.fixed {
		c.add(at, "fractional without a bucket; want [\"variant\", weight]")
	}
	if s.total == 0 && s.fixed {
		c.add(at, "the weights' sum is 0; want at least one weight above it")
	}
	return node{op: opFractional, level: c.level, args: args, split: s}
}

func (c *rules) bucket(s *split, v Value, at *place, isResult bool) node {
	if v.kind != kindList || v.n == 0 || v.n > 2 {
		c.add(at, "this is no bucket; want [\"variant\", weight]")
		s.fixed = false
		return c.rule(v, at, false)
	}
	args := c.args(v, at, false)
	if args[0].op != opConst {
		args[0] = c.rule(v.items()[0], at.item(0), isResult)
	} else if isResult {
		c.checkVariant(args[0].value, at.item(0))
	}
	weight, constantWeight := Number(1), true
	if len(args) == 2 {
		weight, constantWeight = args[1].value, args[1].op == opConst
	}
	w, ok := bucketWeight(weight)
	if constantWeight && !ok {
		c.add(at.item(1), "this weight is not usable; want a whole number from 0 to 2147483647")
	}
	if int64(s.total)+int64(w) > maxWeights {
		c.add(at, "the weights' sum is over 2147483647; want less")
		ok = false
	}
	if args[0].op != opConst || args[0].value.kind > kindString || !constantWeight || !ok {
		s.fixed = false
	} else {
		s.total += w
		s.names = append(s.names, args[0].value)
		s.ends = append(s.ends, s.total)
	}
	for i := range args {
		c.note(&args[i], at.item(i))
	}
	return node{op: opList, args: args}
}

// bucketWeight is a weight as flagd takes it: null is 1, a negative one 0.
func bucketWeight(v Value) (uint32, bool) {
	switch {
	case v.kind == kindNull:
		return 1, true
	case v.kind != kindNumber || isGoInt(v):
		return 0, false
	}
	f := v.num()
	switch {
	case f != math.Trunc(f) || f > maxWeights || f < -1<<63:
		return 0, false
	case f < 0:
		return 0, true
	}
	return uint32(f), true
}
