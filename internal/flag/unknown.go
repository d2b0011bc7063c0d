package flag

import (
	"slices"
	"strconv"
	"strings"
)

// flagd's schema lets a flag and a document have members that it doesn't know, and flagd ignores them. A definition that
// is written by itself has only members that mean something: a typo is refused. An imported document may come from
// another program: such members are left out, and a note names each.

// description reads the text that people write beside a flag; flagd ignores it too.
func (r *reader) description(f *reading) {
	v := r.value()
	switch {
	case v.kind == kindString:
		f.description = v.str()
	case r.notes != nil:
		r.note("this is " + v.kindName() + " and left out; want a string")
	default:
		r.add("this is " + v.kindName() + "; want a string")
	}
}

var (
	flagMembers = []string{"state", "variants", "defaultVariant", "targeting", "metadata", "description", "prerequisites",
		"schedule", "bucketBy", "hashVersion", "archived", "enabled", "rollout_percent", "users", "bucketing"}
	documentMembers = []string{"flags", "$evaluators", "metadata", "$schema"}
)

// unknown refuses the member that was just read, or notes that it is ignored.
func (r *reader) unknown(name string, known []string, want string) {
	similar := similarTo(name, known)
	switch {
	case r.notes == nil:
		r.add("no such member; want " + want)
	case similar != "":
		message := "no such member, and ignored; did you mean " + strconv.Quote(similar) + "?"
		r.note(message)
		if len(r.typos) < maxProblems {
			r.typos = append(r.typos, Problem{Path: r.where.String(), Message: message})
		}
	default:
		r.note("no such member, and ignored as flagd does")
	}
}

func (r *reader) note(message string) {
	if r.err == nil {
		r.notes.add(r.where, message)
	}
}

// similarTo returns the known name that name was probably meant to be; "" where there is none.
func similarTo(name string, known []string) string {
	plain := strings.NewReplacer("_", "", "-", "", "$", "", " ", "")
	bare := strings.ToLower(plain.Replace(name))
	if len(bare) < 4 || len(bare) > 32 {
		return ""
	}
	best, least := "", 3
	for _, each := range known {
		if d := distance(bare, strings.ToLower(plain.Replace(each))); d < least {
			best, least = each, d
		}
	}
	return best
}

// distance is Levenshtein's: how many bytes are to be put in, taken out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			change := before[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, before[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
