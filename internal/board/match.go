package board

import (
	"fmt"
	"slices"
)

// Match is what a writer knows of what it changes: HTTP's If-Match and If-None-Match (RFC 9110, section 13). The zero
// Match says nothing.
type Match struct {
	Versions []int64 // If-Match: one of these; not nil and empty for tags of which none is a version here
	Any      bool    // If-Match: *; whatever is there, as long as something is
	None     bool    // If-None-Match: *; nothing may be there
	Not      []int64 // If-None-Match: none of these
}

// Is is the Match of a writer that knows a version, or some of which any will do.
func Is(versions ...int64) Match { return Match{Versions: versions} }

// Unmatched is the error of a writer that knows another version than there is, or doesn't say which it knows.
type Unmatched struct {
	Version int64 // what is there; 0 for nothing
	Silent  bool  // the writer said nothing
}

// Error implements error.
func (u *Unmatched) Error() string {
	switch {
	case u.Silent:
		return fmt.Sprintf("say which version is to be changed with If-Match; version %d is there, and * stands for any", u.Version)
	case u.Version == 0:
		return "there is nothing yet that a version could match; leave If-Match out"
	}
	return fmt.Sprintf("version %d is there by now; read it again, then decide", u.Version)
}

// check compares with the version that is there, 0 for nothing. What isn't there yet needs no condition.
func (m Match) check(version int64) error {
	switch {
	case m.None && version != 0, m.Any && version == 0, slices.Contains(m.Not, version),
		m.Versions != nil && (version == 0 || !slices.Contains(m.Versions, version)):
		return &Unmatched{Version: version}
	case version != 0 && m.Versions == nil && !m.Any:
		return &Unmatched{Version: version, Silent: true}
	}
	return nil
}

// checkRevision compares with an environment's revision. Unlike a flag, an environment is there from the beginning, at
// revision 0, and its ETag "0" may be matched; a writer that wants nothing to be there wants no revision yet.
func (m Match) checkRevision(revision int64) error {
	if revision == 0 && (m.Any || slices.Contains(m.Versions, 0)) {
		m.Any, m.Versions = false, nil
	}
	return m.check(revision)
}
