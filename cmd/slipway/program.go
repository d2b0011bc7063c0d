package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// The exit codes.
const (
	exitDone         = 0
	exitFailed       = 1 // the command failed
	exitUsage        = 2 // it was used wrongly
	exitUnsuccessful = 3 // it worked, and the deployment that it waited for failed, was rolled back or was cancelled

	exitInterrupted = 130 // Ctrl-C, as shells say it
)

// program is one run of slipway with all that it has of the world around it.
type program struct {
	in         io.Reader
	out, err   io.Writer
	env        func(string) string
	dir        string // where it was started
	executable string // its own path
	now        func() time.Time
	poll       time.Duration

	terminal, errTerminal bool      // out is one, err is one
	screen                *terminal // out, if it is one

	format string // of the output: "", formatTable or formatJSON
}

// usageError is an error of whoever typed the command.
type usageError struct{ error }

// unsuccessful is the end of a deployment that somebody waited for. It has been shown by then.
type unsuccessful struct{ status deploy.Status }

func (u unsuccessful) Error() string { return "the deployment ended " + string(u.status) }

// run runs one command and gives the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	p.guardTerminals()
	root := newRoot(p)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	var end unsuccessful
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &end):
		return exitUnsuccessful
	case ctx.Err() != nil:
		fmt.Fprintf(p.err, "slipway: %v\n", interrupted(err))
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(p.err, "slipway: %v\nTry: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(p.err, "slipway: %v\n", err)
	return exitFailed
}

// interrupted words the error of a command that Ctrl-C ended.
func interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Continuous deployment in your own AWS account",
		Long: `Slipway takes a commit to a live, health-checked release, or back.

The API is found by SLIPWAY_API and the usual AWS credentials; where that is not
set, by .slipway/local.env here, in a folder above, or beside this program's own,
as make up writes it.

Exit codes: 0 done, 1 the command failed, 2 wrong usage, 3 the deployment that it
waited for failed, was rolled back or was cancelled, 130 interrupted (Ctrl-C); what
it started goes on.`,
		Args:                       unknownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if p.format != "" && p.format != formatTable && p.format != formatJSON {
				return usageError{fmt.Errorf("-o %q is unknown; want %s or %s", p.format, formatTable, formatJSON)}
			}
			return nil
		},
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.PersistentFlags().StringVarP(&p.format, "output", "o", "", "json or table (default a table on a terminal, else tab-separated)")
	root.AddCommand(newApp(p), newFlag(p), newDeploy(p), newStatus(p), newLogs(p), newHistory(p), newCancel(p), newRollback(p), newRepair(p), newEvents(p), newAPI(p), newInit(p), newVersion(p))
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Short = "Print a script that has your shell complete commands, names and ids at a Tab"
		c.Args, c.RunE = unknownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	p.complete(root)
	return root
}

// unknownCommand takes no arguments: what stands there was meant to be a command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %s?", near[0])
	}
	return usageError{errors.New(text)}
}

// noArgs and oneID check a command's arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

func oneID(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) != 1:
		return usageError{fmt.Errorf("%s takes one deployment's id; slipway history has them", cmd.CommandPath())}
	case !deploy.ValidID(args[0]):
		return usageError{fmt.Errorf("%q is not a deployment's id; slipway history has them", args[0])}
	}
	return nil
}
