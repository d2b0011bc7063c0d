// Preflight checks the AWS account and region that make deploy would deploy Slipway into, and changes nothing. Targets, with commas
// between their names, are its one argument; without it cdk.json's are checked.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/slipway-cd/slipway/internal/preflight"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, "cdk.json", os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "preflight:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, cdk string, args []string) error {
	settings, err := read(cdk)
	if err != nil {
		return err
	}
	if targets := strings.Join(args, ","); targets != "" {
		settings.Targets = strings.Split(targets, ",")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}

	found := preflight.Check(ctx, cfg, settings)
	marks := map[preflight.Level]string{preflight.Good: "✓", preflight.Note: "!", preflight.Problem: "✗"}
	for _, f := range found {
		fmt.Fprintf(out, "%s %s: %s\n", marks[f.Level], f.Subject, f.Text)
	}
	if preflight.Failed(found) {
		return errors.New("not ready to be deployed; each line with ✗ says what to do")
	}
	return nil
}

// read reads the settings that name something in the account.
func read(file string) (preflight.Settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return preflight.Settings{}, fmt.Errorf("run it in the repository's root: %w", err)
	}
	var given struct{ Context preflight.Settings }
	if err := json.Unmarshal(text, &given); err != nil {
		return preflight.Settings{}, fmt.Errorf("%s: %w", file, err)
	}
	return given.Context, nil
}
