package local

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The stacks of a local cloud: Slipway itself, and the function that the demo and the tests deploy to.
const (
	SlipwayStack = "Slipway"
	ShopStack    = "SlipwayShop"
)

// What the policies in infra/local name besides the example app, so that each of their statements is judged: a function that hooks may
// call, a topic of notifications, a CodeCommit repository.
const (
	HookFunction = "slipway-hook"
	Topic        = "slipway-told"
	Repository   = "shop"
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

// Deploy creates or updates both stacks in the cloud, from the builds in Root/bin and the templates in Root/infra/local, and reads
// their outputs. It needs no CDK: a test of infra holds the templates to be what the CDK makes. It may be called again after a
// change, and by two processes at once.
func (c *Cloud) Deploy(ctx context.Context) (Outputs, error) {
	assets := filepath.Join(c.root, ".slipway", "assets") // shared by all clouds of this working tree
	unlock, err := lock(ctx, assets+".lock")
	if err != nil {
		return Outputs{}, err
	}
	defer unlock()

	fill, err := c.upload(ctx, assets)
	if err != nil {
		return Outputs{}, fmt.Errorf("upload the functions: %w", err)
	}

	names := []string{SlipwayStack, ShopStack}
	outputs, errs := make([]map[string]string, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { outputs[i], errs[i] = c.deployStack(ctx, name, fill) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return Outputs{}, err
	}

	return ParseOutputs(map[string]map[string]string{SlipwayStack: outputs[0], ShopStack: outputs[1]}, c.Endpoint())
}

// deployStack fills a template in, uploads it (it is longer than a request may be), and deploys it.
func (c *Cloud) deployStack(ctx context.Context, name string, fill *strings.Replacer) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(c.root, "infra", "local", name+".template.json"))
	if err != nil {
		return nil, err
	}
	whole, err := withTargets(text, c.targets)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	filled := fill.Replace(whole)
	if _, after, lacks := strings.Cut(filled, placeholder); lacks {
		function, _, _ := strings.Cut(after, ".zip")
		return nil, fmt.Errorf("%s is missing; build it with: make functions shop", filepath.Join("bin/functions", function, bootstrap))
	}

	key := name + ".template.json"
	_, err = s3.NewFromConfig(c.Config(), pathStyle).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(assetsBucket),
		Key:    aws.String(key),
		Body:   strings.NewReader(filled),
	})
	if err != nil {
		return nil, err
	}

	outputs, err := c.apply(ctx, name, "https://s3."+c.where().Region+".amazonaws.com/"+assetsBucket+"/"+key)
	if err != nil {
		return nil, fmt.Errorf("deploy stack %s: %w", name, err)
	}
	return outputs, nil
}

// arch is this machine's processor as Lambda spells it: the emulator runs functions right here.
func arch() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// ParseOutputs reads the outputs of both stacks, by the stack's name. Every output that Slipway's stack promises must be there.
func ParseOutputs(stacks map[string]map[string]string, endpoint string) (Outputs, error) {
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
