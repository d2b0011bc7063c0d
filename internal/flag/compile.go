package flag

import (
	"cmp"
	"slices"
	"strconv"
)

// Compile checks a whole document and compiles it. Its error is an *Invalid, and then nothing is compiled.
func Compile(document []byte) (*Set, error) {
	s, r := sourceOf(document, readOptions{limit: MaxDocument})
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	set, problems := compile(s, true)
	if err := problems.err(); err != nil {
		return nil, err
	}
	return set, nil
}

// CompileLenient compiles what was stored before the checks, or past them, up to MaxSnapshot. A flag that can't be
// evaluated answers PARSE_ERROR, also where its JSON can't be read, and what flagd evaluates in spite of a problem is
// evaluated as flagd does. One that is disabled is off, whatever else is wrong with it. A document that isn't one is an
// empty Set.
func CompileLenient(document []byte) (*Set, []Problem) {
	s, r := sourceOf(document, readOptions{limit: MaxSnapshot})
	found := r.problems.list
	if s.broken != "" {
		s, found = readApart(document)
	}
	set, more := compile(s, false)
	return set, append(found, more.list...)
}

// compiler turns readings into flags.
type compiler struct {
	source   *source
	set      *Set
	metadata *Metadata
	segments map[string]Value
	problems problems
	places   bool
}

// compile compiles all flags. Where there is a problem it does so again, with an account of the places.
func compile(s *source, strict bool) (*Set, *problems) {
	c := &compiler{source: s}
	set := c.run()
	if len(c.problems.list) > 0 {
		again := &compiler{source: s, places: true}
		set = again.run()
		c = again
	}
	if strict && len(c.problems.list) > 0 {
		return nil, &c.problems
	}
	return set, &c.problems
}

func (c *compiler) at(names ...string) *place {
	if !c.places {
		return nowhere
	}
	var at *place
	for _, name := range names {
		at = at.member(name)
	}
	return at
}

func (c *compiler) run() *Set {
	c.set = &Set{flags: make(map[string]*flag, len(c.source.flags)), source: c.source}
	c.metadata = metadataOf(c.source.metadata, nil)
	c.set.metadata = c.metadata
	c.segments = make(map[string]Value, len(c.source.evaluators))
	for _, e := range c.source.evaluators {
		c.segments[e.Name] = e.Value
		check := rules{problems: &c.problems, inSegment: true}
		check.rule(e.Value, c.at("$evaluators", e.Name), false)
	}
	c.set.missing = Result{Reason: ReasonError, ErrorCode: FlagNotFound, ErrorDetails: "there is no such flag", Metadata: c.metadata}
	compiled := make([]flag, len(c.source.flags))
	for i := range c.source.flags {
		r := c.source.flags[i]
		if !r.archived {
			c.set.flags[r.key] = &compiled[i]
			c.set.keys = append(c.set.keys, r.key)
		}
		c.flag(&compiled[i], r, nil)
	}
	slices.Sort(c.set.keys)
	c.set.sorted = make([]*flag, len(c.set.keys))
	for i, key := range c.set.keys {
		c.set.sorted[i] = c.set.flags[key]
	}
	c.link(compiled)
	return c.set
}

// place is where a flag is in the document; in an array it has a number.
func (c *compiler) place(r *reading) *place {
	if !c.places {
		return nowhere
	}
	if r.at != nil && r.at != nowhere {
		return r.at
	}
	return c.at("flags", r.key)
}

// flag compiles one flag; where is for explain.
func (c *compiler) flag(f *flag, r *reading, where map[*node]*place) {
	f.key = r.key
	f.salt = murmur{}.write(r.key)
	f.rampSalt = f.salt.write(".ramp")
	if f.third = r.hashVersion == "v3"; f.third {
		f.salt = murmur{}.cborHead(cborArray, 2).cborHead(cborText, uint64(len(r.key))).write(r.key)
	}
	if r.bucketBy != "" {
		f.bucketBy = parsePath(r.bucketBy)
	}
	metadata := metadataOf(c.source.metadata, r.metadata)
	if r.metadata == nil {
		metadata = c.metadata
	}
	f.closed = Result{Reason: Disabled, Metadata: metadata}
	f.fallback = Result{Reason: Default, Metadata: metadata}
	switch {
	case r.broken == "":
		if r.simple != nil {
			c.simple(f, r, metadata)
		} else {
			c.full(f, r, metadata, where)
		}
		c.schedule(f, r)
	case r.state != "DISABLED":
		f.breakUp(r.broken)
		return
	}
	if r.state == "DISABLED" {
		f.disable(r, metadata)
	}
}

