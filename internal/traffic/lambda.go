// Package traffic changes what serves: targets whose weights are absolute, set and read back.
package traffic

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Client is the part of Lambda's API that moves a function's code and traffic; *lambda.Client has it.
type Client interface {
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	UpdateAlias(context.Context, *lambda.UpdateAliasInput, ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error)
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	UpdateFunctionCode(context.Context, *lambda.UpdateFunctionCodeInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error)
	PublishVersion(context.Context, *lambda.PublishVersionInput, ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error)
}

// Lambda is the target of type lambda: a function's published versions behind an alias. Its methods may be run again after
// any failure; a call whose reply was lost is found out by reading. Errors are DeployFailed, or NotFound
// of a version, and keep AWS's own.
type Lambda struct {
	client Client
	bucket string
}

// NewLambda makes the target. The bucket holds the artifacts.
func NewLambda(client Client, bucket string) *Lambda { return &Lambda{client: client, bucket: bucket} }

// Bounds on trying. The function around this has 15 minutes.
const (
	attempts  = 5
	firstWait = 100 * time.Millisecond // doubled each time
	longWait  = time.Second
	settling  = 3 * time.Minute // for Lambda to take new code
)

// Serving reads the alias, then the version it points to: the version, its code and description, and the versions that take a part of
// its traffic. A published version never changes, so the two reads agree even if the alias moves between them. If the version is gone
// by the second read, both are repeated. A missing function or alias is an error that names the setting.
func (l *Lambda) Serving(ctx context.Context, t deploy.Target) (deploy.Serving, error) {
	op := "read alias " + t.Alias + " of function " + t.Function
	for attempt, wait := 0, firstWait; ; attempt, wait = attempt+1, min(2*wait, longWait) {
		found, err := l.alias(ctx, t)
		if err != nil {
			return deploy.Serving{}, err
		}
		code, err := l.configuration(ctx, t, found.TargetVersion)
		switch {
		case err == nil:
			s := found.Serving
			s.TargetCodeSHA256, s.Description = aws.ToString(code.CodeSha256), aws.ToString(code.Description)
			return s, nil
		case deploy.KindOf(err) != deploy.NotFound:
			return found.Serving, err
		case attempt == attempts:
			return found.Serving, deploy.Errorf(deploy.DeployFailed, op, "it points to a version that doesn't exist: %w", err)
		}
		if err := sleep(ctx, wait); err != nil {
			return found.Serving, deploy.Errorf(deploy.DeployFailed, op, "%w", err)
		}
	}
}

// Find returns the version as the function has it. NotFound where it doesn't have it whole: the version is gone, it is one of another
// function, or its number belongs to other code by now.
func (l *Lambda) Find(ctx context.Context, t deploy.Target, v deploy.FunctionVersion) (deploy.FunctionVersion, error) {
	c, err := l.configuration(ctx, t, v.TargetVersion)
	if err != nil {
		return v, err
	}
	found := deploy.FunctionVersion{TargetFunction: unqualified(aws.ToString(c.FunctionArn)), TargetVersion: v.TargetVersion, TargetCodeSHA256: aws.ToString(c.CodeSha256)}
	switch op := "find version " + v.TargetVersion + " of function " + t.Function; {
	case !deploy.SameFunction(found.TargetFunction, v.TargetFunction):
		return v, deploy.Errorf(deploy.NotFound, op, "the release is %s", v.Name())
	case !found.Is(v):
		return v, deploy.Errorf(deploy.NotFound, op, "its code has SHA-256 %s, the release's has %s", found.TargetCodeSHA256, v.TargetCodeSHA256)
	}
	return found, nil
}

// unqualified takes a version or an alias off a function's ARN.
func unqualified(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 7 {
		return strings.Join(parts[:7], ":")
	}
	return arn
}

