package flag

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// WithRollout returns the definition with the flag on for a percentage of users. Who is in a bucket does not change: the
// bucket key, the order of the buckets and the hash version stay, so that a user who is on stays on while the percentage
// grows. A short form keeps its form, and a ramp of it ends. A boolean flag with a true and a false variant gets a
// fractional of the two as its targeting, or other weights in the one that it has.
//
// Every other definition is refused by an *Invalid that says what to do instead.
func (d Definition) WithRollout(percent float64) (Definition, error) {
	if !validPercent(percent) {
		return d, refusedRollout("/percent", "this is no percentage; want a number from 0 to 100 with at most three decimals")
	}
	d.State = "ENABLED"
	if d.Simple != nil {
		return d.withSimpleRollout(percent)
	}
	if d.Schedule != nil && len(d.Schedule.Ramp) > 0 {
		return d, refusedRollout("/schedule/ramp", "the flag's ramp says for whom it is on; want the ramp changed, "+
			`or taken away first by {"schedule":{"ramp":null}} as a merge patch`)
	}
	on, off, ok := d.onAndOff()
	if !ok || !isPlain(on) || !isPlain(off) {
		return d, refusedRollout("/variants", "a percentage is for a boolean flag with one true and one false variant, "+
			"whose names rules find; want the targeting itself changed")
	}
	targeting, err := d.weighted(on, off, percent)
	if err != nil {
		return d, err
	}
	d.Targeting = mustJSON(targeting)
	return d, nil
}

func refusedRollout(path, message string) error {
	return &Invalid{[]Problem{{Path: path, Message: message}}}
}

func (d Definition) withSimpleRollout(percent float64) (Definition, error) {
	s := *d.Simple
	if s.Bucketing == "ring" && isFraction(percent) {
		return d, refusedRollout("/percent", wholeRing)
	}
	s.Enabled, s.RolloutPercent = false, percent
	d.Simple, d.Schedule = &s, d.Schedule.withoutRamp()
	return d, nil
}

// withoutRamp returns the schedule's bounds; nil where it has none.
func (s *Schedule) withoutRamp() *Schedule {
	if s == nil || s.From.IsZero() && s.Until.IsZero() {
		return nil
	}
	return &Schedule{From: s.From, Until: s.Until}
}

// onAndOff names the variants of a boolean flag that has one of each.
func (d Definition) onAndOff() (on, off string, ok bool) {
	hasOn, hasOff := false, false
	for name, value := range d.Variants {
		switch strings.TrimSpace(string(value)) {
		case "true":
			on, hasOn = name, true
		case "false":
			off, hasOff = name, true
		}
	}
	return on, off, hasOn && hasOff && len(d.Variants) == 2
}

// weighted returns the flag's fractional with the weights of a percentage, or a new one where it has no rule.
func (d Definition) weighted(on, off string, percent float64) (any, error) {
	in, out := weights(percent, on, off)
	targeting, isRule := decode(d.Targeting).(rule)
	switch {
	case len(targeting) == 0 && (isRule || len(d.Targeting) == 0):
		return rule{"fractional": list{in, out}}, nil
	case len(targeting) != 1:
		return nil, refusedRollout("/targeting", otherRule)
	}
	args, ok := targeting["fractional"].(list)
	if !ok || len(args) == 0 {
		return nil, refusedRollout("/targeting", otherRule)
	}
	buckets := args
	var key list
	if _, isBucket := args[0].(list); !isBucket {
		key, buckets = args[:1], args[1:]
		if args[0] != nil && !asksContext(args[0]) {
			return nil, refusedRollout("/targeting/fractional/0", "the bucket key is the same for all users, "+
				`who are all on or all off; want one of their own, as {"var":"targetingKey"}`)
		}
	}
	if buckets, ok = d.reweighed(buckets, on, off, in[1], out[1]); !ok {
		return nil, refusedRollout("/targeting/fractional", "a percentage can only change a fractional of two buckets, "+
			"one for "+strconv.Quote(on)+" and one for "+strconv.Quote(off)+", with numbers as their weights; "+
			"want such a one, or the targeting itself changed")
	}
	return rule{"fractional": append(key[:len(key):len(key)], buckets...)}, nil
}

