package flag

import "strconv"

// node is one step of a compiled rule. Nodes of a rule lie side by side, and a switch over op runs them: no call goes
// through a pointer, so that the compiler sees that nothing escapes.
type node struct {
	args    []node
	value   Value // a constant, or why the node fails
	path    *variable
	split   *split
	version *version            // sem_ver's third argument where it is constant
	set     map[string]struct{} // in's second argument where it is a long constant list of strings
	each    *each               // an iteration's
	op      op
	whole   bool  // the argument wasn't written as an array: what it evaluates to is the arguments
	level   uint8 // which data an iteration's rule sees
}

// variable is a parsed path into the data.
type variable struct {
	path     string
	parts    []part
	fallback *node   // the second element of var's array
	computed *node   // the path itself is computed
	outer    []uint8 // levels that are looked at first; see rules.iteration
	level    uint8
	origin   origin
}

type origin uint8

const (
	fromData origin = iota
	fromFlagKey
	fromTimestamp
	wholeData // {"var": ""}
	primitive // {"var": null}: the data itself where it is no object and no list
)

// part is one step of a path: a member's name, which in a list is an element's number.
type part struct {
	name  string
	index int
}

// parsePath splits at the dots; empty steps are left out, as in flagd.
func parsePath(path string) []part {
	var parts []part
	for start := 0; start <= len(path); {
		end := start
		for end < len(path) && path[end] != '.' {
			end++
		}
		if end > start {
			parts = append(parts, part{path[start:end], listIndex(path[start:end])})
		}
		start = end + 1
	}
	return parts
}

// listIndex is the element that a step names in a list. A name that is no number is the first element: flagd's words.
func listIndex(name string) int {
	if !looksNumeric(name) {
		return 0
	}
	f, _ := strconv.ParseFloat(name, 64)
	return floatIndex(f)
}

func floatIndex(f float64) int {
	if !(f > -1<<31 && f < 1<<31) {
		return -1
	}
	return int(f)
}

// walk follows parts from v; null where they lead nowhere.
func walk(v Value, parts []part) Value {
	for i := range parts {
		switch {
		case v.kind == kindObject:
			v = v.member(parts[i].name)
		case v.kind == kindList && parts[i].index >= 0 && parts[i].index < int(v.n):
			v = v.items()[parts[i].index]
		default:
			return Value{}
		}
	}
	return v
}
