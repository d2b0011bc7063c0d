package deploy

import (
	"fmt"
	"strconv"
	"strings"
)

// StatusRange is an HTTP status, like 204, or the first and last of several, like 200-299.
type StatusRange string

// Bounds on a status: those below 200 are never a request's answer.
const (
	minStatus       = 200
	maxStatus       = 599
	MaxStatusRanges = 20
)

// StatusRangePattern is what a StatusRange looks like.
const StatusRangePattern = `^[2-5][0-9]{2}(-[2-5][0-9]{2})?$`

// bounds returns the first and the last status, and reports whether the text is a range.
func (r StatusRange) bounds() (first, last int, ok bool) {
	from, to, isRange := strings.Cut(string(r), "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	ok = err1 == nil && err2 == nil && len(from) == 3 && len(to) == 3 && first >= minStatus && last <= maxStatus && first <= last
	return first, last, ok
}

// Accepts reports whether an answer with that status is a good one.
func (h Health) Accepts(status int) bool {
	if len(h.Statuses) == 0 {
		return status == 200
	}
	for _, r := range h.Statuses {
		if first, last, ok := r.bounds(); ok && first <= status && status <= last {
			return true
		}
	}
	return false
}

// Wanted says which statuses a good answer has.
func (h Health) Wanted() string {
	if len(h.Statuses) == 0 {
		return "200"
	}
	texts := make([]string, len(h.Statuses))
	for i, r := range h.Statuses {
		texts[i] = string(r)
	}
	return strings.Join(texts, ", ")
}

func validateStatuses(statuses []StatusRange) error {
	if len(statuses) > MaxStatusRanges {
		return FieldErrorf("health_check_status", "%d of them; want at most %d", len(statuses), MaxStatusRanges)
	}
	for i, r := range statuses {
		if _, _, ok := r.bounds(); !ok {
			return FieldErrorf(fmt.Sprintf("health_check_status[%d]", i), "%q is no status; want one from %d to %d, like 204, or a range, like 200-299",
				Cut(string(r), 40), minStatus, maxStatus)
		}
	}
	return nil
}
