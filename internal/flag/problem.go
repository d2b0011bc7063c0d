package flag

import (
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a document: where, and what would be right.
type Problem struct {
	Path    string `json:"path"` // a JSON pointer (RFC 6901): /flags/checkout/targeting/if/0
	Message string `json:"message"`
}

// Invalid is the error of everything that validates: all that was found, up to maxProblems.
type Invalid struct{ Problems []Problem }

// maxProblems bounds an answer: who broke a thousand flags at once reads the first few.
const maxProblems = 20

// Error implements error: each problem on a line of its own.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
		if p.Path != "" {
			lines[i] = p.Path + ": " + p.Message
		}
	}
	return strings.Join(lines, "\n")
}

// place is a JSON pointer that is still being walked: a chain of frames, so that a path costs nothing until it is told.
type place struct {
	parent *place
	name   string // the member's name, or
	index  int    // the element's number where name is ""
	isItem bool
}

// nowhere is where a walk is that keeps no account: most documents have no problem, and those that have are walked again.
var nowhere = new(place)

func (p *place) member(name string) *place {
	if p == nowhere {
		return p
	}
	return &place{parent: p, name: name}
}

func (p *place) item(i int) *place {
	if p == nowhere {
		return p
	}
	return &place{parent: p, index: i, isItem: true}
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// String writes the pointer; a nil place is the whole document.
func (p *place) String() string {
	if p == nil || p == nowhere {
		return ""
	}
	if p.isItem {
		return p.parent.String() + "/" + strconv.Itoa(p.index)
	}
	return p.parent.String() + "/" + pointerEscapes.Replace(p.name)
}

// problems collects what is wrong.
type problems struct {
	list []Problem
	all  bool // and not only the first maxProblems
}

func (ps *problems) add(at *place, message string) {
	if ps.all || len(ps.list) < maxProblems {
		ps.list = append(ps.list, Problem{Path: at.String(), Message: message})
	}
}

// first returns at most n of them, of which the last then says how many there are more.
func (ps *problems) first(n int) []Problem {
	more := len(ps.list) - n + 1
	if more <= 1 {
		return ps.list
	}
	return append(ps.list[:n-1:n-1], Problem{Message: strconv.Itoa(more) + " more like these"})
}

func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	return &Invalid{Problems: ps.list}
}
