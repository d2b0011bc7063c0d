// Package traffic changes what serves: targets whose weights are absolute, set and read back.
package traffic

import (
	"context"
	"fmt"
	"maps"
	"math"
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

// latest is the version that every code update changes.
const latest = "$LATEST"

// Live says which version the alias points to: the one that serves alone, or, while a second one has a weight, the one
// that takes the rest. A missing function or alias is an error that names the setting, as is an alias on $LATEST, which
// would change under the traffic before anything was checked and could not be gone back to.
func (l *Lambda) Live(ctx context.Context, t deploy.Target) (version string, err error) {
	alias, err := l.alias(ctx, t)
	if err != nil {
		return "", err
	}
	if alias.version == latest {
		return "", settingf("target.alias", nil, "alias %s of function %s is on $LATEST, which every code update changes at once; point it to a published version: "+
			"aws lambda publish-version --function-name %[2]s, then aws lambda update-alias --function-name %[2]s --name %[1]s --function-version N", t.Alias, t.Function)
	}
	return alias.version, nil
}

// SetWeight gives version to that percentage of the alias's traffic, 0 to 100, and version from the rest. It is absolute:
// whatever the alias said before, afterwards it says just this, read back. From may be empty at 100. An alias that somebody else
// changes meanwhile is read anew and set again, a few times. NotFound where a version is gone.
//
// Still is asked between each read of the alias and the write that is held to the revision read; its error ends the call with
// nothing more written. The alias is written even where it says all this already, so that it has a new revision afterwards. So
// whoever asks still before another may call SetWeight, and writes after that one did, is refused.
func (l *Lambda) SetWeight(ctx context.Context, t deploy.Target, from, to string, percent int, still func(context.Context) error) error {
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
			if err := l.exist(ctx, t, want); err != nil {
				return err
			}
		} else if err := sleep(ctx, wait); err != nil {
			return deploy.Errorf(deploy.DeployFailed, op, "%w", err)
		}
		if err := still(ctx); err != nil {
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

// route is what an alias says.
type route struct {
	version  string
	second   map[string]float64 // version to weight, 0 to 1
	revision string
}

func routing(from, to string, percent int) (route, error) {
	switch {
	case percent < 0 || percent > 100 || to == "" || from == "" && percent < 100:
		return route{}, deploy.Errorf(deploy.Invalid, "set weight", "from %q to %q at %d %%; want two versions and 0 to 100 %%", from, to, percent)
	case percent == 100 || from == to:
		return route{version: to}, nil
	case percent == 0:
		return route{version: from}, nil
	}
	return route{version: from, second: map[string]float64{to: float64(percent) / 100}}, nil
}

func (r route) same(want route) bool {
	return r.version == want.version && maps.EqualFunc(r.second, want.second, func(a, b float64) bool { return math.Abs(a-b) < 1e-4 })
}

func (r route) String() string {
	text := "version " + r.version
	for version, weight := range r.second {
		text += fmt.Sprintf(" with %.0f %% to version %s", 100*weight, version)
	}
	return text
}

func (l *Lambda) alias(ctx context.Context, t deploy.Target) (route, error) {
	out, err := l.client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &t.Function, Name: &t.Alias})
	if missing(err) {
		if _, ferr := l.configuration(ctx, t, ""); ferr != nil {
			return route{}, ferr
		}
		return route{}, settingf("target.alias", err, "function %s has no alias %q; make it on a published version, or correct the setting in app.yaml and run slipway app apply", t.Function, t.Alias)
	}
	if err != nil {
		return route{}, deploy.Errorf(deploy.DeployFailed, "read alias "+t.Alias+" of function "+t.Function, "%w", err)
	}
	r := route{version: aws.ToString(out.FunctionVersion), revision: aws.ToString(out.RevisionId)}
	if out.RoutingConfig != nil {
		r.second = out.RoutingConfig.AdditionalVersionWeights
	}
	return r, nil
}

// update always sends the weights: an empty map is what clears them, and leaving them out would keep them.
func (l *Lambda) update(ctx context.Context, t deploy.Target, found, want route) error {
	weights := want.second
	if weights == nil {
		weights = map[string]float64{}
	}
	_, err := l.client.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &t.Function, Name: &t.Alias, FunctionVersion: &want.version,
		RevisionId: aws.String(found.revision), RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}})
	return err
}

// exist checks that the versions of a route are there: the error then is ours and says what to do.
func (l *Lambda) exist(ctx context.Context, t deploy.Target, r route) error {
	versions := []string{r.version}
	for version := range r.second {
		versions = append(versions, version)
	}
	for _, version := range versions {
		if _, err := l.configuration(ctx, t, version); err != nil {
			return err
		}
	}
	return nil
}
