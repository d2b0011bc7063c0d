package flag

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Flagd writes the document as plain flagd; see ToFlagd.
func (d *Document) Flagd() ([]byte, []Problem) { return ToFlagd(d.Flags, d.Evaluators, d.Metadata) }

// ToFlagd writes flags as plain flagd, which any flagd provider reads: short forms, schedules, ramps, prerequisites and
// bucketBy become targeting that gives the same variant for everybody, and so do references to segments that Java's provider
// can't read (see inlineRefs). What plain flagd can't say, and what engines read differently, is named in notes, with the
// path. A flag without extensions is written as it is stored.
func ToFlagd(definitions map[string]Definition, evaluators map[string]json.RawMessage, metadata map[string]any) (document []byte, notes []Problem) {
	e := exporter{definitions: definitions, evaluators: evaluators, fragile: fragile(evaluators), kept: map[string]bool{}}
	flags := make(map[string]json.RawMessage, len(definitions))
	for _, key := range slices.Sorted(maps.Keys(definitions)) {
		if d := definitions[key]; d.Archived {
			e.note(key, "archived, and so left out")
		} else {
			flags[key] = e.flag(key, d)
		}
	}

	return writeDocument(flags, e.keptEvaluators(), metadata), e.notes
}

type exporter struct {
	definitions map[string]Definition
	evaluators  map[string]json.RawMessage
	fragile     map[string]bool // evaluators that are written out where they are referred to
	kept        map[string]bool // of them, those that a flag still refers to
	written     int             // bytes that writing them out has added
	notes       []Problem
}

func (e *exporter) note(key, message string) { e.noteAt("flags", key, message) }

func (e *exporter) noteAt(member, name, message string) {
	at := (*place)(nil).member(member).member(name)
	e.notes = append(e.notes, Problem{Path: at.String(), Message: message})
}

// maxExport bounds one flag's targeting once its prerequisites are written into it, in bytes.
const maxExport = 64 << 10

// maxWritten bounds what writing segments out adds to a whole document, in bytes: Lambda's answers end at 6 MB.
const maxWritten = 1 << 20

// flag writes one flag, and notes what engines make of it.
func (e *exporter) flag(key string, d Definition) []byte {
	plain := e.plain(key, d)
	plain.Targeting = e.inlineRefs(key, plain.Targeting)

	if e.splits(plain.Targeting) {
		e.note(key, splitNote(d.HashVersion))
		e.noteThird(key, d)
	}
	if plain.DefaultVariant == nil && plain.State != "DISABLED" {
		e.note(key, "no defaultVariant: Rust's engine 0.1 refuses the whole document, and Java's provider answers GENERAL where the rule gives no variant")
	}

	return mustJSON(plain)
}

// splitNote says which in-process engines put users into the buckets that Slipway does. docs/ofrep.md has the versions, measured.
func splitNote(hashVersion string) string {
	if hashVersion == "v3" {
		return "splits users by hash version v3: in-process clients in Python and Rust agree with Slipway; those in Go and JavaScript (v2) and Java put users into other buckets"
	}
	return "splits users by hash version v2: in-process clients in Go and JavaScript agree with Slipway; those in Python and Rust (v3) and Java put users into other buckets"
}

// noteThird notes what hash version v3 can't say in flagd: its key is a list where the rule names none, and flagd takes a list for a
// bucket where the rule names one.
func (e *exporter) noteThird(key string, d Definition) {
	isFullRamp := d.Simple == nil && d.Schedule != nil && len(d.Schedule.Ramp) > 0
	if d.HashVersion == "v3" && (d.BucketBy != "" || isFullRamp) {
		e.note(key, "bucketBy, or a ramp of the full form, with hash version v3: flagd has no rule for it, and in-process clients put users into other buckets")
	}

	for _, p := range d.Prerequisites {
		if e.definitions[p.Flag].HashVersion == "v3" {
			e.note(key, "its prerequisite "+p.Flag+" has hash version v3, which flagd can't evaluate inside another flag's rule: in-process clients put users into other buckets")
		}
	}
}

// splits reports whether a rule, or a segment that it refers to, has a fractional.
func (e *exporter) splits(targeting []byte) bool {
	if bytes.Contains(targeting, []byte(`"fractional":`)) {
		return true
	}

	for name, rule := range e.evaluators {
		if bytes.Contains(rule, []byte(`"fractional":`)) && refersTo(targeting, name) {
			return true
		}
	}
	return false
}

func refersTo(targeting []byte, evaluator string) bool {
	return bytes.Contains(targeting, append([]byte(`{"$ref":`), mustJSON(evaluator)...))
}

