package deploy

import (
	"errors"
	"slices"
)

// deniedCodes are AWS's names for a call that the caller's role doesn't allow; SNS has its own.
var deniedCodes = []string{"AccessDenied", "AccessDeniedException", "AuthorizationError"}

// IsDenied reports whether AWS refused a call because the caller's role doesn't allow it.
func IsDenied(err error) bool {
	var api interface{ ErrorCode() string }
	return errors.As(err, &api) && slices.Contains(deniedCodes, api.ErrorCode())
}
