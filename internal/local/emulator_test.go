package local_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/slipway-cd/slipway/internal/local"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// bundle zips an executable named bootstrap.
func bundle(t *testing.T, bootstrap string) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	entry, err := archive.CreateHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(entry, bootstrap)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func createFunction(t *testing.T, cloud *local.Cloud, bootstrap string) {
	t.Helper()
	role, err := localtest.Role(t.Context(), cloud, "r", localtest.Trust("lambda"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = lambda.NewFromConfig(cloud.Config()).CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("f"), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Role: &role, Timeout: aws.Int32(30),
		Code: &types.FunctionCode{ZipFile: bundle(t, bootstrap)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// answering is a function that answers one word. Python is there: MiniStack runs on it.
const answering = `#!/usr/bin/env python3
import os, urllib.request as http
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with http.urlopen(api + "next") as event:
        id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        event.read()
    http.urlopen(http.Request(api + id + "/response", data=b'"WORD"')).read()
`

// AWS's emulators ignore an alias's weights; the start script makes ours honour them, by Invoke and by function URL.
func TestWeightedAlias(t *testing.T) {
	cloud := start(t, local.Options{})
	client := lambda.NewFromConfig(cloud.Config())
	createFunction(t, cloud, strings.Replace(answering, "WORD", "one", 1))
	publish := func() string {
		version, err := client.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("f")})
		if err != nil {
			t.Fatal(err)
		}
		return *version.Version
	}
	first := publish()
	_, err := client.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("f"),
		ZipFile: bundle(t, strings.Replace(answering, "WORD", "two", 1))})
	if err != nil {
		t.Fatal(err)
	}
	second := publish()
	_, err = client.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("f"), Name: aws.String("live"),
		FunctionVersion: aws.String(first), RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{second: 0.5}}})
	if err != nil {
		t.Fatal(err)
	}
	url, err := client.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("f"),
		Qualifier: aws.String("live"), AuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		t.Fatal(err)
	}
	invoked, fetched := map[string]int{}, map[string]int{}
	for range 40 { // that all 40 of a kind go one way has a chance of 2 in 10^12
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Qualifier: aws.String("live")})
		if err != nil {
			t.Fatal(err)
		}
		invoked[strings.Trim(string(out.Payload), `"`)]++
		response, err := http.Get(local.LocalURL(cloud.Endpoint(), *url.FunctionUrl) + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fetched[strings.Trim(string(body), `"`)]++
	}
	for way, counts := range map[string]map[string]int{"Invoke": invoked, "function URL": fetched} {
		if counts["one"] == 0 || counts["two"] == 0 || counts["one"]+counts["two"] != 40 {
			t.Errorf("%s: %v, want both versions and nothing else", way, counts)
		}
	}
}

// A script runs in a process group of its own, so killing the emulator's group would miss it.
func TestStopEndsFunctionsAndTheirScripts(t *testing.T) {
	cloud := start(t, local.Options{})
	note := filepath.Join(t.TempDir(), "pids")
	client := lambda.NewFromConfig(cloud.Config())
	createFunction(t, cloud, "#!/bin/sh\nset -m\nsleep 300 &\necho $$ $! > "+note+".new; mv "+note+".new "+note+"\nwait\n")
	_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent})
	if err != nil {
		t.Fatal(err)
	}
	var function, script int
	eventually(t, "the function runs", func() bool {
		text, _ := os.ReadFile(note)
		n, _ := fmt.Sscan(string(text), &function, &script)
		return n == 2
	})
	if group, _ := syscall.Getpgid(script); group == function || !running(function) || !running(script) {
		t.Fatalf("function %d and its script %d (group %d) don't run as this test wants", function, script, group)
	}
	if err := cloud.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are gone", func() bool { return !running(function) && !running(script) })
}
