package trigger

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// clockLayouts are the forms of a time in words. Without a zone it is taken for UTC: it only tells pushes apart.
var clockLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", time.RFC1123, time.RFC1123Z,
}

// clock reads a sender's time: RFC 3339 and what is near it, or a number of seconds, milliseconds, microseconds or nanoseconds since
// 1970, also as text. It reports whether there is one. A form that it doesn't know is none: no push is lost by it.
func clock(raw json.RawMessage) (time.Time, bool) {
	text := strings.TrimSpace(string(raw))
	if err := json.Unmarshal(raw, &text); err != nil && !isNumber(text) {
		return time.Time{}, false
	}

	text = strings.TrimSpace(text)
	if isNumber(text) {
		return sinceEpoch(text)
	}
	for _, layout := range clockLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && strings.Trim(text, "0123456789.") == ""
}

// sinceEpoch reads a number by its size: until the year 5138 there are under 10^11 seconds, which is 1973 in milliseconds.
func sinceEpoch(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, false
	}

	switch {
	case n < 1e11:
		nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		return time.Unix(n, nanos).UTC(), true
	case n < 1e14:
		return time.UnixMilli(n).UTC(), true
	case n < 1e17:
		return time.UnixMicro(n).UTC(), true
	}
	return time.Unix(0, n).UTC(), true
}