// disable makes a flag off for everybody. The short form is off, whatever the code's default is.
func (f *flag) disable(r *reading, metadata *Metadata) {
	f.fixed, f.gate = true, nil
	f.fallback = Result{Reason: Disabled, Metadata: metadata}
	if r.simple != nil && !r.hasVariants {
		f.fallback = answer(&variant{name: "off", text: "false", value: Bool(false)}, Disabled, metadata)
	}
}

func (f *flag) breakUp(why string) {
	f.fixed, f.gate = true, nil
	f.fallback = Result{Reason: ReasonError, ErrorCode: ParseError, ErrorDetails: why, Metadata: f.fallback.Metadata}
}

func (c *compiler) full(f *flag, r *reading, metadata *Metadata, where map[*node]*place) {
	f.variants = r.variants
	if where != nil || len(c.segments) > 0 {
		f.variants = slices.Clone(r.variants) // explain's are its own, and a $ref in one is resolved in its place
	}
	for i := range f.variants {
		v := &f.variants[i]
		v.odd = !isPlain(v.name)
		if v.value.kind == kindObject && len(c.segments) > 0 {
			c.resolve(v)
		}
		v.result = answer(v, TargetingMatch, metadata)
	}
	if len(f.variants) >= manyVariants {
		f.byName = make(map[string]int, len(f.variants))
		for i := range f.variants {
			f.byName[f.variants[i].name] = i
		}
	}
	f.unknown = Result{Reason: ReasonError, ErrorCode: General, ErrorDetails: "the rule gave something that is none of the flag's variants", Metadata: metadata}
	hasRule := r.targetingText != "" && (r.targeting.kind != kindObject || r.targeting.n > 0)
	if d := r.defaultVariant; d != nil && *d != "" {
		reason := Static
		if hasRule {
			reason = Default
		}
		f.fallback = answer(&f.variants[find(f.variants, *d)], reason, metadata)
	}
	if !hasRule {
		f.fixed = true
		return
	}
	compileRule := rules{problems: &c.problems, evaluators: c.segments, variants: f.variants, where: where}
	at := c.place(r).member("targeting")
	if where != nil {
		at = (*place)(nil).member("targeting")
	}
	f.rule = compileRule.rule(r.targeting, at, true)
	compileRule.note(&f.rule, at)
}

// resolve is for a value that holds a $ref, which flagd resolves everywhere in a document.
func (c *compiler) resolve(v *variant) {
	value, found := resolved(v.value, c.segments)
	if !found {
		return
	}
	texts := make(map[string]string, len(c.segments))
	for i, e := range c.source.evaluators {
		texts[e.Name] = c.source.texts[i]
	}
	v.value, v.text = value, string(mustJSON(resolvedText(decode([]byte(v.text)), texts)))
}

// resolvedText is resolved on decoded JSON, in which numbers keep all their digits.
func resolvedText(v any, segments map[string]string) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = resolvedText(v[i], segments)
		}
	case map[string]any:
		if name, isText := v["$ref"].(string); isText && len(v) == 1 && isPlain(name) {
			if segment, known := segments[name]; known {
				return decode([]byte(segment))
			}
		}
		for name := range v {
			v[name] = resolvedText(v[name], segments)
		}
	}
	return v
}

// answer is what a variant gives. A value that is null is none, as in flagd.
func answer(v *variant, reason Reason, metadata *Metadata) Result {
	if v.value.kind == kindNull {
		return Result{Reason: ReasonError, ErrorCode: TypeMismatch, ErrorDetails: "the variant's value is null", Metadata: metadata}
	}
	if v.result.Value == nil {
		v.result.Value = exactValue(v.value, v.text)
	}
	return Result{Value: v.result.Value, JSON: []byte(v.text), Variant: v.name, Reason: reason, Metadata: metadata}
}

// simple compiles the short form to the rule that stands for it.
func (c *compiler) simple(f *flag, r *reading, metadata *Metadata) {
	s := r.simple
	f.variants = []variant{{name: "on", text: "true", value: Bool(true)}, {name: "off", text: "false", value: Bool(false)}}
	for i := range f.variants {
		f.variants[i].result = answer(&f.variants[i], TargetingMatch, metadata)
	}
	f.closed = answer(&f.variants[1], Default, metadata)
	f.ring = s.Bucketing == "ring"
	f.short, f.rampSalt = true, f.salt // the buckets of flagd's fractional without a key
	hasRamp := r.schedule != nil && len(r.schedule.Ramp) > 0
	switch {
	case s.Enabled:
		f.fixed, f.fallback = true, answer(&f.variants[0], Static, metadata)
		return
	case s.RolloutPercent == 0 && len(s.Users) == 0 && !hasRamp:
		f.fixed, f.fallback = true, answer(&f.variants[1], Static, metadata)
		return
	}
	f.fallback = answer(&f.variants[1], Default, metadata)
	f.rule = node{op: opRollout, value: Number(s.RolloutPercent)}
	if len(s.Users) > 0 {
		users := make([]Value, len(s.Users))
		for i, user := range s.Users {
			users[i] = String(user)
		}
		list := List(users...)
		key := node{op: opVar, path: &variable{path: targetingKeyName, parts: parsePath(targetingKeyName)}}
		isListed := node{op: opIn, args: []node{key, constant(list)}, set: stringSet(list)}
		f.rule = node{op: opIf, args: []node{isListed, constant(String("on")), f.rule}}
	}
}

