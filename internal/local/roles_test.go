package local_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// calling is a function that makes the AWS calls that its event lists, by AWS's own library, and answers how each ended.
const calling = `#!PYTHON
import json, os, urllib.request as http
import botocore.session
from botocore.exceptions import ClientError
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
session = botocore.session.Session()
def call(service, operation, parameters):
    try:
        client = session.create_client(service)
        client._make_api_call(operation, parameters)
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]
while True:
    with http.urlopen(api + "next") as event:
        id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        calls = json.load(event)
    answer = json.dumps([call(*each) for each in calls]).encode()
    http.urlopen(http.Request(api + id + "/response", data=answer)).read()
`

// caller makes a function of that role, which makes calls, and returns what invoking it answers.
func caller(t *testing.T, cloud *local.Cloud, name, role string) func(calls ...[]any) []string {
	t.Helper()
	python, err := filepath.Abs(filepath.Join(root, ".slipway/venv/bin/python3"))
	if err != nil {
		t.Fatal(err)
	}
	client := lambda.NewFromConfig(cloud.Config())
	_, err = client.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: &role, Timeout: aws.Int32(60),
		Code: &lambdatypes.FunctionCode{ZipFile: bundle(t, strings.Replace(calling, "PYTHON", python, 1))}, Publish: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(calls ...[]any) (answers []string) {
		t.Helper()
		event, err := json.Marshal(calls)
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: event})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Payload, &answers); err != nil || len(answers) != len(calls) {
			return []string{string(out.Payload)}
		}
		return answers
	}
}

type params = map[string]any

// allowing is a policy of one statement for each action, with its resource.
func allowing(grants ...[2]string) string {
	var statements []params
	for _, g := range grants {
		statements = append(statements, params{"Effect": "Allow", "Action": g[0], "Resource": g[1]})
	}
	text, _ := json.Marshal(params{"Version": "2012-10-17", "Statement": statements})
	return string(text)
}

// here is an ARN of the cloud's account and region.
func here(service, name string) string {
	return fmt.Sprintf("arn:aws:%s:%s:000000000000:%s", service, local.Region, name)
}

