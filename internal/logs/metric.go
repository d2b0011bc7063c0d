package logs

import (
	"strings"
	"unicode"
)

// plainly stands before a line that CloudWatch Logs would make metrics of. No JSON begins with it, and nobody sees it.
const plainly = "\u200b"

// quiet keeps a line of output from being more than output. CloudWatch Logs takes each event for metrics that is a JSON object with a
// member _aws (embedded metric format), whatever group it is in: a commit's tests that print such lines, as programs on Lambda do,
// would count as if it were in production, and could ring Slipway's own alarms.
func quiet(text string) string {
	object := strings.HasPrefix(strings.TrimLeftFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }), "{")
	tells := strings.Contains(text, "_aws") || strings.Contains(text, `\u`) // which may spell any of its letters
	if object && tells || strings.HasPrefix(text, plainly) {
		return plainly + text
	}
	return text
}

// loud gives a line as it was printed.
func loud(text string) string { return strings.TrimPrefix(text, plainly) }