func (c *compiler) schedule(f *flag, r *reading) {
	s := r.schedule
	if s == nil && len(r.prerequisites) == 0 {
		return
	}
	g := new(gate)
	if s != nil {
		if !s.From.IsZero() {
			g.from = s.From.Unix()
		}
		if !s.Until.IsZero() {
			g.until = s.Until.Unix()
		}
		for _, step := range s.Ramp {
			f.ramp = append(f.ramp, rampStep{step.At.Unix(), step.Percent})
		}
		g.ramped = len(s.Ramp) > 0 && r.simple == nil
	}
	if g.from != 0 || g.until != 0 || g.ramped || len(r.prerequisites) > 0 {
		f.gate = g
	}
}

// maxCost bounds how many flags the evaluation of one can ask, by way of prerequisites.
const maxCost = 1000

// link points prerequisites at their flags, and refuses cycles.
func (c *compiler) link(compiled []flag) {
	byKey := make(map[string]int, len(compiled))
	for i := range c.source.flags {
		byKey[c.source.flags[i].key] = i
	}
	costs := make([]int, len(compiled))
	for i := range compiled {
		c.cost(compiled, byKey, costs, i)
	}
}

const visiting = -1

// cost counts the flags that i asks, itself included, and links them on the way.
func (c *compiler) cost(compiled []flag, byKey map[string]int, costs []int, i int) int {
	if costs[i] != 0 {
		return costs[i]
	}
	costs[i] = visiting
	f, r := &compiled[i], c.source.flags[i]
	if r.archived { // it asks nobody until it is taken out of the archive, and is checked then
		costs[i] = 1
		return 1
	}
	total := 1
	for j, p := range r.prerequisites {
		at := c.place(r).member("prerequisites").item(j)
		k, known := byKey[p.Flag]
		if problem := c.prerequisiteProblem(p, k, known); problem != "" {
			c.spoil(f, at, problem)
			continue
		}
		asked := c.cost(compiled, byKey, costs, k)
		if asked == visiting {
			c.spoil(f, at, "the flag "+strconv.Quote(p.Flag)+" asks for this one in turn; want no cycle")
			continue
		}
		total += asked
		if f.gate != nil {
			f.gate.prerequisites = append(f.gate.prerequisites, prerequisite{&compiled[k], p.Variant})
		}
	}
	if total > maxCost {
		c.spoil(f, c.place(r).member("prerequisites"), "one evaluation would ask more than "+strconv.Itoa(maxCost)+" flags; want fewer prerequisites of prerequisites")
		total = 1
	}
	costs[i] = total
	return total
}

func (c *compiler) spoil(f *flag, at *place, message string) {
	c.problems.add(at, message)
	if f.fallback.Reason != Disabled {
		f.breakUp(message)
	}
}

func (c *compiler) prerequisiteProblem(p Prerequisite, k int, known bool) string {
	if !known {
		return "there is no flag " + strconv.Quote(p.Flag) + "; want one of this environment's"
	}
	r := c.source.flags[k]
	names := r.variants
	if r.simple != nil {
		names = []variant{{name: "on"}, {name: "off"}}
	}
	switch {
	case r.archived:
		return "the flag " + strconv.Quote(p.Flag) + " is archived; want one that isn't"
	case find(names, p.Variant) < 0:
		return "the flag " + strconv.Quote(p.Flag) + " has no variant " + strconv.Quote(p.Variant) + "; want one of " + variantNames(names)
	}
	return ""
}

// metadataOf merges the set's metadata with the flag's, which wins; nil where there is none.
func metadataOf(set, own []scalar) *Metadata {
	if len(set)+len(own) == 0 {
		return nil
	}
	merged := slices.Concat(set, own)
	slices.SortStableFunc(merged, func(a, b scalar) int { return cmp.Compare(a.Name, b.Name) })
	m := &Metadata{Values: make(map[string]any, len(merged)), JSON: []byte{'{'}}
	for i, a := range merged {
		if i+1 < len(merged) && merged[i+1].Name == a.Name && !merged[i+1].Value.isNull() || a.Value.isNull() {
			continue
		}
		m.Values[a.Name] = exactValue(a.Value, a.text)
		m.JSON = appendMember(m.JSON, len(m.JSON) == 1, a.Name, mustJSON(a.written()))
	}
	m.JSON = append(m.JSON, '}')
	return m
}