// fragile finds the evaluators with a dollar sign or a backslash in their text. Java's provider 0.11 puts an evaluator's text
// in the place of a reference by a regular expression's replacement, in which both have a meaning of their own: it
// refuses the whole document.
func fragile(evaluators map[string]json.RawMessage) map[string]bool {
	found := map[string]bool{}
	for name, rule := range evaluators {
		if bytes.ContainsAny(rule, `$\`) {
			found[name] = true
		}
	}
	return found
}

// inlineRefs writes fragile evaluators out in a rule that refers to them, within maxExport and maxWritten. Beyond, the
// reference stays, and is noted.
func (e *exporter) inlineRefs(key string, targeting json.RawMessage) json.RawMessage {
	var refs []string
	for name := range e.fragile {
		if refersTo(targeting, name) {
			refs = append(refs, name)
		}
	}
	if len(refs) == 0 {
		return targeting
	}

	plain := mustJSON(e.resolve(decode(targeting)))
	added := len(plain) - len(targeting)
	if len(plain) <= maxExport && e.written+added <= maxWritten {
		e.written += added
		return plain
	}

	slices.Sort(refs)
	for _, name := range refs {
		e.kept[name] = true
		e.note(key, "refers to the segment "+strconv.Quote(name)+", which has a $ or a \\ and is too large to be written out: Java's provider 0.11 refuses the whole document")
	}
	return targeting
}

// resolve puts fragile evaluators in the place of references to them.
func (e *exporter) resolve(v any) any {
	switch v := v.(type) {
	case list:
		out := make(list, len(v))
		for i := range v {
			out[i] = e.resolve(v[i])
		}
		return out
	case rule:
		if name, ok := v["$ref"].(string); ok && len(v) == 1 && e.fragile[name] {
			return decode(e.evaluators[name])
		}
		out := make(rule, len(v))
		for name := range v {
			out[name] = e.resolve(v[name])
		}
		return out
	}
	return v
}

// keptEvaluators leaves out the evaluators that are written out everywhere.
func (e *exporter) keptEvaluators() map[string]json.RawMessage {
	kept := make(map[string]json.RawMessage, len(e.evaluators))
	for _, name := range slices.Sorted(maps.Keys(e.evaluators)) {
		if e.fragile[name] && !e.kept[name] {
			e.noteAt("$evaluators", name, "has a $ or a \\, which Java's provider 0.11 can't read in a segment: written out where flags refer to it")
			continue
		}
		kept[name] = e.evaluators[name]
	}
	return kept
}

// plain is a flag in flagd's own members. Its description is left out: flagd ignores it, and Python's core 2.0 refuses the whole
// document for one.
func (e *exporter) plain(key string, d Definition) Definition {
	plain := Definition{State: d.State, Variants: d.Variants, DefaultVariant: d.DefaultVariant, Targeting: d.Targeting, Metadata: d.Metadata}
	if d.Simple == nil && d.Schedule == nil && d.BucketBy == "" && len(d.Prerequisites) == 0 {
		return plain
	}

	x := e.expression(key, d)
	if d.Simple != nil {
		plain.State = "ENABLED"
		if d.State == "DISABLED" {
			e.note(key, "it is disabled: exported as off for everybody with the reason STATIC, since flagd answers a disabled flag by the code's default")
		}
		plain.Variants = map[string]json.RawMessage{"on": json.RawMessage("true"), "off": json.RawMessage("false")}
	}
	plain.DefaultVariant, plain.Targeting = x.fallback, nil
	if x.rule != nil {
		plain.Targeting = mustJSON(x.rule)
	}
	if x.gate != nil {
		e.gated(key, d, &plain, x)
	}
	if d.BucketBy != "" {
		e.note(key, "bucketBy: where "+d.BucketBy+" is neither a string nor a number, flagd fails with PARSE_ERROR")
	}
	if len(plain.Targeting) > maxExport {
		e.note(key, "written out as plain flagd its targeting has "+strconv.Itoa(len(plain.Targeting))+" bytes, over 65536: exported as DISABLED")
		plain.State, plain.Targeting = "DISABLED", nil
	}
	return plain
}

// gated puts the gate around the rule. While it is closed the rule gives null, and so a flag of the full form loses its
// default variant: the code's default counts, as it does in a disabled flag.
func (e *exporter) gated(key string, d Definition, plain *Definition, x expression) {
	inside := x.rule
	switch {
	case d.Simple != nil && inside == nil:
		inside = *x.fallback
		off := "off"
		plain.DefaultVariant = &off
	case d.Simple != nil:
	case inside == nil && x.fallback != nil:
		inside, plain.DefaultVariant = *x.fallback, nil
	case x.fallback != nil:
		inside, plain.DefaultVariant = rule{"if": list{rule{"===": list{inside, nil}}, *x.fallback, inside}}, nil
	}
	plain.Targeting = mustJSON(rule{"if": list{x.gate, inside, nil}})
	e.note(key, "its schedule or prerequisites are written as targeting: reasons are TARGETING_MATCH and DEFAULT in the place of STATIC and DISABLED, "+
		"and a prerequisite that fails is PARSE_ERROR in the place of DISABLED")
}

type (
	rule = map[string]any
	list = []any
)

// expression is a flag as a rule, what counts where the rule gives null, and what must hold for either.
type expression struct {
	rule     any // nil where there is none
	fallback *string
	gate     any // nil where it is always open
}

func data(path string) any { return rule{"var": path} }

var timestamp = rule{"var": "$flagd.timestamp"}

func (e *exporter) expression(key string, d Definition) expression {
	var x expression
	if d.Simple != nil && d.State == "DISABLED" {
		off := "off"
		return expression{fallback: &off}
	}
	if d.Simple != nil {
		x = e.simple(key, d)
	} else {
		x.fallback = d.DefaultVariant
		if targeting := decode(d.Targeting); targeting != nil && len(d.Targeting) > len("{}") {
			x.rule = e.rewrite(targeting, d.BucketBy, "")
		}
	}
	var conditions list
	if s := d.Schedule; s != nil {
		if !s.From.IsZero() {
			conditions = append(conditions, rule{">=": list{timestamp, s.From.Unix()}})
		}
		if !s.Until.IsZero() {
			conditions = append(conditions, rule{"<": list{timestamp, s.Until.Unix()}})
		}
		if len(s.Ramp) > 0 && d.Simple == nil {
			conditions = append(conditions, steps(s.Ramp, false, func(percent float64) any { return share(d.BucketBy, percent) }))
		}
	}
	for _, p := range d.Prerequisites {
		conditions = append(conditions, e.prerequisite(p))
	}
	switch len(conditions) {
	case 0:
	case 1:
		x.gate = conditions[0]
	default:
		x.gate = rule{"and": conditions}
	}
	return x
}

func decode(text json.RawMessage) any {
	if len(text) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return nil
	}
	return v
}

// steps is a ramp as a chain of conditions on the time.
func steps(ramp []Step, before any, at func(percent float64) any) any {
	chain := list{rule{"<": list{timestamp, ramp[0].At.Unix()}}, before}
	for i, s := range ramp {
		if i+1 < len(ramp) {
			chain = append(chain, rule{"<": list{timestamp, ramp[i+1].At.Unix()}})
		}
		chain = append(chain, at(s.Percent))
	}
	return rule{"if": chain}
}

func weights(percent float64, in, out string) (list, list) {
	weight := int64(percent*percentScale/100 + 0.5)
	return list{in, weight}, list{out, percentScale - weight}
}

// known is the condition that there is somebody to put into a bucket.
func known(path string) any {
	return rule{"and": list{rule{"!==": list{data(path), nil}}, rule{"!==": list{data(path), ""}}}}
}

// share says whether somebody is among a full form's ramp.
func share(bucketBy string, percent float64) any {
	switch percent {
	case 0:
		return false
	case 100:
		return true
	}
	path := bucketBy
	if path == "" {
		path = targetingKeyName
	}
	in, out := weights(percent, "in", "out")
	salted := rule{"cat": list{data("$flagd.flagKey"), ".ramp", data(path)}}
	return rule{"and": list{known(path), rule{"===": list{rule{"fractional": list{salted, in, out}}, "in"}}}}
}

// simple is the short form.
func (e *exporter) simple(key string, d Definition) expression {
	s := d.Simple
	on, off := "on", "off"
	hasRamp := d.Schedule != nil && len(d.Schedule.Ramp) > 0
	switch {
	case s.Enabled:
		return expression{fallback: &on}
	case s.RolloutPercent == 0 && len(s.Users) == 0 && !hasRamp:
		return expression{fallback: &off}
	}
	share := func(percent float64) any {
		if s.Bucketing == "ring" && percent > 0 && percent < 100 {
			return nil
		}
		in, out := weights(percent, on, off)
		return e.rewrite(rule{"fractional": list{in, out}}, d.BucketBy, "")
	}
	if s.Bucketing == "ring" && (hasRamp || s.RolloutPercent > 0 && s.RolloutPercent < 100) {
		e.note(key, "bucketing ring: flagd has no MD5, so that all but the listed users are off")
	}
	x := expression{rule: share(s.RolloutPercent), fallback: &off}
	if hasRamp {
		x.rule = steps(d.Schedule.Ramp, share(0), share)
	}
	if len(s.Users) > 0 {
		x.rule = rule{"if": list{rule{"in": list{data(targetingKeyName), s.Users}}, on, x.rule}}
	}
	return x
}

// rewrite gives fractionals without a key of their own the key that they stand for: the flag's name and bucketBy. flagKey
// is set where the rule moves into another flag.
func (e *exporter) rewrite(v any, bucketBy, flagKey string) any {
	if bucketBy == "" && flagKey == "" {
		return v
	}
	switch v := v.(type) {
	case list:
		out := make(list, len(v))
		for i := range v {
			out[i] = e.rewrite(v[i], bucketBy, flagKey)
		}
		return out
	case rule:
		for name, arg := range v {
			return e.rewriteOperation(v, name, arg, bucketBy, flagKey)
		}
	}
	return v
}

func (e *exporter) rewriteOperation(v rule, name string, arg any, bucketBy, flagKey string) any {
	switch {
	case len(v) != 1:
		return v
	case name == "$ref":
		segment, _ := arg.(string)
		return e.rewrite(decode(e.evaluators[segment]), bucketBy, flagKey)
	case name == "var" && flagKey != "" && arg == "$flagd.flagKey":
		return flagKey
	}
	args, _ := arg.(list)
	if name != "fractional" || len(args) == 0 {
		return rule{name: e.rewrite(arg, bucketBy, flagKey)}
	}
	switch key := args[0].(type) {
	case nil:
		return e.keyed(args[1:], bucketBy, flagKey)
	case list:
		return e.keyed(args, bucketBy, flagKey)
	case rule: // a key that is null at evaluation is as none
		key, _ = e.rewrite(key, bucketBy, flagKey).(rule)
		explicit := rule{name: e.rewrite(arg, bucketBy, flagKey)}
		return rule{"if": list{rule{"===": list{key, nil}}, e.keyed(args[1:], bucketBy, flagKey), explicit}}
	}
	return rule{name: e.rewrite(arg, bucketBy, flagKey)}
}

// keyed is a fractional with the key written down; null where there is nobody to put into a bucket.
func (e *exporter) keyed(buckets list, bucketBy, flagKey string) any {
	path, salt := bucketBy, any(flagKey)
	if path == "" {
		path = targetingKeyName
	}
	if flagKey == "" {
		salt = data("$flagd.flagKey")
	}
	rewritten, _ := e.rewrite(buckets, bucketBy, flagKey).(list)
	keyed := append(list{rule{"cat": list{salt, data(path)}}}, rewritten...)
	return rule{"if": list{known(path), rule{"fractional": keyed}, nil}}
}

// prerequisite writes another flag's rule down as a condition.
func (e *exporter) prerequisite(p Prerequisite) any {
	d, ok := e.definitions[p.Flag]
	if !ok || d.Archived || d.State == "DISABLED" {
		return ok && !d.Archived && d.Simple != nil && p.Variant == "off"
	}
	x := e.expression(p.Flag, d)
	isDefault := x.fallback != nil && *x.fallback == p.Variant
	condition := any(isDefault)
	if x.rule != nil {
		condition = gives(e.rewrite(x.rule, d.BucketBy, p.Flag), p.Variant, isDefault)
	}
	switch {
	case x.gate == nil:
		return condition
	case d.Simple != nil && p.Variant == "off":
		return rule{"or": list{rule{"!": list{e.rewrite(x.gate, d.BucketBy, p.Flag)}}, condition}}
	}
	return rule{"and": list{e.rewrite(x.gate, d.BucketBy, p.Flag), condition}}
}

// gives compares a rule's result with a variant's name, which it may also give as a boolean or, for the default, as null.
func gives(inner any, name string, isDefault bool) any {
	alternatives := list{rule{"===": list{inner, name}}}
	if isDefault {
		alternatives = append(alternatives, rule{"===": list{inner, nil}})
	}
	if name == "true" || name == "false" {
		alternatives = append(alternatives, rule{"===": list{inner, name == "true"}})
	}
	if f, err := strconv.ParseFloat(name, 64); err == nil && string(appendJSONNumber(nil, f)) == name {
		alternatives = append(alternatives, rule{"===": list{inner, f}})
	}
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return rule{"or": alternatives}
}
