package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/slipway-cd/slipway/bench/meter"
	"github.com/slipway-cd/slipway/bench/rig"
)

// stages are the functions in the order in which a deployment meets them.
var stages = []string{"prepare", "test", "build", "admit", "deploy", "shift", "healthcheck", "settle"}

// attach puts a meter in front of every function.
func attach(ctx context.Context, r *rig.Rig, root string) ([]*function, error) {
	client := lambda.NewFromConfig(r.Cloud.Config())
	var functions []*function
	for _, name := range stages {
		m, err := meter.New(r.Cloud.Endpoint())
		if err != nil {
			return nil, err
		}
		code, err := divert(filepath.Join(root, "bin", "functions", name, "bootstrap"), m.URL)
		if err != nil {
			return nil, err
		}
		out, err := client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("slipway-" + name), ZipFile: code})
		if err != nil {
			return nil, err
		}
		functions = append(functions, &function{name: name, memoryMB: int64(*out.MemorySize), meter: m, other: map[string]int{}})
	}
	return functions, nil
}

// divert wraps a function's program, as it is, into a script that sends it to another address: the emulator overwrites
// what the function's own variables say of that.
func divert(program, url string) ([]byte, error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	script := fmt.Sprintf("#!/bin/sh\nAWS_ENDPOINT_URL=%s exec \"$LAMBDA_TASK_ROOT/program\"\n", url)
	return rig.Zip(map[string][]byte{"bootstrap": []byte(script), "program": text})
}
