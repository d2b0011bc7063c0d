package traffic_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/deploy"
)

var errLost = errors.New("connection reset by peer")

// functionARN is the fake's.
const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:shop"

// fake is one Lambda function, shop, with one alias, live, as far as AWS documents them.
type fake struct {
	missing  bool // no such function
	noAlias  bool
	objects  map[string]string // S3 key to content
	code     string            // digest in $LATEST
	busy     int               // reads until the last update is done
	failed   bool              // the last update ended badly
	pending  int               // reads until a fresh version is active
	broken   bool              // a fresh version never becomes active
	versions []string          // digests of 1, 2, …
	version  string            // the alias's
	weights  map[string]float64
	said     string // the versions' description
	revision int

	mu    sync.Mutex
	calls []string
	// fault may fail the nth call (from 1) of an operation, before it is carried out or after; it may change the fake too.
	fault func(op string, n int, after bool) error
	count map[string]int
}

func newFake() *fake {
	f := &fake{objects: map[string]string{}, count: map[string]int{}, version: "1", revision: 1}
	f.code = digest("zero")
	f.versions = []string{f.code}
	return f
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// put stores an object and gives the artifact that a build would note for it.
func (f *fake) put(key, content string) deploy.Artifact {
	f.objects[key] = content
	sum := sha256.Sum256([]byte(content))
	return deploy.Artifact{Path: key, Key: key, SHA256: hex.EncodeToString(sum[:])}
}

// do carries one call out, with its faults.
func (f *fake) do(op string, carry func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, op)
	f.count[op]++
	n := f.count[op]
	if f.fault != nil {
		if err := f.fault(op, n, false); err != nil {
			return err
		}
	}
	if f.missing {
		return &types.ResourceNotFoundException{Message: aws.String("Function not found")}
	}
	if err := carry(); err != nil {
		return err
	}
	if f.fault != nil {
		return f.fault(op, n, true)
	}
	return nil
}

func (f *fake) writes() int {
	return f.count["UpdateAlias"] + f.count["UpdateFunctionCode"] + f.count["PublishVersion"]
}

func (f *fake) GetAlias(_ context.Context, in *lambda.GetAliasInput, _ ...func(*lambda.Options)) (out *lambda.GetAliasOutput, err error) {
	err = f.do("GetAlias", func() error {
		if f.noAlias || *in.Name != "live" {
			return &types.ResourceNotFoundException{Message: aws.String("Alias not found")}
		}
		out = &lambda.GetAliasOutput{AliasArn: aws.String(functionARN + ":live"), FunctionVersion: aws.String(f.version), RevisionId: aws.String(strconv.Itoa(f.revision))}
		if len(f.weights) > 0 {
			out.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: maps.Clone(f.weights)}
		}
		return nil
	})
	return out, err
}

func (f *fake) UpdateAlias(_ context.Context, in *lambda.UpdateAliasInput, _ ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error) {
	return &lambda.UpdateAliasOutput{}, f.do("UpdateAlias", func() error {
		if in.RevisionId == nil || *in.RevisionId != strconv.Itoa(f.revision) {
			return &types.PreconditionFailedException{}
		}
		f.version = *in.FunctionVersion
		if in.RoutingConfig != nil && in.RoutingConfig.AdditionalVersionWeights != nil { // left out, they stay
			f.weights = maps.Clone(in.RoutingConfig.AdditionalVersionWeights)
		}
		f.revision++
		return nil
	})
}

func (f *fake) GetFunctionConfiguration(_ context.Context, in *lambda.GetFunctionConfigurationInput, _ ...func(*lambda.Options)) (out *lambda.GetFunctionConfigurationOutput, err error) {
	err = f.do("GetFunctionConfiguration", func() error {
		out = &lambda.GetFunctionConfigurationOutput{CodeSha256: aws.String(f.code), State: types.StateActive, LastUpdateStatus: types.LastUpdateStatusSuccessful,
			FunctionArn: aws.String(functionARN), Version: aws.String("$LATEST")}
		qualifier := aws.ToString(in.Qualifier)
		if qualifier == "live" && !f.noAlias {
			qualifier = f.version
		}
		if qualifier == "" || qualifier == "$LATEST" {
			return f.latest(out)
		}
		n, err := strconv.Atoi(qualifier)
		if err != nil || n < 1 || n > len(f.versions) || f.versions[n-1] == "" {
			return &types.ResourceNotFoundException{Message: aws.String("Function not found: version")}
		}
		out.CodeSha256, out.Version, out.FunctionArn = aws.String(f.versions[n-1]), &qualifier, aws.String(functionARN+":"+qualifier)
		out.Description = aws.String(f.said)
		if f.broken {
			out.State, out.StateReason = types.StateFailed, aws.String("no subnet")
		}
		if f.pending--; f.pending >= 0 {
			out.State = types.StatePending
		}
		return nil
	})
	return out, err
}

func (f *fake) latest(out *lambda.GetFunctionConfigurationOutput) error {
	if f.failed {
		out.LastUpdateStatus, out.LastUpdateStatusReason = types.LastUpdateStatusFailed, aws.String("out of sorts")
	}
	if f.busy--; f.busy >= 0 {
		out.LastUpdateStatus = types.LastUpdateStatusInProgress
	}
	return nil
}

func (f *fake) UpdateFunctionCode(_ context.Context, in *lambda.UpdateFunctionCodeInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error) {
	out := &lambda.UpdateFunctionCodeOutput{}
	return out, f.do("UpdateFunctionCode", func() error {
		content, ok := f.objects[*in.S3Key]
		switch {
		case *in.S3Bucket != "bucket" || !ok:
			return &types.InvalidParameterValueException{Message: aws.String("no such key")}
		case f.busy > 0:
			return &types.ResourceConflictException{}
		}
		f.code, f.busy = digest(content), 2
		out.CodeSha256 = aws.String(f.code)
		return nil
	})
}

func (f *fake) PublishVersion(_ context.Context, in *lambda.PublishVersionInput, _ ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error) {
	out := &lambda.PublishVersionOutput{}
	return out, f.do("PublishVersion", func() error {
		switch {
		case in.CodeSha256 == nil || *in.CodeSha256 != f.code:
			return &types.InvalidParameterValueException{Message: aws.String("CodeSHA256 is different")}
		case f.busy > 0:
			return &types.ResourceConflictException{}
		case len(*in.Description) > 256:
			return fmt.Errorf("description of %d bytes", len(*in.Description))
		}
		if f.versions[len(f.versions)-1] != f.code {
			f.versions = append(f.versions, f.code)
		}
		out.Version = aws.String(strconv.Itoa(len(f.versions)))
		out.FunctionArn = aws.String(functionARN + ":" + *out.Version)
		return nil
	})
}
