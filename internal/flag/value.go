package flag

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"unsafe"
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindList
	kindObject
	kindContext // the whole context: what {"var": ""} gives
)

// Value is a JSON value in three machine words, so that rules pass it in registers and never allocate. The zero Value
// is null. It refers to the strings and lists that it was made from: don't change them afterwards.
type Value struct {
	p    unsafe.Pointer // a string's bytes, a list's first Value, an object's first Attribute
	n    uint64         // the length of what p points at, a number's bits, or a bool
	kind kind
}

// Attribute is a named Value: a member of a context, or of an object in it.
type Attribute struct {
	Name  string
	Value Value
}

// String, Number, Bool, Null, List and Object make Values without allocating.
func String(s string) Value {
	return Value{kind: kindString, p: unsafe.Pointer(unsafe.StringData(s)), n: uint64(len(s))}
}

// Number makes a JSON number.
func Number(f float64) Value { return Value{kind: kindNumber, n: math.Float64bits(f)} }

// Bool makes true or false.
func Bool(b bool) Value {
	if b {
		return Value{kind: kindBool, n: 1}
	}
	return Value{kind: kindBool}
}

// Null makes null.
func Null() Value { return Value{} }

// List makes an array of items, which it keeps.
func List(items ...Value) Value {
	return Value{kind: kindList, p: unsafe.Pointer(unsafe.SliceData(items)), n: uint64(len(items))}
}

// Object makes an object of members, which it keeps; of two with one name the last counts.
func Object(members ...Attribute) Value {
	return Value{kind: kindObject, p: unsafe.Pointer(unsafe.SliceData(members)), n: uint64(len(members))}
}

// goInt is the 0 that flagd's library gives for a subtraction or a division of nothing: a Go int, which is no float64
// where types are compared.
func goInt() Value { return Value{kind: kindNumber, p: unsafe.Pointer(&zero)} }

var zero byte

func isGoInt(v Value) bool { return v.kind == kindNumber && v.p != nil }

func (v Value) str() string          { return unsafe.String((*byte)(v.p), v.n) }
func (v Value) num() float64         { return math.Float64frombits(v.n) }
func (v Value) isTrue() bool         { return v.n != 0 }
func (v Value) items() []Value       { return unsafe.Slice((*Value)(v.p), v.n) }
func (v Value) members() []Attribute { return unsafe.Slice((*Attribute)(v.p), v.n) }
func (v Value) isNull() bool         { return v.kind == kindNull }

// single is the only member of an object that has no other; of two with one name the last counts.
func (v Value) single() (Attribute, bool) {
	members := v.members()
	for _, other := range members[min(1, len(members)):] {
		if other.Name != members[0].Name {
			return Attribute{}, false
		}
	}
	if len(members) == 0 {
		return Attribute{}, false
	}
	return members[len(members)-1], true
}

// member finds an object's member; null where there is none.
func (v Value) member(name string) Value {
	members := v.members()
	for i := len(members) - 1; i >= 0; i-- {
		if members[i].Name == name {
			return members[i].Value
		}
	}
	return Value{}
}

// Any makes a Value of a decoded JSON value or of a Go scalar. Scalars and strings cost nothing; lists and objects are
// copied. What JSON can't say (a channel, a NaN) is null.
func Any(v any) Value {
	switch v := v.(type) {
	case nil:
		return Value{}
	case bool:
		return Bool(v)
	case float64:
		return Number(v)
	case string:
		return String(v)
	case int:
		return Number(float64(v))
	case int64:
		return Number(float64(v))
	case []any:
		items := make([]Value, len(v))
		for i, item := range v {
			items[i] = Any(item)
		}
		return List(items...)
	case map[string]any:
		return Object(attributes(v)...)
	}
	return anyOther(v)
}

// attributes are m's members, sorted by name, so that what depends on their order doesn't depend on the map's.
func attributes(m map[string]any) []Attribute {
	members := make([]Attribute, 0, len(m))
	for name, value := range m {
		members = append(members, Attribute{name, Any(value)})
	}
	slices.SortFunc(members, func(a, b Attribute) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return members
}

// anyOther is for the types that JSON's decoder doesn't make: other numbers without a detour, the rest through JSON.
func anyOther(v any) Value {
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return Number(float64(r.Int()))
	case r.CanUint():
		return Number(float64(r.Uint()))
	case r.CanFloat():
		return Number(r.Float())
	}
	text, err := json.Marshal(v)
	if err != nil {
		return Value{}
	}
	value, err := parseValue(text)
	if err != nil {
		return Value{}
	}
	return value
}

// decoded is v as encoding/json would have decoded it.
func (v Value) decoded() any {
	switch v.kind {
	case kindBool:
		return v.isTrue()
	case kindNumber:
		return v.num()
	case kindString:
		return v.str()
	case kindList:
		list := make([]any, 0, v.n)
		for _, item := range v.items() {
			list = append(list, item.decoded())
		}
		return list
	case kindObject:
		object := make(map[string]any, v.n)
		for _, m := range v.members() {
			object[m.Name] = m.Value.decoded()
		}
		return object
	}
	return nil
}

func (v Value) kindName() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object", "the context"}[v.kind]
}
