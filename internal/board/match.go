package board

import (
	"fmt"
)

// Match is what a writer knows of what it changes: HTTP's If-Match and If-None-Match.
type Match struct {
	Version int64 // as it was read; with neither Any nor None, 0 says nothing
	Any     bool  // whatever is there, as long as something is
	None    bool  // nothing may be there
}

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

// check compares with the version that is there, 0 for nothing.
func (m Match) check(version int64) error {
	switch {
	case m.None && version == 0, m.Any && version != 0:
		return nil
	case m.None, m.Any:
		return &Unmatched{Version: version}
	case m.Version == 0 && version == 0:
		return nil
	case m.Version == 0:
		return &Unmatched{Version: version, Silent: true}
	case m.Version != version:
		return &Unmatched{Version: version}
	}
	return nil
}
