package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type initOptions struct {
	*program
	name, function, alias, url string
}

func newInit(p *program) *cobra.Command {
	opts := &initOptions{program: p}
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Write app.yaml and slipway.yaml for a Lambda function",
		Long: `Write app.yaml and slipway.yaml here, for an app that is a Lambda function, and say
which AWS commands make the function, its alias and its URL where they are not there
yet. No file is overwritten.`,
		Example: "  slipway init hello\n  slipway init shop --function shop-api --alias live --url https://shop.example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.arguments(args); err != nil {
				return usageError{err}
			}
			return opts.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.function, "function", "", "the Lambda function's name (default the app's)")
	flags.StringVar(&opts.alias, "alias", "live", "the function's alias that serves")
	flags.StringVar(&opts.url, "url", "", "where the app answers (default the alias's function URL)")
	return cmd
}

func (o *initOptions) arguments(args []string) error {
	switch {
	case len(args) != 1:
		return errors.New("slipway init takes the app's name")
	case !deploy.ValidName(args[0]):
		return fmt.Errorf("%q is not a name; want %s", args[0], deploy.NameRule)
	}
	o.name = args[0]
	if o.function == "" {
		o.function = o.name
	}
	return nil
}

// run writes the two files, or neither.
func (o *initOptions) run(ctx context.Context) error {
	found, err := o.look(ctx)
	if err != nil {
		return err
	}
	files := map[string]string{config.AppFile: o.appYAML(), deploy.ConfigFile: o.slipwayYAML()}
	if _, err := config.ParseApp([]byte(files[config.AppFile])); err != nil {
		return err
	}
	for _, name := range []string{config.AppFile, deploy.ConfigFile} {
		if _, err := os.Lstat(filepath.Join(o.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; slipway init overwrites nothing", name)
		}
	}
	for _, name := range []string{config.AppFile, deploy.ConfigFile} {
		if err := writeNew(filepath.Join(o.dir, name), files[name]); err != nil {
			return err
		}
	}
	return o.say(found)
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// placeholder stands in app.yaml until there is a URL.
const placeholderURL = "https://hello.example.com"

func (o *initOptions) appYAML() string {
	address := o.url
	if address == "" {
		address = placeholderURL
	}
	return fmt.Sprintf(`# What a commit may not decide. Tell Slipway: slipway app apply -f app.yaml
name: %s
environments:
  production:
    target: {type: lambda, function: %s, alias: %s}
    url: %s
    branches: [main]
`, o.name, o.function, o.alias, address)
}

func (o *initOptions) slipwayYAML() string {
	return fmt.Sprintf(`# How each commit is tested, built and checked. It travels with the commit.
artifacts: [build/%s.zip]
scripts:
  test: python3 -m py_compile app.py
  build: mkdir -p build && python3 -m zipfile -c build/%s.zip app.py
health_check_path: /
`, o.function, o.function)
}

// made is what there is of the function already.
type made struct {
	unknown         bool // the cloud was not asked
	function, alias bool
}

// functionURL is the host of a Lambda function's URL.
var functionURL = regexp.MustCompile(`^https://([a-z0-9]+)\.lambda-url\.[a-z0-9-]+\.(?:on\.aws|localhost.*)$`)

// look finds what there is of the function, and its alias's URL where none was given. Where no cloud is known, nothing is.
func (o *initOptions) look(ctx context.Context) (made, error) {
	at, err := o.find(ctx)
	if err != nil {
		return made{unknown: true}, nil
	}
	if o.url != "" {
		o.url = o.reachable(at, o.url)
		return made{function: true, alias: true}, nil
	}

	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	client := lambda.NewFromConfig(at.aws)
	var gone *types.ResourceNotFoundException
	if _, err := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &o.function}); err != nil {
		return made{unknown: !errors.As(err, &gone)}, ctx.Err()
	}
	if _, err := client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &o.function, Name: &o.alias}); err != nil {
		return made{function: true}, ctx.Err()
	}
	address, err := client.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: &o.function, Qualifier: &o.alias})
	if err == nil {
		o.url = o.reachable(at, aws.ToString(address.FunctionUrl))
	}
	return made{function: true, alias: true}, ctx.Err()
}

// reachable returns the address at which a function's URL answers: on the local cloud another one than AWS's.
func (o *initOptions) reachable(at *place, address string) string {
	address = strings.TrimSuffix(address, "/")
	m := functionURL.FindStringSubmatch(address)
	endpoint := aws.ToString(at.aws.BaseEndpoint)
	if u, err := url.Parse(endpoint); m == nil || endpoint == "" || err != nil || strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		return address
	}
	return strings.TrimSuffix(endpoint, "/") + "/_aws/lambda-url/" + m[1]
}

// say prints what to do next.
func (o *initOptions) say(found made) error {
	var steps []string
	if !found.function {
		steps = append(steps, "python3 -m zipfile -c "+o.function+".zip app.py",
			"aws lambda create-function --function-name "+o.function+" --runtime python3.13 --handler app.handler --role ARN-OF-ITS-ROLE --zip-file fileb://"+o.function+".zip --publish")
	}
	if !found.alias {
		steps = append(steps, "aws lambda create-alias --function-name "+o.function+" --name "+o.alias+" --function-version 1")
	}
	if o.url == "" {
		steps = append(steps, "aws lambda create-function-url-config --function-name "+o.function+" --qualifier "+o.alias+" --auth-type NONE",
			"put that URL into app.yaml, and "+o.function+" among the targets in Slipway's cdk.json")
	}
	steps = append(steps, "slipway app apply -f app.yaml", "git add slipway.yaml && git commit -m 'Deploy with Slipway' && slipway deploy --wait")

	_, err := fmt.Fprintf(o.out, "app.yaml and slipway.yaml are written. Next:\n  %s\n", strings.Join(steps, "\n  "))
	return err
}
