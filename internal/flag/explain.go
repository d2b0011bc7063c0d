package flag

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Explanation is a Result and how it came about, in words.
type Explanation struct {
	Key          string          `json:"key"`
	Value        json.RawMessage `json:"value,omitempty"`
	Variant      string          `json:"variant,omitempty"`
	Reason       Reason          `json:"reason"`
	ErrorCode    ErrorCode       `json:"error_code,omitempty"`
	ErrorDetails string          `json:"error_details,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
	Steps        []string        `json:"steps"`
}

// Explain evaluates a flag, and says why: which condition decided, which bucket it was. It costs a compilation, and so
// belongs to people's questions, not into a program's path.
func (s *Set) Explain(key string, ctx *Context) Explanation {
	if ctx == nil {
		ctx = &noContext
	}
	now := *ctx
	now.Time = ctx.now() // one moment for the answer and its reasons
	e := explainer{set: s, ctx: &now}
	r := s.Evaluate(key, &now)
	e.flag(key, r)
	x := Explanation{Key: key, Value: r.JSON, Variant: r.Variant, Reason: r.Reason, ErrorCode: r.ErrorCode,
		ErrorDetails: r.ErrorDetails, Steps: e.steps}
	if r.Metadata != nil {
		x.Metadata = r.Metadata.JSON
	}
	return x
}

// explainer walks a rule a second time, on the way that the evaluation took. Rules have no effects, so that each part of
// them can be asked alone.
type explainer struct {
	set   *Set
	ctx   *Context
	where map[*node]*place
	steps []string
}

func (e *explainer) say(format string, args ...any) {
	e.steps = append(e.steps, fmt.Sprintf(format, args...))
}

func (e *explainer) flag(key string, r Result) {
	compiled := e.set.flags[key]
	i := slices.IndexFunc(e.set.source.flags, func(f *reading) bool { return f.key == key })
	if i < 0 {
		e.say("there is no flag %q", key)
		return
	}
	source := e.set.source.flags[i]
	switch {
	case source.archived:
		e.say("the flag is archived")
	case r.ErrorCode == ParseError && compiled.fixed:
		e.say("the flag is broken: %s", r.ErrorDetails)
	case source.state == "DISABLED" && source.simple != nil:
		e.say("the flag is disabled: off for everybody")
	case source.state == "DISABLED":
		e.say("the flag is disabled: the code's default counts")
	case compiled.gate != nil && !e.gate(compiled):
	case compiled.fixed && source.simple != nil:
		e.say("the short form is enabled: %t, with no percentage and no users to look at", source.simple.Enabled)
	case compiled.fixed:
		e.say("there is no targeting: the default variant %s counts", orNone(r.Variant))
	default:
		e.rule(compiled, source)
		e.outcome(r)
	}
}

func orNone(variant string) string {
	if variant == "" {
		return "(none: the code's default)"
	}
	return strconv.Quote(variant)
}

// gate says what closes the flag, or that nothing does.
func (e *explainer) gate(f *flag) bool {
	g, now := f.gate, e.ctx.now()
	switch {
	case now < g.from:
		e.say("schedule: closed until %s", clock(g.from))
		return false
	case g.until != 0 && now >= g.until:
		e.say("schedule: closed since %s", clock(g.until))
		return false
	}
	if g.ramped {
		percent := f.percentAt(now)
		inside, ok := f.within(e.ctx, percent)
		if !ok && percent < 100 {
			e.say("schedule: the ramp is at %v %%, and there is nobody to put into a bucket", percent)
			return false
		}
		e.say("schedule: the ramp is at %v %%, and the context is inside: %t (%s)", percent, inside || percent >= 100, e.bucket(f))
		if !inside && percent < 100 {
			return false
		}
	}
	for _, p := range g.prerequisites {
		got := p.flag.evaluate(e.ctx).Variant
		e.say("prerequisite: the flag %q gives %s; wanted is %q", p.flag.key, orNone(got), p.variant)
		if got != p.variant {
			return false
		}
	}
	return true
}

func clock(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// bucket names a rollout's bucket.
func (e *explainer) bucket(f *flag) string {
	var buffer [24]byte
	key, ok := f.bucketKey(e.ctx, buffer[:0])
	switch {
	case !ok:
		return "no " + f.bucketName()
	case f.ring:
		return fmt.Sprintf("MD5 of %q mod 100 is %d", key, ringBucket(key))
	}
	return fmt.Sprintf("%q is in bucket %d of %d", key, f.rolloutBucket(key), percentScale)
}

func (f *flag) bucketName() string {
	if len(f.bucketBy) == 0 {
		return targetingKeyName
	}
	names := make([]string, len(f.bucketBy))
	for i, p := range f.bucketBy {
		names[i] = p.name
	}
	return strings.Join(names, ".")
}

// rule compiles the flag's rule again, this time with an account of where each part of it stands.
func (e *explainer) rule(compiled *flag, source *reading) {
	if source.simple != nil {
		e.simple(compiled, source)
		return
	}
	e.where = map[*node]*place{}
	c := &compiler{source: e.set.source, set: &Set{}, segments: map[string]Value{}}
	for _, s := range e.set.source.evaluators {
		c.segments[s.Name] = s.Value
	}
	f := new(flag)
	c.flag(f, source, e.where)
	e.node(f, &f.rule)
}

func (e *explainer) simple(f *flag, source *reading) {
	s := source.simple
	if user := e.ctx.targetingKey().textOf(); user != "" && slices.Contains(s.Users, user) {
		e.say("users: %q is listed", user)
		return
	}
	percent := s.RolloutPercent
	if f.ramp != nil {
		percent = f.percentAt(e.ctx.now())
		e.say("schedule: the ramp is at %v %%", percent)
	}
	inside, ok := f.within(e.ctx, percent)
	if !ok {
		e.say("rollout_percent %v: there is no %s to put into a bucket, so off", percent, f.bucketName())
		return
	}
	e.say("rollout_percent %v: %s, so inside: %t", percent, e.bucket(f), inside)
}

func (e *explainer) outcome(r Result) {
	switch r.Reason {
	case Default:
		e.say("the rule gives null: the default variant %s counts", orNone(r.Variant))
	case TargetingMatch:
		e.say("the rule gives the variant %q", r.Variant)
	case ReasonError:
		e.say("%s: %s", r.ErrorCode, r.ErrorDetails)
	}
}

// eval asks one part of the rule.
func (e *explainer) eval(f *flag, n *node) string {
	m := machine{ctx: e.ctx, flag: f}
	defer m.close()
	v := m.eval(n)
	if m.failure != "" {
		return "an error: " + m.failure
	}
	if v.kind == kindContext {
		return "the context"
	}
	return string(mustJSON(v.decoded()))
}

func (e *explainer) truthy(f *flag, n *node) bool {
	m := machine{ctx: e.ctx, flag: f}
	defer m.close()
	return truthy(m.eval(n))
}

func (e *explainer) at(n *node) string { return e.where[n].String() }

// node tells the way through conditions and splits, and of all else the value.
func (e *explainer) node(f *flag, n *node) {
	switch {
	case n.op == opIf:
		e.conditional(f, n)
	case n.op == opFractional && n.split != nil:
		e.split(f, n)
	case n.op == opConst:
	default:
		e.say("%s is %s", e.at(n), e.eval(f, n))
	}
}

func (e *explainer) conditional(f *flag, n *node) {
	args := n.args
	for len(args) > 1 {
		e.say("%s is %s%s", e.at(&args[0]), e.eval(f, &args[0]), e.inputs(f, &args[0]))
		if e.truthy(f, &args[0]) {
			e.node(f, &args[1])
			return
		}
		args = args[2:]
	}
	if len(args) == 1 {
		e.say("no condition holds: %s counts", e.at(&args[0]))
		e.node(f, &args[0])
	}
}

// inputs lists what a condition looked at in the context.
func (e *explainer) inputs(f *flag, n *node) string {
	var found []string
	var visit func(n *node)
	visit = func(n *node) {
		if n.op == opVar && n.path.level == 0 && n.path.path != "" && len(found) < 5 {
			entry := n.path.path + " is " + e.eval(f, n)
			if !slices.Contains(found, entry) {
				found = append(found, entry)
			}
		}
		for i := range n.args {
			visit(&n.args[i])
		}
	}
	visit(n)
	if len(found) == 0 {
		return ""
	}
	return " (" + strings.Join(found, ", ") + ")"
}

func (e *explainer) split(f *flag, n *node) {
	m := machine{ctx: e.ctx, flag: f}
	defer m.close()
	var key string
	var hash uint32
	var ok bool
	if n.split.hasKey {
		v := m.eval(&n.args[0])
		key = string(mustJSON(v.decoded()))
		hash, ok = m.hash(v, n.level)
		if v.kind == kindNull {
			key = e.implicitKey(f)
		}
	} else {
		key = e.implicitKey(f)
		hash, ok = m.implicitHash(n.level)
	}
	if !ok || !n.split.fixed || n.split.total == 0 {
		e.say("%s is %s; the bucket's key is %s", e.at(n), e.eval(f, n), key)
		return
	}
	e.say("%s: bucket %d of %d for the key %s (murmur3 0x%08x), which is %s", e.at(n), bucketOf(hash, n.split.total), n.split.total,
		key, hash, e.eval(f, n))
}

func (e *explainer) implicitKey(f *flag) string {
	var buffer [24]byte
	key, ok := f.bucketKey(e.ctx, buffer[:0])
	switch {
	case !ok:
		return "nothing: there is no " + f.bucketName()
	case f.third:
		return string(mustJSON([]string{f.key, key}))
	}
	return strconv.Quote(f.key + key)
}
