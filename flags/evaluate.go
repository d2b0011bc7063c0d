package flags

import (
	"context"
	"fmt"
	"math"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/slipway-cd/slipway/internal/flag"
)

// BooleanEvaluation implements openfeature.FeatureProvider.
func (p *Provider) BooleanEvaluation(_ context.Context, key string, code bool, c openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return evaluate(p, key, code, c, is[bool])
}

// StringEvaluation implements openfeature.FeatureProvider.
func (p *Provider) StringEvaluation(_ context.Context, key, code string, c openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return evaluate(p, key, code, c, is[string])
}

// FloatEvaluation implements openfeature.FeatureProvider.
func (p *Provider) FloatEvaluation(_ context.Context, key string, code float64, c openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return evaluate(p, key, code, c, is[float64])
}

// IntEvaluation implements openfeature.FeatureProvider. A number with a fraction is no integer, and nothing is cut off.
func (p *Provider) IntEvaluation(_ context.Context, key string, code int64, c openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return evaluate(p, key, code, c, integer)
}

// ObjectEvaluation implements openfeature.FeatureProvider. The value may be of any type; who changes it changes the
// flag for everybody.
func (p *Provider) ObjectEvaluation(_ context.Context, key string, code any, c openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return evaluate(p, key, code, c, func(v any) (any, bool) { return v, true })
}

func is[T any](v any) (T, bool) {
	t, ok := v.(T)
	return t, ok
}

func integer(v any) (int64, bool) {
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

// evaluate decides one flag. code, the application's own default, counts on errors and where the flag has no value.
func evaluate[T any](p *Provider, key string, code T, c openfeature.FlattenedContext, as func(any) (T, bool)) openfeature.GenericResolutionDetail[T] {
	answer := openfeature.GenericResolutionDetail[T]{Value: code}
	set := p.set.Load()
	if set == nil {
		answer.Reason = openfeature.ErrorReason
		answer.ResolutionError = openfeature.NewProviderNotReadyResolutionError("no flags were read yet")
		return answer
	}
	in := flag.Context{Map: c}
	in.TargetingKey, _ = c[openfeature.TargetingKey].(string)
	r := set.Evaluate(key, &in)
	answer.Reason, answer.Variant = openfeature.Reason(r.Reason), r.Variant
	if r.Metadata != nil {
		answer.FlagMetadata = r.Metadata.Values
	}
	if r.ErrorCode != "" {
		answer.Reason, answer.ResolutionError = openfeature.ErrorReason, resolutionError(r)
		return answer
	}
	if r.Value == nil {
		return answer
	}
	value, ok := as(r.Value)
	if !ok {
		answer.Reason = openfeature.ErrorReason
		answer.ResolutionError = openfeature.NewTypeMismatchResolutionError(fmt.Sprintf("flag %s has the value %s", key, r.JSON))
		return answer
	}
	answer.Value = value
	return answer
}

func resolutionError(r flag.Result) openfeature.ResolutionError {
	switch r.ErrorCode {
	case flag.FlagNotFound:
		return openfeature.NewFlagNotFoundResolutionError(r.ErrorDetails)
	case flag.ParseError:
		return openfeature.NewParseErrorResolutionError(r.ErrorDetails)
	}
	return openfeature.NewGeneralResolutionError(r.ErrorDetails)
}
