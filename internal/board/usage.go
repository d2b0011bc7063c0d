package board

import (
	"slices"
	"time"
)

// Seen says when a variant of a flag was served.
type Seen struct {
	Variant string    `json:"variant"` // "" for an answer without one: the code's default
	First   time.Time `json:"first"`   // to the hour
	Last    time.Time `json:"last"`    // to the hour
}

// Usage is what is known of a flag's evaluations.
type Usage struct {
	LastEvaluated *time.Time `json:"last_evaluated"` // null for never
	Variants      []Seen     `json:"variants"`
	Stale         Staleness  `json:"stale,omitempty"`
}

// Staleness says why a flag may have done its work.
type Staleness string

const (
	Never    Staleness = "never-evaluated" // and it has been there long enough
	Silent   Staleness = "not-evaluated"   // for so many days
	OneSided Staleness = "one-sided"       // the same variant alone for so many days
)

// MaxStaleDays bounds how long a flag may be asked to have been stale.
const MaxStaleDays = 365

// UsageOf judges a flag by what was seen of it. A flag is stale that for days wasn't evaluated, or had one answer only;
// one that is younger isn't, however little was seen.
func UsageOf(e Entry, seen []Seen, now time.Time, days int) *Usage {
	u := &Usage{Variants: slices.Clone(seen)}
	if u.Variants == nil {
		u.Variants = []Seen{}
	}
	line := now.AddDate(0, 0, -days)
	lately, first := 0, now
	for _, s := range seen {
		if u.LastEvaluated == nil || s.Last.After(*u.LastEvaluated) {
			u.LastEvaluated = &s.Last
		}
		if s.Last.After(line) {
			lately++
		}
		if s.First.Before(first) {
			first = s.First
		}
	}
	switch {
	case e.CreatedAt.After(line):
	case u.LastEvaluated == nil:
		u.Stale = Never
	case lately == 0:
		u.Stale = Silent
	case lately == 1 && first.Before(line):
		u.Stale = OneSided
	}
	return u
}
