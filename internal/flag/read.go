package flag

import (
	"math"
	"strconv"
	"strings"
)

// reading is a flag as its JSON says it, before it is compiled. Its strings and Values point into the document.
type reading struct {
	key            string
	at             *place
	state          string
	variants       []variant
	hasVariants    bool
	defaultVariant *string
	targeting      Value
	targetingText  string // "" where there is none
	description    string
	metadata       []scalar
	prerequisites  []Prerequisite
	schedule       *Schedule
	bucketBy       string
	hashVersion    string
	archived       bool
	simple         *Simple
	simpleFields   []string // in the order in which they came
	broken         string   // why this flag can't be evaluated at all
}

// reader reads documents and definitions, and collects what is wrong with them.
type reader struct {
	parser
	problems problems
	notes    *problems // where members that flagd's schema lets pass are ignored with a note; nil refuses them
	typos    []Problem // those of notes that look like one
}

// ValidKey says whether a flag may have this key: 1 to 128 letters, digits, dots, underscores and hyphens.
func ValidKey(key string) bool {
	if key == "" || len(key) > 128 {
		return false
	}
	for i := range len(key) {
		if c := key[i]; !isIdentifier(c) && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// add notes a problem, unless the JSON itself is one: then nothing was read that could have another.
func (r *reader) add(message string) {
	if r.err == nil {
		r.problems.add(r.where, message)
	}
}

// spoil is a problem that leaves nothing to evaluate.
func (r *reader) spoil(f *reading, message string) {
	r.add(message)
	if f.broken == "" {
		f.broken = message
	}
}

// raw reads a value together with its text.
func (r *reader) raw() (Value, string) {
	r.next()
	start := r.pos
	v := r.value()
	if r.err != nil {
		return Value{}, ""
	}
	return v, r.text[start:r.pos]
}

// members reads an object that has no name twice.
func (r *reader) members(each func(name string)) {
	var seen names
	r.object(func(name string) {
		if !seen.add(name) {
			r.fail(twice)
			return
		}
		each(name)
	})
}

// flag reads one definition with all its members; inArray says that it carries its own key.
func (r *reader) flag(f *reading, inArray bool) {
	f.at = r.where
	if r.next() != '{' {
		v := r.value()
		r.spoil(f, "this is "+v.kindName()+"; want a flag: {\"state\": \"ENABLED\", \"variants\": {…}}")
		return
	}
	r.members(func(name string) {
		if name == "key" && inArray {
			f.key = r.textMember(f, "the flag's key")
			return
		}
		r.flagMember(f, name)
	})
	if r.err == nil {
		r.complete(f)
	}
}

func (r *reader) flagMember(f *reading, name string) {
	switch name {
	case "state":
		if f.state = r.textMember(f, "\"ENABLED\" or \"DISABLED\""); f.state != "ENABLED" && f.state != "DISABLED" {
			r.add(strconv.Quote(f.state) + " is no state; want ENABLED or DISABLED")
		}
	case "variants":
		r.variants(f)
	case "defaultVariant":
		v := r.value()
		switch {
		case v.kind == kindString:
			s := v.str()
			f.defaultVariant = &s
		case v.kind != kindNull:
			r.spoil(f, "this is "+v.kindName()+"; want a variant's name or null")
		}
	case "targeting":
		f.targeting, f.targetingText = r.raw()
		if k := f.targeting.kind; k != kindObject {
			r.add("this is " + f.targeting.kindName() + "; want a rule, as {\"if\": […]}")
		}
	case "metadata":
		f.metadata = r.metadata()
	case "description":
		r.description(f)
	case "archived":
		f.archived = r.boolMember(f)
	default:
		r.extension(f, name)
	}
}

func (r *reader) extension(f *reading, name string) {
	switch name {
	case "prerequisites":
		f.prerequisites = r.prerequisites(f)
	case "schedule":
		f.schedule = r.schedule(f)
	case "bucketBy":
		if f.bucketBy = r.textMember(f, "an attribute's path"); len(parsePath(f.bucketBy)) == 0 {
			r.spoil(f, "the path is empty; want an attribute, as company.id")
		}
	case "hashVersion":
		if f.hashVersion = r.textMember(f, "\"v2\" or \"v3\""); f.hashVersion != "v2" && f.hashVersion != "v3" {
			r.spoil(f, strconv.Quote(f.hashVersion)+" is no hash version; want v2 (flagd's today) or v3")
		}
	case "enabled", "rollout_percent", "users", "bucketing":
		r.simpleMember(f, name)
	default:
		r.value()
		r.unknown(name, flagMembers, "state, variants, defaultVariant, targeting, metadata, description, prerequisites, schedule, bucketBy, "+
			"hashVersion or archived, or the short form's enabled, rollout_percent, users and bucketing")
	}
}

func (r *reader) textMember(f *reading, want string) string {
	v := r.value()
	if v.kind != kindString {
		r.spoil(f, "this is "+v.kindName()+"; want "+want)
	}
	return v.textOf()
}

func (r *reader) boolMember(f *reading) bool {
	v := r.value()
	if v.kind != kindBool {
		r.spoil(f, "this is "+v.kindName()+"; want true or false")
		return false
	}
	return v.isTrue()
}

func (r *reader) variants(f *reading) {
	f.hasVariants = true
	if r.next() != '{' {
		v := r.value()
		r.spoil(f, "this is "+v.kindName()+"; want an object of at least one variant")
		return
	}
	r.members(func(name string) {
		v, text := r.raw()
		if k := v.kind; k == kindNull || k == kindList {
			r.add("this is " + v.kindName() + "; want a boolean, a string, a number or an object")
		} else if len(f.variants) > 0 && f.variants[0].value.kind != k {
			r.add("this is " + v.kindName() + ", and " + strconv.Quote(f.variants[0].name) + " is " +
				f.variants[0].value.kindName() + "; want one type for all variants")
		}
		if f.variants == nil {
			f.variants = make([]variant, 0, 2)
		}
		f.variants = append(f.variants, variant{name: name, text: text, value: v})
	})
}

// scalar is a member of metadata with its JSON, which has all digits of a number.
type scalar struct {
	Attribute
	text string
}

// metadata reads scalars.
func (r *reader) metadata() []scalar {
	if r.next() != '{' {
		v := r.value()
		r.add("this is " + v.kindName() + "; want an object")
		return nil
	}
	var members []scalar
	r.members(func(name string) {
		v, text := r.raw()
		if v.kind == kindNull || v.kind >= kindList {
			r.add("this is " + v.kindName() + "; want a boolean, a string or a number")
		}
		members = append(members, scalar{Attribute{name, v}, text})
	})
	return members
}

// MaxUsers bounds the short form's list.
const MaxUsers = 10_000

func (r *reader) simpleMember(f *reading, name string) {
	if f.simple == nil {
		f.simple = new(Simple)
	}
	f.simpleFields = append(f.simpleFields, name)
	switch name {
	case "enabled":
		f.simple.Enabled = r.boolMember(f)
	case "rollout_percent":
		f.simple.RolloutPercent = r.percent(f)
	case "bucketing":
		if f.simple.Bucketing = r.textMember(f, "\"ring\" or \"\""); f.simple.Bucketing != "" && f.simple.Bucketing != "ring" {
			r.spoil(f, strconv.Quote(f.simple.Bucketing)+" is no bucketing; want \"ring\", or none for buckets of the flag's own")
		}
	case "users":
		v := r.value()
		if v.kind != kindList || v.n > MaxUsers {
			r.spoil(f, "this is no list of at most "+strconv.Itoa(MaxUsers)+" users; want an array of strings")
			return
		}
		f.simple.Users = make([]string, 0, v.n)
		for _, user := range v.items() {
			if user.kind != kindString {
				r.spoil(f, "a user is "+user.kindName()+"; want a string")
				return
			}
			f.simple.Users = append(f.simple.Users, user.str())
		}
	}
}

// complete checks what no single member shows.
func (r *reader) complete(f *reading) {
	if f.simple != nil {
		r.completeSimple(f)
		return
	}
	if f.state == "" {
		r.add("no state; want \"state\": \"ENABLED\" or \"DISABLED\"")
	}
	if len(f.variants) == 0 {
		r.spoil(f, "no variants; want at least one, as {\"on\": true, \"off\": false}")
		return
	}
	if d := f.defaultVariant; d != nil && find(f.variants, *d) < 0 {
		r.problems.add(r.where.member("defaultVariant"),
			strconv.Quote(*d)+" is none of the flag's variants; want "+variantNames(f.variants)+" or null")
		if *d != "" && f.broken == "" {
			f.broken = "the default variant is none of the flag's variants"
		}
	}
}

func (r *reader) completeSimple(f *reading) {
	switch {
	case f.hasVariants || f.defaultVariant != nil || f.targetingText != "":
		r.spoil(f, "the short form ("+strings.Join(f.simpleFields, ", ")+") beside variants, defaultVariant or targeting; want one or the other")
	case f.hashVersion == "v3" && f.simple.Bucketing == "ring":
		r.spoil(f, "hashVersion v3 beside bucketing ring, which has a hash of its own; want one or the other")
	case f.schedule != nil && f.schedule.Ramp != nil && (f.simple.Enabled || f.simple.RolloutPercent != 0):
		r.spoil(f, "a ramp beside enabled: true or a rollout_percent, which it takes the place of; want neither")
	}
	if f.simple.Bucketing == "ring" {
		r.completeRing(f)
	}
}

// wholeRing is said of every percentage of a ring, be it in the definition, in its ramp or in a rollout.
const wholeRing = "a ring has a hundred buckets; want a whole percentage"

// completeRing refuses fractions. A flag that was stored with one is evaluated all the same.
func (r *reader) completeRing(f *reading) {
	if isFraction(f.simple.RolloutPercent) {
		r.problems.add(r.where.member("rollout_percent"), wholeRing)
	}
	if f.schedule == nil {
		return
	}
	for i, step := range f.schedule.Ramp {
		if isFraction(step.Percent) {
			r.problems.add(r.where.member("schedule").member("ramp").item(i).member("percent"), wholeRing)
		}
	}
}

func isFraction(percent float64) bool { return percent != math.Trunc(percent) }

func variantNames(variants []variant) string {
	var b strings.Builder
	for i, v := range variants {
		if i == 10 {
			return b.String() + ", …"
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(v.name))
	}
	return b.String()
}
