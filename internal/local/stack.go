package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

const account = "000000000000" // everybody's, in an emulator

// The stacks of a local cloud: Slipway itself, and the function that the demo and the tests deploy to.
const (
	SlipwayStack = "Slipway"
	ShopStack    = "SlipwayShop"
)

// Outputs is what the stacks say about themselves, with addresses that lead to the local cloud.
type Outputs struct {
	API              string // base URL, without a slash at its end
	StateMachineARN  string
	DeploymentsTable string
	FlagsTable       string
	FlagsURL         string // base URL for applications, OFREP and flagd, without a slash at its end
	Bucket           string
	EventBus         string
	LogGroup         string // of the scripts' output
	ShopURL          string // base URL of the example app, without a slash at its end
}

// Deploy puts both stacks into the cloud, from the builds in Root/bin, and reads their outputs. It may be called again
// after a change, and by two processes at once.
func (c *Cloud) Deploy(ctx context.Context) (Outputs, error) {
	if err := c.bootstrap(ctx); err != nil {
		return Outputs{}, fmt.Errorf("bootstrap the local account: %w", err)
	}
	assembly := filepath.Join(c.root, ".slipway", "assembly") // one for all: it keeps the functions' zips
	unlock, err := lock(ctx, assembly+".lock")
	if err != nil {
		return Outputs{}, err
	}
	defer unlock()
	if err := c.synthesize(ctx, assembly); err != nil {
		return Outputs{}, err
	}
	file := filepath.Join(c.State, "outputs.json")
	err = command(ctx, c.root, c.cdkEnv(), c.tools.CDK, "deploy", "--app", assembly, SlipwayStack, ShopStack,
		"--method", "direct", "--concurrency", "2", "--require-approval", "never", "--outputs-file", file,
		"--no-notices", "--no-version-reporting", "--no-color", "--ci")
	if err != nil {
		return Outputs{}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Outputs{}, err
	}
	return ParseOutputs(text, c.Endpoint())
}

// bootstrap makes the two things of the CDK's bootstrap contract that matter here: the bucket that takes the functions'
// zips, and the version that the CDK looks for. `cdk bootstrap` would make five roles too, which nobody checks here, and
// take three seconds.
func (c *Cloud) bootstrap(ctx context.Context) error {
	const qualifier = "hnb659fds" // the CDK's own, where an account has no other
	_, err := s3.NewFromConfig(c.Config()).CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: aws.String("cdk-" + qualifier + "-assets-" + account + "-" + c.where().Region)})
	var ours *s3types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &ours) {
		return err
	}
	_, err = ssm.NewFromConfig(c.Config()).PutParameter(ctx, &ssm.PutParameterInput{Type: ssmtypes.ParameterTypeString,
		Name: aws.String("/cdk-bootstrap/" + qualifier + "/version"), Value: aws.String("30"), Overwrite: aws.Bool(true)})
	return err
}

// synthesize runs the CDK app, unless the assembly is already the one of these builds.
func (c *Cloud) synthesize(ctx context.Context, assembly string) error {
	want, err := c.fingerprint()
	if err != nil {
		return err
	}
	marker := filepath.Join(assembly, ".builds")
	if have, err := os.ReadFile(marker); err == nil && string(have) == want {
		return nil
	}
	zips, err := replace(assembly)
	if err != nil {
		return err
	}
	if err := command(ctx, c.root, c.cdkEnv(), "bin/synth", "-o", assembly, "-c", "arch="+arch(), "-c", "removal=destroy", "-c", "runner=function"); err != nil {
		return err
	}
	for _, zip := range zips {
		asset := "asset." + strings.TrimSuffix(filepath.Base(zip), ".zip")
		if _, err := os.Stat(filepath.Join(assembly, asset)); err != nil {
			_ = os.Remove(zip) // of a build that is no more
		}
	}
	return os.WriteFile(marker, []byte(want), 0o644)
}

