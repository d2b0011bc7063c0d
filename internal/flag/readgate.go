package flag

import (
	"math"
	"strconv"
	"time"
)

// MaxPrerequisites bounds how many a flag names.
const MaxPrerequisites = 8

func (r *reader) prerequisites(f *reading) []Prerequisite {
	var list []Prerequisite
	if r.next() != '[' {
		r.spoil(f, "this is "+r.value().kindName()+"; want an array of {\"flag\", \"variant\"}")
		return nil
	}
	r.array(func(int) {
		var p Prerequisite
		v := r.value()
		for _, m := range v.objectMembers() {
			switch m.Name {
			case "flag":
				p.Flag = m.Value.textOf()
			case "variant":
				p.Variant = m.Value.textOf()
			}
		}
		if v.kind != kindObject || v.n != 2 || p.Flag == "" || p.Variant == "" {
			r.spoil(f, "this is no prerequisite; want {\"flag\": \"key\", \"variant\": \"name\"}")
		}
		list = append(list, p)
	})
	if len(list) > MaxPrerequisites {
		r.spoil(f, strconv.Itoa(len(list))+" prerequisites; want at most "+strconv.Itoa(MaxPrerequisites))
	}
	return list
}

func (v Value) objectMembers() []Attribute {
	if v.kind != kindObject {
		return nil
	}
	return v.members()
}

func (r *reader) schedule(f *reading) *Schedule {
	s := new(Schedule)
	if r.next() != '{' {
		r.spoil(f, "this is "+r.value().kindName()+"; want {\"from\", \"until\", \"ramp\"}")
		return nil
	}
	r.members(func(name string) {
		switch name {
		case "from":
			s.From = r.time(f)
		case "until":
			s.Until = r.time(f)
		case "ramp":
			s.Ramp = r.ramp(f)
		default:
			r.value()
			r.add("no such member; want from, until or ramp")
		}
	})
	if !s.From.IsZero() && !s.Until.IsZero() && !s.From.Before(s.Until) {
		r.spoil(f, "from isn't before until; want an earlier from")
	}
	return s
}

func (r *reader) time(f *reading) time.Time {
	v := r.value()
	t, err := time.Parse(time.RFC3339, v.textOf())
	if err != nil || t.Unix() <= 0 {
		r.spoil(f, "this is no time; want RFC 3339, as 2030-01-31T08:00:00Z")
		return time.Time{}
	}
	return t.UTC()
}

// MaxRamp bounds a ramp's steps.
const MaxRamp = 100

func (r *reader) ramp(f *reading) []Step {
	var steps []Step
	if r.next() != '[' {
		r.spoil(f, "this is "+r.value().kindName()+"; want an array of {\"at\", \"percent\"}")
		return nil
	}
	r.array(func(int) {
		var s Step
		if r.next() != '{' {
			r.spoil(f, "this is "+r.value().kindName()+"; want {\"at\": time, \"percent\": number}")
			return
		}
		fields := 0
		r.object(func(name string) {
			fields++
			switch name {
			case "at":
				s.At = r.time(f)
			case "percent":
				s.Percent = r.percent(f)
			default:
				r.value()
				r.spoil(f, "no such member; want at and percent")
			}
		})
		if fields != 2 || s.At.IsZero() {
			r.spoil(f, "this is no step; want {\"at\": time, \"percent\": number}")
		}
		if n := len(steps); n > 0 && !steps[n-1].At.Before(s.At) {
			r.spoil(f, "this step isn't after the one before it; want them in order")
		}
		steps = append(steps, s)
	})
	if len(steps) == 0 || len(steps) > MaxRamp {
		r.spoil(f, strconv.Itoa(len(steps))+" steps; want 1 to "+strconv.Itoa(MaxRamp))
	}
	return steps
}

func (r *reader) percent(f *reading) float64 {
	v := r.value()
	if v.kind != kindNumber || !validPercent(v.num()) {
		r.spoil(f, "this is no percentage; want a number from 0 to 100 with at most three decimals")
		return 0
	}
	return math.Abs(v.num()) // -0 is 0
}

func validPercent(p float64) bool {
	return p >= 0 && p <= 100 && math.Abs(p*1000-math.Round(p*1000)) < 1e-6
}
