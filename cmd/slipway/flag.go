package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/flag"
)

// flagOptions is what all commands about flags take.
type flagOptions struct {
	*program
	app, env, why string
}

func newFlag(p *program) *cobra.Command {
	opts := &flagOptions{program: p}
	cmd := &cobra.Command{
		Use:   "flag",
		Short: "Create, change and explain feature flags",
		Args:  unknownCommand,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if isUnknown := strings.HasPrefix(err.Error(), "unknown"); isUnknown {
			return usageError{fmt.Errorf("%w; a flag's key that begins with - comes after --", c.Root().FlagErrorFunc()(c, err))}
		}
		return c.Root().FlagErrorFunc()(c, err)
	})
	flags := cmd.PersistentFlags()
	flags.StringVar(&opts.app, "app", "", "which app (default the one of app.yaml here, else the only one)")
	flags.StringVar(&opts.env, "env", "", "which environment (default the app's only one)")
	flags.StringVar(&opts.why, "why", "", "the reason, for the flag's history")
	cmd.AddCommand(newFlagCreate(opts), newFlagGet(opts), newFlagList(opts), newFlagStale(opts), newFlagToggle(opts, "enable"),
		newFlagToggle(opts, "disable"), newFlagRollout(opts), newFlagSet(opts), newFlagExplain(opts), newFlagHistory(opts),
		newFlagRestore(opts), newFlagImport(opts), newFlagExport(opts), newFlagCopy(opts), newFlagArchive(opts),
		newFlagDelete(opts), newFlagKey(opts), newFlagSegment(opts))
	return cmd
}

// flagSite is one environment's flags in the API.
type flagSite struct {
	*client
	path string // of the environment
	why  string
}

// site finds the environment that was meant. Where app and environment are both named, nothing is asked: the caller may have rights to the
// environment alone.
func (o *flagOptions) site(ctx context.Context) (*flagSite, error) {
	c, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	at := scope{app: cmp.Or(o.app, c.app), environment: o.env}
	if at.app == "" || at.environment == "" {
		a, err := c.chooseApp(ctx, o.app)
		if err != nil {
			return nil, err
		}
		at.app = a.Name
		if at.environment, err = chooseEnvironment(a, o.env); err != nil {
			return nil, err
		}
	}
	return &flagSite{client: c, path: at.path(), why: o.why}, nil
}

// flag is a flag's path, and what follows it.
func (s *flagSite) flag(key, rest string) string {
	return s.path + "/flags/" + pathName(key) + rest
}

// pathName escapes a name for a path. Dots alone would be taken for a folder.
func pathName(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// How a change says what it changes: a version, or one of these.
const (
	anyVersion = "*" // an absolute change, right whatever was there
	noVersion  = ""  // nothing may be there
)

func ifVersion(n int64) string { return fmt.Sprintf("%q", fmt.Sprint(n)) }

// change asks for a change of what matches.
func (s *flagSite) change(ctx context.Context, method, path, match string, in, out any) error {
	header := http.Header{}
	if match == noVersion {
		header.Set("If-None-Match", "*")
	} else {
		header.Set("If-Match", match)
	}
	if s.why != "" {
		header.Set("X-Slipway-Reason", url.PathEscape(s.why))
	}
	if method == http.MethodPatch {
		header.Set("Content-Type", "application/merge-patch+json")
	}
	err := s.send(ctx, request{method: method, path: path, header: header, in: in}, out)
	var p problem
	if errors.As(err, &p) && p.Status == http.StatusPreconditionFailed && p.Version != nil {
		return overtaken{*p.Version}
	}
	return err
}

// overtaken is the error of a change of what isn't there in that version.
type overtaken struct{ version int64 } // what is there; 0 for nothing

func (o overtaken) Error() string {
	if o.version == 0 {
		return "it isn't there any more"
	}
	return fmt.Sprintf("somebody else changed it: version %d is there by now", o.version)
}

// oneKey checks a command's arguments: a flag's key, and more where the command wants it.
func oneKey(more ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		want := "a flag's key"
		for _, each := range more {
			want += " and " + each
		}
		if len(args) <= len(more) {
			want += "; a key that begins with - comes after --"
		}
		switch {
		case len(args) != 1+len(more):
			return usageError{fmt.Errorf("%s takes %s", cmd.CommandPath(), want)}
		case !flag.ValidKey(args[0]):
			return usageError{fmt.Errorf("%q is not a flag's key; want 1 to 128 letters, digits, dots, hyphens and _", args[0])}
		}
		return nil
	}
}
