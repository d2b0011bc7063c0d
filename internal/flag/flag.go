// Package flag is the feature-flag engine: it reads flagd documents strictly, compiles them once, and evaluates flags
// without allocating, with flagd's semantics. Beside flagd's members it knows a short form, prerequisites, schedules with
// ramps, and buckets by any attribute. It needs the standard library alone.
package flag

// variant is one of a flag's values, and the answer that holds it.
type variant struct {
	name   string
	odd    bool   // flagd never finds it by its name; see isPlain
	text   string // the value's JSON, as the document writes it
	value  Value
	result Result
}

// flag is a compiled flag. Its answers are made once; an evaluation only chooses.
type flag struct {
	key      string
	rule     node
	fixed    bool   // always answers with fallback: without a rule, disabled, or broken
	fallback Result // where the rule gives null
	closed   Result // where the gate is closed
	unknown  Result // where the rule gives no variant
	variants []variant
	byName   map[string]int // from manyVariants on
	gate     *gate
	salt     murmur // the state of the hash after the flag's key
	rampSalt murmur
	bucketBy []part
	ramp     []rampStep
	ring     bool
	third    bool // flagd's third hash version
	short    bool // the short form
}

const manyVariants = 12

// evaluate chooses an answer.
func (f *flag) evaluate(ctx *Context) Result {
	if f.gate != nil && !f.gate.open(f, ctx) {
		return f.closed
	}
	if f.fixed {
		return f.fallback
	}
	m := machine{ctx: ctx, flag: f}
	v := m.eval(&f.rule)
	r := f.result(&m, v)
	if m.scratch != nil {
		m.close()
	}
	return *r
}

// result finds the answer for what a rule gave. It is made before the scratch, which v may point into, is given back.
func (f *flag) result(m *machine, v Value) *Result {
	if m.failure != "" {
		return f.failed(m.failure)
	}
	i := -1
	switch v.kind {
	case kindNull:
		return &f.fallback
	case kindString:
		if i = f.find(v.str()); i >= 0 && f.variants[i].odd || i < 0 && !isPlain(v.str()) {
			i = f.find(m.jsonName(v))
		}
	case kindBool:
		i = f.find(boolName(v))
	case kindNumber:
		if f := v.num(); f-f != 0 { // NaN or infinite
			m.jsonName(v)
			break
		}
		var buffer [32]byte
		i = f.find(text(appendJSONNumber(buffer[:0], v.num())))
	default:
		i = f.find(m.jsonName(v))
	}
	switch {
	case m.failure != "":
		return f.failed(m.failure)
	case i < 0:
		return &f.unknown
	}
	return &f.variants[i].result
}

// failed allocates: a rule that fails is an error of whoever wrote it, and a checked one fails only by its context.
func (f *flag) failed(why string) *Result {
	return &Result{Reason: ReasonError, ErrorCode: ParseError, ErrorDetails: why, Metadata: f.fallback.Metadata}
}

func (f *flag) find(name string) int {
	if f.byName != nil {
		if i, ok := f.byName[name]; ok {
			return i
		}
		return -1
	}
	return find(f.variants, name)
}

func find(variants []variant, name string) int {
	for i := range variants {
		if variants[i].name == name {
			return i
		}
	}
	return -1
}

// variantName is the name that a rule's result stands for.
func variantName(v Value) string {
	switch v.kind {
	case kindBool:
		return boolName(v)
	case kindNumber:
		return string(appendJSONNumber(nil, v.num()))
	}
	return v.textOf()
}

func boolName(v Value) string {
	if v.isTrue() {
		return "true"
	}
	return "false"
}