// replace empties the assembly, its marker first, but for the zips that the CDK made of functions: those take it longer
// than all the rest.
func replace(assembly string) (zips []string, err error) {
	old, err := filepath.Glob(filepath.Join(assembly, "*")) // sorted; names that begin with a dot are among them
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		if filepath.Base(path) != ".cache" {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	zips, globErr := filepath.Glob(filepath.Join(assembly, ".cache", "*.zip"))
	return zips, errors.Join(err, globErr)
}

// fingerprint changes with all that the assembly is made of.
func (c *Cloud) fingerprint() (string, error) {
	files, err := filepath.Glob(filepath.Join(c.root, "bin", "functions", "*", "bootstrap"))
	if err != nil {
		return "", err
	}
	for _, name := range []string{"bin/synth", "cdk.json", "statemachine.asl.json"} {
		files = append(files, filepath.Join(c.root, name))
	}
	hash := sha256.New()
	for _, name := range files {
		if err := addFile(hash, name); err != nil {
			return "", fmt.Errorf("not built yet (make does it): %w", err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func addFile(to io.Writer, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := fmt.Fprintln(to, name); err != nil {
		return err
	}
	_, err = io.Copy(to, file)
	return err
}

// cdkEnv has this cloud's credentials alone, and keeps the CDK from calling home.
func (c *Cloud) cdkEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(line string) bool {
		return strings.HasPrefix(line, "AWS_") || strings.HasPrefix(line, "CDK_")
	})
	env = append(env, c.Env()...)
	return append(env, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"CDK_DISABLE_CLI_TELEMETRY=true", "CDK_DISABLE_VERSION_CHECK=1", "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION=1",
		"NO_PROXY="+host, "no_proxy="+host)
}

// arch is this machine's processor as Lambda spells it: the emulator runs functions right here.
func arch() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// ParseOutputs reads what the CDK's --outputs-file holds. Every output that Slipway's stack promises must be there.
func ParseOutputs(text []byte, endpoint string) (Outputs, error) {
	var stacks map[string]map[string]string
	if err := json.Unmarshal(text, &stacks); err != nil {
		return Outputs{}, fmt.Errorf("the stacks' outputs: %w", err)
	}
	var o Outputs
	for _, each := range []struct {
		stack, name string
		to          *string
	}{
		{SlipwayStack, "Api", &o.API},
		{SlipwayStack, "StateMachineArn", &o.StateMachineARN},
		{SlipwayStack, "DeploymentsTable", &o.DeploymentsTable},
		{SlipwayStack, "FlagsTable", &o.FlagsTable},
		{SlipwayStack, "FlagsUrl", &o.FlagsURL},
		{SlipwayStack, "Bucket", &o.Bucket},
		{SlipwayStack, "EventBus", &o.EventBus},
		{SlipwayStack, "LogGroup", &o.LogGroup},
		{ShopStack, "ShopUrl", &o.ShopURL},
	} {
		value := stacks[each.stack][each.name]
		if value == "" {
			return Outputs{}, fmt.Errorf("stack %s has no output %s", each.stack, each.name)
		}
		*each.to = LocalURL(endpoint, value)
	}
	return o, nil
}

// LocalURL rewrites the address of a REST API's stage or of a function URL, as CloudFormation gives it, to the one at
// which the emulator answers, and cuts a slash at its end. Anything else comes back unchanged. LocalStack gives such hosts
// below its own, as in ID.lambda-url.us-east-1.127.0.0.1, which no resolver knows.
func LocalURL(endpoint, address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && !strings.HasSuffix(u.Host, "."+strings.TrimPrefix(endpoint, "http://")) {
		return address
	}
	id, domain, _ := strings.Cut(u.Hostname(), ".")
	service, _, _ := strings.Cut(domain, ".")
	switch service {
	case "execute-api", "lambda-url":
		return strings.TrimSuffix(endpoint+"/_aws/"+service+"/"+id+u.Path, "/")
	}
	return address
}
