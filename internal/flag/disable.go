package flag

import "encoding/json"

// SwitchedOff returns the definition that text is, switched off. A kill switch must not depend on what it switches off: of
// a text that is no definition it returns one that is off and has what others may need of it, which are its variants'
// names; isWhole is false then, and the text itself is the caller's to keep.
func SwitchedOff(text []byte) (d Definition, isWhole bool) {
	if err := d.UnmarshalJSON(text); err == nil {
		return d.WithEnabled(false), true
	}
	r := reader{parser: parser{text: string(text), strict: true}}
	var f reading
	r.flag(&f, false)
	r.end()
	if r.err == nil {
		d = f.remains()
		var again Definition
		if again.UnmarshalJSON(mustJSON(d)) == nil {
			return d, false
		}
	}
	return Definition{State: "DISABLED", Simple: new(Simple)}, false
}

// remains is what is left of a flag that is broken: disabled, with those members that are good in themselves.
func (f *reading) remains() Definition {
	d := Definition{State: "DISABLED", Description: f.description, Archived: f.archived}
	for _, m := range f.metadata {
		if m.Value.kind != kindNull && m.Value.kind < kindList {
			d.Metadata = withMember(d.Metadata, m.Name, m.written())
		}
	}
	if len(f.variants) == 0 {
		d.Simple = f.simple.remains()
		return d
	}
	d.Variants = make(map[string]json.RawMessage, len(f.variants))
	for _, v := range f.variants {
		d.Variants[v.name] = json.RawMessage("false")
		if f.hasGoodVariants() {
			d.Variants[v.name] = compact(v.text)
		}
	}
	if f.defaultVariant != nil && find(f.variants, *f.defaultVariant) >= 0 {
		d.DefaultVariant = f.defaultVariant
	}
	return d
}

func (s *Simple) remains() *Simple {
	if s == nil {
		return new(Simple)
	}
	left := &Simple{Users: s.Users}
	if s.Bucketing == "ring" {
		left.Bucketing = s.Bucketing
	}
	return left
}

func (f *reading) hasGoodVariants() bool {
	for _, v := range f.variants {
		if k := v.value.kind; k == kindNull || k == kindList || k != f.variants[0].value.kind {
			return false
		}
	}
	return true
}

func withMember(members map[string]any, name string, value any) map[string]any {
	if members == nil {
		members = map[string]any{}
	}
	members[name] = value
	return members
}
