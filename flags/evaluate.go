package flags

import (
	"context"
	"fmt"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/slipway-cd/slipway/internal/flag"
)

// BooleanEvaluation implements openfeature.FeatureProvider.
func (p *Provider) BooleanEvaluation(_ context.Context, key string, code bool, c openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return evaluate(p, key, code, c, as[bool])
}

// StringEvaluation implements openfeature.FeatureProvider.
func (p *Provider) StringEvaluation(_ context.Context, key, code string, c openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return evaluate(p, key, code, c, as[string])
}

// FloatEvaluation implements openfeature.FeatureProvider. An integer that a float64 would round is a type mismatch.
func (p *Provider) FloatEvaluation(_ context.Context, key string, code float64, c openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return evaluate(p, key, code, c, as[float64])
}

// IntEvaluation implements openfeature.FeatureProvider. A number with a fraction is no integer, and nothing is cut off.
func (p *Provider) IntEvaluation(_ context.Context, key string, code int64, c openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return evaluate(p, key, code, c, (*flag.Result).Int)
}

// ObjectEvaluation implements openfeature.FeatureProvider. The value may be of any type; a caller that changes it changes
// the flag for all. Numbers are float64, but integers that a float64 would round are int64, or json.Number if larger.
func (p *Provider) ObjectEvaluation(_ context.Context, key string, code any, c openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return evaluate(p, key, code, c, func(r *flag.Result) (any, bool) { return r.Value, true })
}

func as[T any](r *flag.Result) (T, bool) {
	t, ok := r.Value.(T)
	return t, ok
}

// evaluate decides one flag. code, the application's own default, counts on errors and where the flag has no value.
func evaluate[T any](p *Provider, key string, code T, c openfeature.FlattenedContext,
	read func(*flag.Result) (T, bool)) openfeature.GenericResolutionDetail[T] {
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
	value, ok := read(&r)
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
