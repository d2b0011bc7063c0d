package local_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/local"
)

// sent is a recorded request.
type sent struct {
	Who     string            `json:"who"`
	Service string            `json:"service"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   string            `json:"query"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func toTarget(service, target, body string) sent {
	return sent{"slipway-x", service, "POST", "/", "", map[string]string{"x-amz-target": target, "amz-sdk-request": "attempt=1"}, body}
}

// TestCheckRequests: what the emulator takes and AWS refuses is found, in each protocol.
func TestCheckRequests(t *testing.T) {
	cloud := start(t, local.Options{})
	check := func(t *testing.T, requests ...sent) (string, error) {
		var lines strings.Builder
		for _, r := range requests {
			r.Body = base64.StdEncoding.EncodeToString([]byte(r.Body))
			line, _ := json.Marshal(r)
			lines.Write(append(line, '\n'))
		}
		file := filepath.Join(t.TempDir(), "requests")
		if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return cloud.CheckRequests(t.Context(), file)
	}
	form := map[string]string{"content-type": "application/x-www-form-urlencoded"}
	good := []sent{
		toTarget("dynamodb", "DynamoDB_20120810.GetItem", `{"TableName":"t","Key":{"pk":{"S":"a"},"sk":{"B":"YQ=="}},"ConsistentRead":true}`),
		toTarget("states", "AWSStepFunctions.StartExecution", `{"stateMachineArn":"arn:aws:states:us-east-1:000000000000:stateMachine:slipway","name":"n","input":"{}"}`),
		{"slipway-x", "lambda", "PUT", "/2015-03-31/functions/shop/aliases/live", "", nil, `{"FunctionVersion":"2","RoutingConfig":{"AdditionalVersionWeights":{"1":0.5}}}`},
		{"slipway-x", "lambda", "GET", "/2015-03-31/functions/shop/configuration", "Qualifier=2", nil, ""},
		{"slipway-x", "s3", "PUT", "/bucket/sources/app/a%20b.tar.gz", "x-id=PutObject", map[string]string{"x-amz-meta-sha256": "00", "x-amz-date": "now", "if-none-match": "*"}, "bytes"},
		{"slipway-x", "sns", "POST", "/", "", form, "Action=Publish&Version=2010-03-31&TopicArn=arn&Message=m&MessageAttributes.entry.1.Name=app&" +
			"MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=shop"},
	}
	summary, err := check(t, good...)
	if err != nil || !strings.HasPrefix(summary, "6 requests of 6 operations: dynamodb GetItem, lambda GetFunctionConfiguration, lambda UpdateAlias, s3 PutObject, sns Publish, ") {
		t.Errorf("good requests: %q, %v", summary, err)
	}

	bad := map[string]struct {
		request sent
		want    string
	}{
		"unknown member":  {toTarget("dynamodb", "DynamoDB_20120810.GetItem", `{"TableName":"t","Key":{},"Consistent":true}`), "GetItem: has Consistent, which there is not"},
		"missing member":  {toTarget("dynamodb", "DynamoDB_20120810.PutItem", `{"TableName":"t"}`), "PutItem: lacks Item"},
		"wrong type":      {toTarget("dynamodb", "DynamoDB_20120810.Query", `{"TableName":"t","Limit":"5"}`), `Query.Limit: "5" is no integer`},
		"nested type":     {toTarget("dynamodb", "DynamoDB_20120810.GetItem", `{"TableName":"t","Key":{"pk":{"S":5}}}`), "GetItem.Key{}.S: 5 is no string"},
		"range":           {toTarget("dynamodb", "DynamoDB_20120810.Query", `{"TableName":"t","Limit":0}`), "Query.Limit: 0; want 1 to any"},
		"enum":            {toTarget("dynamodb", "DynamoDB_20120810.PutItem", `{"TableName":"t","Item":{},"ReturnValues":"SOME"}`), "'SOME' is none of NONE"},
		"length":          {toTarget("states", "AWSStepFunctions.StartExecution", `{"stateMachineArn":"a","name":"`+strings.Repeat("n", 81)+`"}`), "StartExecution.name: 81 characters; want 1 to 80"},
		"pattern":         {toTarget("logs", "Logs_20140328.CreateLogStream", `{"logGroupName":"/g","logStreamName":"a:b"}`), "'a:b' doesn't match"},
		"operation":       {toTarget("logs", "Logs_20140328.CreateLogStreams", `{}`), "is no operation"},
		"no JSON":         {toTarget("logs", "Logs_20140328.CreateLogStream", `{`), "the body is no JSON"},
		"lambda's member": {sent{"slipway-x", "lambda", "PUT", "/2015-03-31/functions/shop/code", "", nil, `{"S3Bucket":"bucket","Key":"k"}`}, "UpdateFunctionCode: has Key, which there is not"},
		"lambda's label":  {sent{"slipway-x", "lambda", "GET", "/2015-03-31/functions/a%20b/aliases/live", "", nil, ""}, "GetAlias.FunctionName: 'a b' doesn't match"},
		"lambda's query":  {sent{"slipway-x", "lambda", "GET", "/2015-03-31/functions/shop/configuration", "Alias=live", nil, ""}, "has the query parameter Alias, which there is not"},
		"S3's header":     {sent{"slipway-x", "s3", "PUT", "/bucket/key", "", map[string]string{"x-amz-storage": "GLACIER"}, ""}, "has the header x-amz-storage, which there is not"},
		"S3's enum":       {sent{"slipway-x", "s3", "PUT", "/bucket/key", "", map[string]string{"x-amz-storage-class": "COLD"}, ""}, "'COLD' is none of"},
		"SNS's member":    {sent{"slipway-x", "sns", "POST", "/", "", form, "Action=Publish&Version=2010-03-31&Text=m"}, "Publish: has Text, which there is not"},
		"SNS's attribute": {sent{"slipway-x", "sns", "POST", "/", "", form, "Action=Publish&Version=2010-03-31&Message=m&MessageAttributes.entry.1.Name=app&MessageAttributes.entry.1.Value.StringValue=x"}, "lacks DataType"},
	}
	var requests []sent
	for name, c := range bad {
		c.request.Who = name
		requests = append(requests, c.request)
	}
	_, err = check(t, requests...)
	if err == nil {
		t.Fatal("bad requests pass")
	}
	for name, c := range bad {
		if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool {
			return strings.HasPrefix(line, name+": ") && strings.Contains(line, c.want)
		}) {
			t.Errorf("%s: want %q in\n%v", name, c.want, err)
		}
	}
	if summary, err := check(t); err == nil {
		t.Errorf("nothing at all passes: %s", summary)
	}
}
