package traffic

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// missing tells that AWS has no such function, version or alias.
func missing(err error) bool {
	var e *types.ResourceNotFoundException
	return errors.As(err, &e)
}

// hopeless tells that trying again, after reading, can't help: AWS understood the request and refused it for good. Errors that
// say nothing about whether the request was carried out are not hopeless.
func hopeless(err error) bool {
	var (
		overtaken *types.PreconditionFailedException
		conflict  *types.ResourceConflictException
		throttled *types.TooManyRequestsException
		api       smithy.APIError
		response  *http.ResponseError
	)
	switch {
	case errors.As(err, &overtaken), errors.As(err, &conflict), errors.As(err, &throttled):
		return false
	case errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient:
		return true
	}
	return errors.As(err, &response) && response.HTTPStatusCode()/100 == 4 && response.HTTPStatusCode() != 429
}

// settingf makes an error about one of the environment's settings.
func settingf(field string, cause error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &deploy.Error{Kind: deploy.DeployFailed, Field: field, Err: err}
}

// tell makes err a DeployFailed of op, unless it is a whole error already, and says why the time was over where it was.
func tell(ctx context.Context, op string, err error) error {
	var whole *deploy.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)):
		return deploy.Errorf(deploy.DeployFailed, op, "%w: %w", context.Cause(ctx), err)
	case errors.As(err, &whole):
		return err
	}
	return deploy.Errorf(deploy.DeployFailed, op, "%w", err)
}
