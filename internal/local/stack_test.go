package local_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/local"
)

func TestLocalURL(t *testing.T) {
	const endpoint = "http://127.0.0.1:4566"
	for address, want := range map[string]string{
		"https://abc123.execute-api.us-east-1.amazonaws.com/prod/":   endpoint + "/_aws/execute-api/abc123/prod",
		"https://abc123.execute-api.eu-west-1.amazonaws.com/prod":    endpoint + "/_aws/execute-api/abc123/prod",
		"https://abc.lambda-url.us-east-1.on.aws/":                   endpoint + "/_aws/lambda-url/abc",
		"https://example.com/prod/":                                  "https://example.com/prod/",
		"http://127.0.0.1:4566/_aws/lambda-url/abc":                  "http://127.0.0.1:4566/_aws/lambda-url/abc",
		"arn:aws:states:us-east-1:000000000000:stateMachine:slipway": "arn:aws:states:us-east-1:000000000000:stateMachine:slipway",
		"slipway":                     "slipway",
		"https://%zz.execute-api.x/y": "https://%zz.execute-api.x/y",
	} {
		if got := local.LocalURL(endpoint, address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

const outputs = `{"Slipway":{"Api":"https://a.execute-api.us-east-1.amazonaws.com/prod/","StateMachineArn":"arn:m",
"DeploymentsTable":"d","FlagsTable":"f","FlagsUrl":"https://o.lambda-url.us-east-1.on.aws/","Bucket":"b","EventBus":"e","LogGroup":"/l"},
"SlipwayShop":{"ShopUrl":"https://s.lambda-url.us-east-1.on.aws/"}}`

func stacks(t *testing.T, text string) (outputs map[string]map[string]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &outputs); err != nil {
		t.Fatal(err)
	}
	return outputs
}

func TestParseOutputs(t *testing.T) {
	got, err := local.ParseOutputs(stacks(t, outputs), "http://127.0.0.1:1")
	want := local.Outputs{API: "http://127.0.0.1:1/_aws/execute-api/a/prod", StateMachineARN: "arn:m", DeploymentsTable: "d",
		FlagsTable: "f", FlagsURL: "http://127.0.0.1:1/_aws/lambda-url/o", Bucket: "b", EventBus: "e", LogGroup: "/l", ShopURL: "http://127.0.0.1:1/_aws/lambda-url/s"}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, name := range []string{"Api", "StateMachineArn", "DeploymentsTable", "FlagsTable", "FlagsUrl", "Bucket", "EventBus", "LogGroup", "ShopUrl"} {
		lacking := strings.Replace(outputs, `"`+name+`"`, `"Other"`, 1)
		if _, err := local.ParseOutputs(stacks(t, lacking), ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// A shell and a child process must see the same.
func TestWriteEnv(t *testing.T) {
	state := t.TempDir()
	cloud := start(t, local.Options{State: state})
	out := local.Outputs{API: "http://127.0.0.1:1/x", StateMachineARN: "arn:m", DeploymentsTable: "it's $HOME; a `b`", FlagsTable: "f", Bucket: "b", EventBus: "e"}
	file, err := cloud.WriteEnv(out)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `. "$0"; env`, file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	shell, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range cloud.Environ(out) {
		if !strings.Contains("\n"+string(shell), "\n"+line+"\n") {
			t.Errorf("a shell that sourced it has no %s", line)
		}
	}
	if err := cloud.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(state, local.EnvFile)); !os.IsNotExist(err) {
		t.Error("the file outlived its cloud")
	}
}

func TestInstallRedoesAHalfFinishedOne(t *testing.T) {
	fake := t.TempDir()
	log := filepath.Join(fake, "log")
	for _, name := range []string{"python3", "npm"} { // they only write down that they ran
		script := "#!/bin/sh\necho " + name + ` "$@" >> ` + log + "\nmkdir -p bin && cp \"$0\" bin/python3\n[ ! -e " + fake + "/fail ] || exit 1\n"
		if err := os.WriteFile(filepath.Join(fake, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	dir := t.TempDir()
	install := func() (int, error) {
		_ = os.Remove(log)
		_, err := local.Install(t.Context(), dir, nil)
		ran, _ := os.ReadFile(log)
		return strings.Count(string(ran), "\n"), err
	}
	if err := os.WriteFile(filepath.Join(fake, "fail"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := install(); err == nil || !strings.Contains(err.Error(), "npm ci") {
		t.Errorf("npm failed: %v, want an error with its command", err)
	}
	if err := os.Remove(filepath.Join(fake, "fail")); err != nil {
		t.Fatal(err)
	}
	if ran, err := install(); ran != 4 || err != nil {
		t.Errorf("after a failure: %d commands, %v; want all four again", ran, err)
	}
	if ran, err := install(); ran != 0 || err != nil {
		t.Errorf("when all is there: %d commands, %v; want none", ran, err)
	}
}