// TestRolesAreJudged: a function may do what its role says and nothing else, each call judged on the resource that AWS takes.
func TestRolesAreJudged(t *testing.T) {
	cloud := start(t, local.Options{Calls: true})
	ctx := t.Context()
	db, store := dynamodb.NewFromConfig(cloud.Config()), s3.NewFromConfig(cloud.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{TableName: aws.String("mine"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		KeySchema:            []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash}},
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("code")}); err != nil {
		t.Fatal(err)
	}
	const tls = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::code","arn:aws:s3:::code/*"],
		"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
	if _, err := store.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String("code"), Policy: aws.String(tls)}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"open/f.zip", "shut/f.zip"} {
		if _, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("code"), Key: &key, Body: strings.NewReader(string(bundle(t, "#!/bin/sh\n")))}); err != nil {
			t.Fatal(err)
		}
	}

	role, err := localtest.Role(ctx, cloud, "worker", localtest.Trust("lambda"), allowing(
		[2]string{"dynamodb:GetItem", here("dynamodb", "table/mine")},
		[2]string{"dynamodb:PutItem", here("dynamodb", "table/mine")},
		[2]string{"s3:GetObject", "arn:aws:s3:::code/open/*"},
		[2]string{"logs:CreateLogStream", here("logs", "log-group:/mine:*")},
		[2]string{"lambda:GetAlias", here("lambda", "function:worker")},
		[2]string{"lambda:UpdateFunctionCode", here("lambda", "function:target")},
		[2]string{"lambda:GetFunctionConfiguration", here("lambda", "function:worker:*")},
		[2]string{"states:SendTaskSuccess", here("states", "stateMachine:slipway")},
	))
	if err != nil {
		t.Fatal(err)
	}
	call := caller(t, cloud, "worker", role)
	caller(t, cloud, "target", role)
	const denied = "AccessDeniedException"
	for _, c := range []struct {
		service, operation string
		given              params
		want               string
	}{
		{"dynamodb", "GetItem", params{"TableName": "mine", "Key": params{"pk": params{"S": "a"}}}, "done"},
		{"dynamodb", "DeleteItem", params{"TableName": "mine", "Key": params{"pk": params{"S": "a"}}}, denied},
		{"dynamodb", "GetItem", params{"TableName": "another", "Key": params{"pk": params{"S": "a"}}}, denied},
		{"dynamodb", "TransactWriteItems", params{"TransactItems": []params{{"Put": params{"TableName": "mine", "Item": params{"pk": params{"S": "a"}}}}}}, "done"},
		{"dynamodb", "TransactWriteItems", params{"TransactItems": []params{{"Delete": params{"TableName": "mine", "Key": params{"pk": params{"S": "a"}}}}}}, denied},
		{"s3", "GetObject", params{"Bucket": "code", "Key": "open/f.zip"}, "done"},
		{"s3", "GetObject", params{"Bucket": "code", "Key": "shut/f.zip"}, "AccessDenied"},
		{"logs", "CreateLogStream", params{"logGroupName": "/mine", "logStreamName": "s"}, "ResourceNotFoundException"},
		{"logs", "CreateLogStream", params{"logGroupName": "/theirs", "logStreamName": "s"}, denied},
		{"lambda", "GetAlias", params{"FunctionName": "worker", "Name": "live"}, "ResourceNotFoundException"},
		{"lambda", "UpdateAlias", params{"FunctionName": "worker", "Name": "live", "FunctionVersion": "1"}, denied},
		{"lambda", "ListAliases", params{"FunctionName": "worker"}, denied},
		{"lambda", "GetFunctionConfiguration", params{"FunctionName": "worker", "Qualifier": "1"}, "done"},
		{"lambda", "GetFunctionConfiguration", params{"FunctionName": "worker"}, denied},
		{"lambda", "UpdateFunctionCode", params{"FunctionName": "target", "S3Bucket": "code", "S3Key": "open/f.zip"}, "done"},
		{"lambda", "UpdateFunctionCode", params{"FunctionName": "target", "S3Bucket": "code", "S3Key": "shut/f.zip"}, denied},
		{"stepfunctions", "SendTaskSuccess", params{"taskToken": "t", "output": "{}"}, "TaskTimedOut TaskDoesNotExist InvalidToken"},
		{"stepfunctions", "SendTaskFailure", params{"taskToken": "t"}, denied},
	} {
		if got := call([]any{c.service, c.operation, c.given})[0]; !slices.Contains(strings.Fields(c.want), got) {
			t.Errorf("%s %s %v: %s, want %s", c.service, c.operation, c.given, got, c.want)
		}
	}

	calls, err := localtest.Calls(cloud)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []localtest.Call{
		{Who: "worker", Action: "lambda:GetAlias", Resource: here("lambda", "function:worker"), Allowed: true},
		{Who: "worker", Action: "lambda:GetFunctionConfiguration", Resource: here("lambda", "function:worker:1"), Allowed: true},
		{Who: "worker", Action: "dynamodb:DeleteItem", Resource: here("dynamodb", "table/mine"), Allowed: false},
		{Who: "worker", Action: "s3:GetObject", Resource: "arn:aws:s3:::code/shut/f.zip", Allowed: false},
	} {
		if !slices.Contains(calls, want) {
			t.Errorf("not recorded: %+v", want)
		}
	}
}

// TestStandIns: what a test makes is judged, and recorded, as what it stands for.
func TestStandIns(t *testing.T) {
	cloud := start(t, local.Options{Calls: true, StandIns: [][2]string{{`function:test-\d+$`, "function:shop"}}})
	role, err := localtest.Role(t.Context(), cloud, "worker", localtest.Trust("lambda"), allowing([2]string{"lambda:GetAlias", here("lambda", "function:shop")}))
	if err != nil {
		t.Fatal(err)
	}
	call := caller(t, cloud, "worker", role)
	got := call([]any{"lambda", "GetAlias", params{"FunctionName": "test-12", "Name": "live"}}, []any{"lambda", "GetAlias", params{"FunctionName": "tests-12", "Name": "live"}})
	if want := []string{"ResourceNotFoundException", "AccessDeniedException"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTrustIsJudged: Lambda, CodeBuild and Step Functions assume a role only where its trust policy lets them, for this account.
func TestTrustIsJudged(t *testing.T) {
	cloud := start(t, local.Options{})
	list := []any{"dynamodb", "ListTables", params{}}
	for name, trust := range map[string]string{
		"stranger": localtest.Trust("ec2"),
		"foreign":  strings.Replace(localtest.Trust("lambda"), "000000000000", "111111111111", 1),
	} {
		role, err := localtest.Role(t.Context(), cloud, name, trust, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(caller(t, cloud, name, role)(list), " "); !strings.Contains(got, "cannot be assumed by lambda.amazonaws.com") {
			t.Errorf("%s: %s, want an error that the role can't be assumed", name, got)
		}
	}
	role, err := localtest.Role(t.Context(), cloud, "right", localtest.Trust("lambda"), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := caller(t, cloud, "right", role)(list); !slices.Equal(got, []string{"AccessDeniedException"}) {
		t.Errorf("a role that may nothing: %v", got)
	}
	_, err = lambda.NewFromConfig(cloud.Config()).CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("orphan"), Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Role: aws.String("arn:aws:iam::000000000000:role/none"), Code: &lambdatypes.FunctionCode{ZipFile: bundle(t, "#!/bin/sh\n")}})
	if err == nil || !strings.Contains(err.Error(), "role with name none cannot be found") {
		t.Errorf("a function of a role that isn't there: %v", err)
	}
}
