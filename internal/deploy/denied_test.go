package deploy_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// coded is an AWS error.
type coded string

func (c coded) Error() string     { return string(c) }
func (c coded) ErrorCode() string { return string(c) }

func TestIsDenied(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, errors.New("AccessDenied"): false, coded("ResourceNotFoundException"): false,
		coded("AccessDenied"): true, coded("AccessDeniedException"): true, coded("AuthorizationError"): true,
		fmt.Errorf("get alias: %w", coded("AccessDeniedException")):                              true,
		deploy.Errorf(deploy.DeployFailed, "invoke pager", "%w", coded("AccessDeniedException")): true,
	} {
		if got := deploy.IsDenied(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
