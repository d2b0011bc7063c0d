package flag

import (
	"iter"
	"slices"
	"time"
)

// Set is a compiled document. It never changes, so that any number of goroutines may use it without a lock.
type Set struct {
	flags    map[string]*flag
	keys     []string
	sorted   []*flag
	metadata *Metadata
	missing  Result
	source   *source
}

// Result is an evaluation's answer. What it points at belongs to the Set: don't change it.
type Result struct {
	// Value is a bool, a float64, a string, a map[string]any or a []any; nil says: use the code's default. An integer that
	// a float64 would round is an int64, or a json.Number where it is larger still.
	Value        any
	JSON         []byte // the value as the document writes it (10 stays 10); nil where Value is
	Variant      string
	Reason       Reason
	ErrorCode    ErrorCode // "" where there is none
	ErrorDetails string
	Metadata     *Metadata // the set's with the flag's, which wins; nil where there is none
}

// Metadata are scalars about a flag or a set.
type Metadata struct {
	Values map[string]any
	JSON   []byte // the same as an object, ready to be sent
}

// Reason says how a value came about; the words are OpenFeature's.
type Reason string

// Reasons.
const (
	Static         Reason = "STATIC"          // there is no rule
	Default        Reason = "DEFAULT"         // the rule didn't match
	TargetingMatch Reason = "TARGETING_MATCH" // the rule gave a variant
	Disabled       Reason = "DISABLED"        // the flag is off, or its schedule or a prerequisite is; a value comes with it in the short form alone
	ReasonError    Reason = "ERROR"
)

// ErrorCode says what went wrong; the words are OpenFeature's.
type ErrorCode string

// Error codes. The last three are for callers: an evaluation gives TypeMismatch only for a variant that is null.
const (
	FlagNotFound        ErrorCode = "FLAG_NOT_FOUND"
	ParseError          ErrorCode = "PARSE_ERROR"
	General             ErrorCode = "GENERAL"
	TypeMismatch        ErrorCode = "TYPE_MISMATCH"
	TargetingKeyMissing ErrorCode = "TARGETING_KEY_MISSING"
	InvalidContext      ErrorCode = "INVALID_CONTEXT"
)

var noContext Context

// Evaluate answers for a context, which may be nil. It allocates only where it fails.
func (s *Set) Evaluate(key string, ctx *Context) Result {
	f := s.flags[key]
	if f == nil {
		return s.missing
	}
	if ctx == nil {
		ctx = &noContext
	}
	return f.evaluate(ctx)
}

// All evaluates every flag, in the order of their keys, at one moment.
func (s *Set) All(ctx *Context) iter.Seq2[string, Result] {
	return func(yield func(string, Result) bool) {
		var now Context
		if ctx != nil {
			now = *ctx
		}
		if now.Time == 0 {
			now.Time = time.Now().Unix()
		}
		for i, f := range s.sorted {
			if !yield(s.keys[i], f.evaluate(&now)) {
				return
			}
		}
	}
}

// Keys lists the flags, sorted, without those that are archived. Don't change it.
func (s *Set) Keys() []string { return s.keys }

// Len is the number of Keys.
func (s *Set) Len() int { return len(s.keys) }

// Metadata is the set's own; nil where there is none.
func (s *Set) Metadata() *Metadata { return s.metadata }

// Dependants lists the flags that name key among their prerequisites, sorted.
func (s *Set) Dependants(key string) []string {
	var list []string
	for _, f := range s.source.flags {
		if slices.ContainsFunc(f.prerequisites, func(p Prerequisite) bool { return p.Flag == key }) {
			list = append(list, f.key)
		}
	}
	slices.Sort(list)
	return list
}
