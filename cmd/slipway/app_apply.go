package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/config"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type appApplyOptions struct {
	*program
	file string
}

func newAppApply(p *program) *cobra.Command {
	opts := &appApplyOptions{program: p}
	cmd := &cobra.Command{
		Use:     "apply -f app.yaml",
		Short:   "Make an app, or change it to what a file says",
		Example: "  slipway app apply -f app.yaml\n  generate-app | slipway app apply -f -",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&opts.file, "file", "f", "", "the app's YAML; - reads standard input")
	return cmd
}

func (o *appApplyOptions) run(ctx context.Context) error {
	if o.file == "" {
		return usageError{errors.New("say which file with -f")}
	}
	text, err := o.read(o.file)
	if err != nil {
		return err
	}
	wanted, err := config.ParseApp(text)
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	var a deploy.App
	if err := c.put(ctx, "/v1/apps/"+url.PathEscape(wanted.Name), wanted, &a); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(a)
	}
	_, err = fmt.Fprintf(o.out, "%s applied: version %d, %s\n", a.Name, a.Version, strings.Join(a.EnvironmentNames(), ", "))
	return err
}

// read reads a file that was named on the command line; - is standard input.
func (p *program) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(p.in)
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	f, err := os.Open(path)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		err = fmt.Errorf("%s: %w", file, failed.Err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, file, maxNamedFile) // it may be a pipe
}