const otherRule = "a percentage can only replace the rule of a flag that has none but a percentage (fractional); " +
	"want the targeting itself changed"

// reweighed returns the buckets in their order with other weights. One that is missing comes last.
func (d Definition) reweighed(buckets list, on, off string, in, out any) (list, bool) {
	changed := make(list, 0, 2)
	seen := map[string]bool{}
	for _, each := range buckets {
		bucket, _ := each.(list)
		if len(bucket) == 0 || len(bucket) > 2 || len(bucket) == 2 && !isWeight(bucket[1]) {
			return nil, false
		}
		name, ok := d.bucketName(bucket[0])
		if !ok || seen[name] || name != on && name != off {
			return nil, false
		}
		seen[name] = true
		weight := out
		if name == on {
			weight = in
		}
		changed = append(changed, list{bucket[0], weight})
	}
	if !seen[on] {
		changed = append(changed, list{on, in})
	}
	if !seen[off] {
		changed = append(changed, list{off, out})
	}
	return changed, true
}

func isWeight(v any) bool {
	_, isNumber := v.(json.Number)
	return v == nil || isNumber
}

// bucketName is the variant that a bucket gives; null gives the default variant.
func (d Definition) bucketName(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return boolName(Bool(v)), true
	case json.Number:
		f, err := v.Float64()
		return variantName(Number(f)), err == nil
	case nil:
		if d.DefaultVariant != nil {
			return *d.DefaultVariant, true
		}
	}
	return "", false
}

// asksContext reports whether a rule looks at what differs between users.
func asksContext(v any) bool {
	switch v := v.(type) {
	case list:
		for _, item := range v {
			if asksContext(item) {
				return true
			}
		}
	case rule:
		for name, arg := range v {
			path := arg
			if args, ok := arg.(list); ok && len(args) > 0 {
				path = args[0]
			}
			switch {
			case name == "$ref", name == "missing", name == "missing_some":
				return true
			case name == "var" && (path == "$flagd.flagKey" || path == "$flagd.timestamp"):
			case name == "var" || asksContext(arg):
				return true
			}
		}
	}
	return false
}

// Caveats lists what keeps users from what the definition's state or percentage seems to promise them, in words.
func (d Definition) Caveats(now time.Time) []string {
	var list []string
	if d.State == "DISABLED" || d.Archived {
		return nil
	}
	if s := d.Schedule; s != nil {
		switch {
		case now.Before(s.From):
			list = append(list, "its schedule keeps it off for everybody until "+clock(s.From.Unix()))
		case !s.Until.IsZero() && !now.Before(s.Until):
			list = append(list, "its schedule keeps it off for everybody since "+clock(s.Until.Unix()))
		}
		if len(s.Ramp) > 0 {
			list = append(list, "its ramp says for how many users it is on: "+PercentText(s.percentAt(now))+" % now")
		}
	}
	for _, p := range d.Prerequisites {
		list = append(list, "it is off where the flag "+p.Flag+" does not give "+p.Variant)
	}
	return append(list, d.outsideCaveats()...)
}

// outsideCaveats names the users whom no percentage reaches.
func (d Definition) outsideCaveats() []string {
	if s := d.Simple; s != nil {
		if n := len(s.Users); n > 0 && !s.Enabled {
			return []string{"listed users are on whatever the percentage is: " + strconv.Itoa(n)}
		}
		return nil
	}
	on, _, ok := d.onAndOff()
	if !ok || d.DefaultVariant == nil || *d.DefaultVariant != on {
		return nil
	}
	targeting, _ := decode(d.Targeting).(rule)
	if _, isSplit := targeting["fractional"]; isSplit && len(targeting) == 1 {
		return []string{"a context without a bucket key gets the default variant " + strconv.Quote(on)}
	}
	return nil
}

func (s *Schedule) percentAt(now time.Time) float64 {
	percent := 0.0
	for _, step := range s.Ramp {
		if step.At.After(now) {
			break
		}
		percent = step.Percent
	}
	return percent
}

// PercentText returns a percentage as the shortest text that reads back as the same number, without the sign.
func PercentText(percent float64) string { return strconv.FormatFloat(percent, 'f', -1, 64) }
