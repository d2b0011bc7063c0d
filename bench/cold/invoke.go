package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/bench/rig"
	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// invoke measures what a caller of a cold function waits for: a first invocation on the local cloud, with the unpacking and
// the process. Each is of a function made for it alone; its event is refused at once by every handler.
func invoke(ctx context.Context, bins []*binary, runs int) error {
	cloud, err := local.Start(ctx, local.Options{Root: ".."})
	if err != nil {
		return err
	}
	defer cloud.Stop() //nolint:errcheck // what was measured counts
	client := lambda.NewFromConfig(cloud.Config())
	role, err := localtest.Role(ctx, cloud, "cold", localtest.Trust("lambda"), "")
	if err != nil {
		return err
	}
	type made struct {
		*binary
		function string
	}
	var all []made
	for i, b := range bins {
		program, err := os.ReadFile(b.path)
		if err != nil {
			return err
		}
		code, err := rig.Zip(map[string][]byte{bootstrap: program})
		if err != nil {
			return err
		}
		for n := range runs {
			f := made{b, fmt.Sprintf("cold-%d-%d", i, n)}
			if err := create(ctx, client, f.function, role, code); err != nil {
				return err
			}
			all = append(all, f)
		}
	}
	time.Sleep(2 * time.Second) // until the last is active
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, f := range all {
		begin := time.Now()
		if _, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &f.function, Payload: []byte("{}")}); err != nil {
			return err
		}
		f.first = append(f.first, time.Since(begin))
	}
	return nil
}

func create(ctx context.Context, client *lambda.Client, name, role string, code []byte) error {
	arch := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		arch = types.ArchitectureArm64
	}
	variables := map[string]string{}
	for _, name := range []string{"DEPLOYMENTS_TABLE", "FLAGS_TABLE", "BUCKET", "EVENT_BUS", "LOG_GROUP", "STATE_MACHINE_ARN", "WEBHOOK_SECRET", "BUILD_ROLE", "BUILD_PROJECT", "JOB_ROLE"} {
		variables["SLIPWAY_"+name] = "none"
	}
	variables["SLIPWAY_RUNNER"], variables["SLIPWAY_GITHUB_URL"] = "function", "https://api.github.com"
	_, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: types.RuntimeProvidedal2023, Handler: aws.String(bootstrap), Architectures: []types.Architecture{arch},
		Role: &role, Code: &types.FunctionCode{ZipFile: code},
		Environment: &types.Environment{Variables: variables}, Timeout: aws.Int32(20),
	})
	return err
}
