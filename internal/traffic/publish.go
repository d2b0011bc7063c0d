package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// Publish brings an artifact, a .zip in the bucket, into the function and returns the published version that holds it. No
// traffic moves. The same code again gives the same version, as long as nothing else was published in between. The version's
// code is the artifact's to the bit, or there is an error. The function keeps its settings, its architecture too: the build has
// to be for that one, and Lambda doesn't check it; the health check will.
//
// Lambda takes its time over new code; Publish waits for it, 3 minutes at most. Another update at the same moment, as by an
// environment that shares the function, is waited for and, where it put other code in, done over.
func (l *Lambda) Publish(ctx context.Context, t deploy.Target, a deploy.Artifact, description string) (v deploy.FunctionVersion, err error) {
	op := "publish " + a.Path + " as function " + t.Function
	code := a.CodeSHA256()
	if code == "" {
		return v, deploy.Errorf(deploy.Internal, op, "%q is not a SHA-256 in hex", a.SHA256)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, settling, fmt.Errorf("the function was still being updated after %s", settling))
	defer cancel()
	var last error
	for attempt, wait := 0, firstWait; attempt < attempts; attempt, wait = attempt+1, min(2*wait, longWait) {
		if err := l.bring(ctx, t, a, code); err != nil {
			return v, tell(ctx, op, err)
		}
		out, err := l.client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &t.Function, CodeSha256: &code,
			Description: aws.String(deploy.Cut(description, 256))})
		if err == nil {
			v = deploy.FunctionVersion{TargetFunction: unqualified(aws.ToString(out.FunctionArn)), TargetVersion: aws.ToString(out.Version), TargetCodeSHA256: code}
			return v, tell(ctx, op, l.active(ctx, t, v.TargetVersion))
		}
		// Another code came in between the two calls: Lambda calls our digest an invalid parameter then.
		var overtaken *types.InvalidParameterValueException
		if last = err; hopeless(err) && !errors.As(err, &overtaken) {
			break
		}
		if err := sleep(ctx, wait); err != nil {
			return v, tell(ctx, op, err)
		}
	}
	return v, tell(ctx, op, last)
}

// bring has $LATEST hold the code, settled. What it reads decides, not what an update answered.
func (l *Lambda) bring(ctx context.Context, t deploy.Target, a deploy.Artifact, code string) error {
	var last error
	for updates, wait := 0, firstWait; ; wait = min(2*wait, longWait) {
		c, err := l.configuration(ctx, t, "")
		if err != nil {
			return err
		}
		switch {
		case busy(c):
		case aws.ToString(c.CodeSha256) == code && c.LastUpdateStatus != types.LastUpdateStatusFailed:
			return nil
		case updates == attempts:
			return errors.Join(fmt.Errorf("after %d updates $LATEST holds code %s, want %s; last update %s %s",
				updates, aws.ToString(c.CodeSha256), code, c.LastUpdateStatus, aws.ToString(c.LastUpdateStatusReason)), last)
		default:
			updates++
			if last = l.replace(ctx, t, a, code); hopeless(last) || errors.Is(last, errOtherBytes) {
				return last
			} else if last == nil {
				continue
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

var errOtherBytes = errors.New("the artifact in S3 is not the one that was built")

func (l *Lambda) replace(ctx context.Context, t deploy.Target, a deploy.Artifact, code string) error {
	out, err := l.client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &t.Function, S3Bucket: &l.bucket, S3Key: &a.Key})
	if err == nil && aws.ToString(out.CodeSha256) != code {
		return fmt.Errorf("%w: s3://%s/%s has SHA-256 %s, want %s (base64); $LATEST holds it now, no traffic does", errOtherBytes, l.bucket, a.Key,
			aws.ToString(out.CodeSha256), code)
	}
	return err
}

// active waits until a fresh version can take traffic.
func (l *Lambda) active(ctx context.Context, t deploy.Target, version string) error {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		c, err := l.configuration(ctx, t, version)
		switch {
		case err != nil:
			return err
		case c.State == types.StateFailed:
			return fmt.Errorf("version %s can't run: %s", version, aws.ToString(c.StateReason))
		case c.State != types.StatePending:
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// configuration reads a version's, or $LATEST's where version is empty.
func (l *Lambda) configuration(ctx context.Context, t deploy.Target, version string) (*lambda.GetFunctionConfigurationOutput, error) {
	in := &lambda.GetFunctionConfigurationInput{FunctionName: &t.Function}
	if version != "" {
		in.Qualifier = &version
	}
	out, err := l.client.GetFunctionConfiguration(ctx, in)
	switch {
	case err == nil:
		return out, nil
	case missing(err) && version != "":
		return nil, deploy.Errorf(deploy.NotFound, "find version "+version+" of function "+t.Function, "it is gone: %w", err)
	case missing(err):
		return nil, settingf("target.function", err, "there is no Lambda function %q in this account and region; create it, or correct the setting in app.yaml and run slipway app apply", t.Function)
	}
	return nil, deploy.Errorf(deploy.DeployFailed, "read function "+t.Function, "%w", err)
}

// busy tells that Lambda works on the function and would refuse a change.
func busy(c *lambda.GetFunctionConfigurationOutput) bool {
	return c.State == types.StatePending || c.LastUpdateStatus == types.LastUpdateStatusInProgress
}

// sleep waits; its error is why ctx ended first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
