package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/slipway-cd/slipway/bench/rig"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

var ourFunction = regexp.MustCompile(`arn:aws:lambda:[a-z0-9-]+:[0-9]+:function:slipway-([a-z]+)`)

// twin makes the idle machine: the deployed definition, logging and all, with an idle function for each of ours.
func twin(ctx context.Context, r *rig.Rig, idle string) (arn string, err error) {
	steps := sfn.NewFromConfig(r.Cloud.Config())
	ours, err := steps.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &r.Out.StateMachineARN})
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(filepath.Join(idle, "bootstrap"))
	if err != nil {
		return "", err
	}
	code, err := rig.Zip(map[string][]byte{"bootstrap": program})
	if err != nil {
		return "", err
	}
	functions := map[string]string{} // ours to its stand-in
	for _, found := range ourFunction.FindAllStringSubmatch(*ours.Definition, -1) {
		functions[found[0]] = "idle-" + found[1]
	}
	client := lambda.NewFromConfig(r.Cloud.Config())
	role, err := localtest.Role(ctx, r.Cloud, "idle", localtest.Trust("lambda"),
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "states:SendTaskSuccess", "Resource": "*"}]}`)
	if err != nil {
		return "", err
	}
	for _, arn := range slices.Sorted(maps.Keys(functions)) {
		made, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: aws.String(functions[arn]), Role: &role, Runtime: types.RuntimeProvidedal2023,
			Handler: aws.String("bootstrap"), Code: &types.FunctionCode{ZipFile: code}, Timeout: aws.Int32(60), MemorySize: aws.Int32(512),
		})
		if err != nil {
			return "", fmt.Errorf("make %s: %w", functions[arn], err)
		}
		functions[arn] = *made.FunctionArn
	}
	definition := ourFunction.ReplaceAllStringFunc(*ours.Definition, func(arn string) string { return functions[arn] })
	made, err := steps.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String("idle"), Definition: &definition, RoleArn: ours.RoleArn, LoggingConfiguration: ours.LoggingConfiguration,
	})
	if err != nil {
		return "", err
	}
	return *made.StateMachineArn, nil
}
