// Synth writes Slipway's cloud assembly: the CloudFormation templates and what they need. The cdk command runs it, as
// cdk.json says; run by itself, it writes cdk.out.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/aws/jsii-runtime-go"

	"github.com/slipway-cd/slipway/infra"
)

func main() {
	out := cmp.Or(os.Getenv("CDK_OUTDIR"), "cdk.out")
	err := run(os.Args[1:], out, os.Getenv("CDK_CONTEXT_JSON"))
	jsii.Close() // its Node.js runs since before main, and leaves its files behind unless told
	if err != nil {
		fmt.Fprintln(os.Stderr, "synth:", err)
		os.Exit(1)
	}
}

// run synthesizes into out. The cdk command hands over the context by told, as JSON, its -c included; without it
// cdk.json is read and -c taken here, the same way.
func run(args []string, out, told string) error {
	context, err := infra.ReadContext("cdk.json")
	if err != nil {
		return err
	}
	if told != "" {
		if err := json.Unmarshal([]byte(told), &context); err != nil {
			return fmt.Errorf("CDK_CONTEXT_JSON: %w", err)
		}
	}
	flags := flag.NewFlagSet("synth", flag.ContinueOnError)
	flags.StringVar(&out, "o", out, "`folder` of the cloud assembly")
	flags.Func("c", "`key=value` of the context, as the cdk command takes it; again for more", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("%q has no =", s)
		}
		context[key] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	settings, err := infra.ParseSettings(context)
	if err != nil {
		return err
	}
	return infra.Synth(infra.Input{Out: out, Settings: settings})
}
