package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
)

type flagWholeOptions struct {
	*flagOptions
	file, from     string
	keep, rehearse bool
}

func newFlagImport(o *flagOptions) *cobra.Command {
	opts := &flagWholeOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:   "import -f FILE",
		Short: "Make an environment's flags what a flagd document says, all or nothing",
		Long: `Make an environment's flags what a flagd document says, all or nothing. Flags that the
document doesn't have are archived; with --keep they stay as they are. Members that flagd
ignores are left out, and named on standard error.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return opts.importAll(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.file, "file", "f", "", "the document; - reads standard input")
	flags.BoolVar(&opts.keep, "keep", false, "leave flags that the document doesn't have as they are")
	flags.BoolVar(&opts.rehearse, "dry-run", false, "only show what would change")
	return cmd
}

func (o *flagWholeOptions) importAll(ctx context.Context) error {
	if o.file == "" {
		return usageError{errors.New("say which file with -f")}
	}
	document, err := o.jsonFile(o.file)
	if err != nil {
		return err
	}
	return o.apply(ctx, http.MethodPut, "/flags", url.Values{"keep": {fmt.Sprint(o.keep)}}, document)
}

func newFlagCopy(o *flagOptions) *cobra.Command {
	opts := &flagWholeOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:   "copy --from ENVIRONMENT [KEY...]",
		Short: "Copy flags of another environment, all or those named, as they are there",
		Long: `Copy flags of another environment, all or those named, as they are there. That takes
the right to GET …/environments/FROM/flags.flagd.json where they come from, and the
right to POST …/environments/ENV/flags.copy where they go.`,
		Example: "  slipway flag copy --from staging --env production new-cart --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.from == "" {
				return usageError{errors.New("say from which environment with --from")}
			}
			return opts.copyFlags(cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&opts.from, "from", "", "the environment to copy from")
	cmd.Flags().BoolVar(&opts.rehearse, "dry-run", false, "only show what would change")
	return cmd
}

// copyFlags reads the other environment's flags by the caller's right to that one, and puts them here.
func (o *flagWholeOptions) copyFlags(ctx context.Context, keys []string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	from := path.Dir(s.path) + "/" + url.PathEscape(o.from)
	if from == s.path {
		return usageError{fmt.Errorf("--from %q is where the flags would go", o.from)}
	}
	var in api.CopyRequest
	if err := s.get(ctx, from+"/flags.flagd.json", url.Values{"format": {"slipway"}}, &in.Document); err != nil {
		return err
	}
	in.Keys, in.Why = keys, o.why
	return o.apply(ctx, http.MethodPost, "/flags.copy", url.Values{}, in)
}

// apply shows what would change, and unless that was all that was asked for changes just that: nothing, where somebody
// else came between.
func (o *flagWholeOptions) apply(ctx context.Context, method, route string, query url.Values, in any) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	rehearsed := url.Values{"dry_run": {"true"}}
	for name, values := range query {
		rehearsed[name] = values
	}
	var out api.Changes
	if err := s.send(ctx, request{method: method, path: s.path + route + "?" + rehearsed.Encode(), in: in}, &out); err != nil {
		return err
	}
	if !o.rehearse && (out.Flags > 0 || len(out.Difference) > 0) {
		match := noVersion
		if out.Revision > 0 {
			match = ifVersion(out.Revision)
		}
		if err := s.change(ctx, method, s.path+route+"?"+query.Encode(), match, in, &out); err != nil {
			return err
		}
	}
	if o.format == formatJSON {
		return o.json(out)
	}
	return o.showChanges(&out)
}

func (o *flagWholeOptions) showChanges(out *api.Changes) error {
	rows := make([][]string, len(out.Changes))
	for i, c := range out.Changes {
		rows[i] = []string{c.Key, string(c.Action), fmt.Sprint(c.Version), differences(c)}
	}
	if len(rows) > 0 {
		if err := o.table([]string{"KEY", "CHANGE", "VERSION", ""}, rows); err != nil {
			return err
		}
	}
	for _, n := range out.Notes {
		fmt.Fprintf(o.err, "slipway: note: %s\n", strings.TrimPrefix(n.Pointer+": "+n.Detail, ": "))
	}
	if more := out.Flags - len(rows); more > 0 {
		fmt.Fprintf(o.err, "… and %d more.\n", more)
	}
	switch {
	case out.Flags == 0 && len(out.Difference) == 0:
		fmt.Fprintln(o.err, "Nothing to change.")
	case out.DryRun:
		fmt.Fprintf(o.err, "%s would change; nothing was written.\n", count(out.Flags, "flag"))
	default:
		fmt.Fprintf(o.err, "%s changed; the environment is at revision %d.\n", count(out.Flags, "flag"), out.Revision)
	}
	return nil
}

func differences(c api.FlagChange) string {
	if len(c.Difference) == 1 {
		return oneDifference(c.Difference[0])
	}
	return fmt.Sprintf("%d differences", len(c.Difference))
}

func newFlagExport(o *flagOptions) *cobra.Command {
	format := ""
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write an environment's flags as a flagd document",
		Long: `Write an environment's flags as a flagd document. What plain flagd can't say is named on
standard error. --as slipway keeps everything, and import takes it back.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "flagd" && format != "slipway" {
				return usageError{fmt.Errorf("--as %q is unknown; want flagd or slipway", format)}
			}
			return o.export(cmd.Context(), format)
		},
	}
	cmd.Flags().StringVar(&format, "as", "flagd", "flagd, or slipway with all that is Slipway's own")
	return cmd
}

func (o *flagOptions) export(ctx context.Context, format string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var out api.Export
	if err := s.get(ctx, s.path+"/flags.flagd.json", url.Values{"format": {format}, "notes": {"true"}}, &out); err != nil {
		return err
	}
	for _, n := range out.Notes {
		fmt.Fprintf(o.err, "slipway: note: %s: %s\n", n.Pointer, n.Detail)
	}
	return o.json(out.Document)
}

// count is a number of things in words.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
