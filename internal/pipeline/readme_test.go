package pipeline_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/local/localtest"
)

// awsCommand stands in for the AWS CLI where the machine has none: the same options, sent by botocore, on which the CLI is built.
const awsCommand = `#!%s
import json, os, re, sys, botocore.session
words = lambda name: "".join(part.title() for part in name.split("-"))
service, command, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
client = botocore.session.get_session().create_client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
shape = client.meta.service_model.operation_model(words(command)).input_shape
options, i = {}, 0
while i < len(rest):
    name = rest[i].removeprefix("--")
    if name == "zip-file":
        options["Code"], i = {"ZipFile": open(rest[i + 1].removeprefix("fileb://"), "rb").read()}, i + 2
    elif shape.members[words(name)].type_name == "boolean":
        options[words(name)], i = True, i + 1
    else:
        options[words(name)], i = rest[i + 1], i + 2
print(client._make_api_call(words(command), options))
`

// TestReadmeFirstApp runs the README's lines, by which a newcomer's own app goes live, as they stand there.
func TestReadmeFirstApp(t *testing.T) {
	newApp(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "<!-- begin first app -->\n```sh\n")
	lines, _, ok := strings.Cut(after, "```\n<!-- end first app -->")
	if n := strings.Count(lines, "\n"); !ok || n > 8 {
		t.Fatalf("the README has %d lines, want 8 at most", n)
	}

	for _, aws := range []string{"the machine's", "the stand-in"} {
		t.Run(aws, func(t *testing.T) {
			home, bin := t.TempDir(), t.TempDir()
			if _, err := exec.LookPath("aws"); err != nil || aws == "the stand-in" {
				script := strings.Replace(awsCommand, "%s", filepath.Join(root, ".slipway/venv/bin/python3"), 1)
				if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			firstApp(t, root, home, bin, lines)
		})
	}
}

// firstApp runs the lines in a home of their own, and asks the app.
func firstApp(t *testing.T, root, home, bin, lines string) {
	name := "hello"
	forget := func() { // it is in no test's way when a cloud stays
		alias := "live"
		_, _ = world.fn.DeleteFunctionUrlConfig(context.Background(), &lambda.DeleteFunctionUrlConfigInput{FunctionName: &name, Qualifier: &alias})
		_, _ = world.fn.DeleteFunction(context.Background(), &lambda.DeleteFunctionInput{FunctionName: &name})
	}
	forget()
	t.Cleanup(forget)

	var env []string
	for _, each := range world.cloud.Environ(world.out) {
		variable, value, _ := strings.Cut(each, "=")
		env = append(env, "export "+variable+"='"+value+"'")
	}
	fixed := []string{
		". .slipway/local.env", "{ " + strings.Join(env, "; ") + "; }", // of this test's cloud
		"$PWD/bin:", bin + ":" + filepath.Join(root, "bin") + ":",
		"/tmp/hello", filepath.Join(home, "hello"),
		"hello-role", localtest.Name("hello"), // a role stays where it was made
	}
	cmd := exec.Command("sh", "-ec", strings.NewReplacer(fixed...).Replace(lines))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "HOME="+home, "GIT_AUTHOR_NAME=new", "GIT_AUTHOR_EMAIL=new@example.com", "GIT_COMMITTER_NAME=new", "GIT_COMMITTER_EMAIL=new@example.com",
		"AWS_PAGER=", "SLIPWAY_API=")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nsuccess after ") {
		t.Fatalf("%v\n%s", err, out)
	}

	app, err := world.store.App(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(app.Environments["production"].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "hello, world" {
		t.Errorf("%s answers %q, %v", app.Environments["production"].URL, body, err)
	}
	all, _, err := world.store.List(t.Context(), deploy.Query{App: name, Limit: 1})
	if err != nil || len(all) != 1 || all[0].Status != deploy.Success {
		t.Errorf("%+v, %v", all, err)
	}
}