// SetWeight gives version to that percentage of the alias's traffic, 0 to 100, and version from the rest. It is absolute:
// whatever the alias said before, afterwards it says just this, read back. From is not used at 100. An alias that somebody else
// changes meanwhile is read again and set again, a few times. NotFound as for Find.
//
// Still is asked between each read of the alias and the write that is held to the revision read, and is given what was read, without
// code and description. Its error ends the call with nothing more written. The alias is written even where it says all this already,
// so that it has a new revision afterwards. So whoever asks still before another may call SetWeight, and writes after that one did, is
// refused.
func (l *Lambda) SetWeight(ctx context.Context, t deploy.Target, from, to deploy.FunctionVersion, percent int, still func(context.Context, deploy.Serving) error) error {
	want, err := routing(from, to, percent)
	if err != nil {
		return err
	}
	op := fmt.Sprintf("set alias %s of function %s to %s", t.Alias, t.Function, want)
	var found route
	var before string
	var last error
	for attempt, wait := 0, firstWait; ; attempt, wait = attempt+1, min(2*wait, longWait) {
		if found, err = l.alias(ctx, t); err != nil {
			return err
		}
		if attempt > 0 && found.revision != before && found.same(want) {
			return nil
		}
		if attempt == attempts {
			break
		}
		if attempt == 0 {
			before = found.revision
			if err := l.exist(ctx, t, from, to, want); err != nil {
				return err
			}
		} else if err := sleep(ctx, wait); err != nil {
			return deploy.Errorf(deploy.DeployFailed, op, "%w", err)
		}
		if err := still(ctx, found.Serving); err != nil {
			return err
		}
		// After a lost reply, an overtaken revision or a throttle the next turn's read decides; the rest won't get better.
		if last = l.update(ctx, t, found, want); hopeless(last) {
			return deploy.Errorf(deploy.DeployFailed, op, "%w", last)
		}
	}
	if last == nil {
		last = fmt.Errorf("somebody else keeps changing it")
	}
	return deploy.Errorf(deploy.DeployFailed, op, "it is at %s after %d attempts: %w", found, attempts, last)
}

// route is what an alias says, as it was at one revision.
type route struct {
	deploy.Serving
	revision string
}

func routing(from, to deploy.FunctionVersion, percent int) (route, error) {
	switch {
	case percent < 0 || percent > 100 || to.TargetVersion == "" || from.TargetVersion == "" && percent < 100:
		return route{}, deploy.Errorf(deploy.Invalid, "set weight", "from %q to %q at %d %%; want two versions and 0 to 100 %%", from.TargetVersion, to.TargetVersion, percent)
	case percent == 100 || from.TargetVersion == to.TargetVersion:
		return alone(to), nil
	case percent == 0:
		return alone(from), nil
	}
	return route{Serving: deploy.Serving{FunctionVersion: from, Others: map[string]float64{to.TargetVersion: float64(percent) / 100}}}, nil
}

func alone(v deploy.FunctionVersion) route {
	return route{Serving: deploy.Serving{FunctionVersion: v}}
}

func (r route) same(want route) bool { return r.Same(want.Serving) }

func (l *Lambda) alias(ctx context.Context, t deploy.Target) (route, error) {
	out, err := l.client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &t.Function, Name: &t.Alias})
	if missing(err) {
		if _, ferr := l.configuration(ctx, t, ""); ferr != nil {
			return route{}, ferr
		}
		return route{}, settingf("target.alias", err, "function %s has no alias %q; make it on a published version, or correct the setting in app.yaml and run slipway app apply", t.Function, t.Alias)
	}
	if deploy.IsDenied(err) {
		return route{}, settingf("target.function", err, "%s isn't among the functions that Slipway may deploy; name all of them: make deploy TARGETS=%[1]s,... "+
			"(on the local cloud: make up TARGETS=%[1]s,...)", t.Function)
	}
	if err != nil {
		return route{}, deploy.Errorf(deploy.DeployFailed, "read alias "+t.Alias+" of function "+t.Function, "%w", err)
	}
	r := route{revision: aws.ToString(out.RevisionId)}
	r.TargetFunction, r.TargetVersion = unqualified(aws.ToString(out.AliasArn)), aws.ToString(out.FunctionVersion)
	if out.RoutingConfig != nil {
		r.Others = out.RoutingConfig.AdditionalVersionWeights
		maps.DeleteFunc(r.Others, func(_ string, weight float64) bool { return weight == 0 }) // it takes no traffic
	}
	return r, nil
}

// update always sends the weights: an empty map is what clears them, and leaving them out would keep them.
func (l *Lambda) update(ctx context.Context, t deploy.Target, found, want route) error {
	weights := want.Others
	if weights == nil {
		weights = map[string]float64{}
	}
	_, err := l.client.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &t.Function, Name: &t.Alias, FunctionVersion: &want.TargetVersion,
		RevisionId: aws.String(found.revision), RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}})
	return err
}

// exist checks that the versions of a route are there: the error then is ours and says what to do.
func (l *Lambda) exist(ctx context.Context, t deploy.Target, from, to deploy.FunctionVersion, r route) error {
	for _, v := range []deploy.FunctionVersion{from, to} {
		if !r.Includes(v) {
			continue
		}
		if _, err := l.Find(ctx, t, v); err != nil {
			return err
		}
	}
	return nil
}
