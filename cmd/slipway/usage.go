package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wantedOf says in words what a flag's value is, by the flag's type.
var wantedOf = map[string]string{
	"int": "a whole number, like 20", "int64": "a whole number, like 20", "uint": "a whole number, like 20",
	"float64": "a number, like 12.5", "bool": "true or false", "duration": "a time, like 90s, 15m or 2h",
}

// flagError words the error of a command's flags: the flag, what was given, what is wanted.
func flagError(_ *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &value) && wantedOf[value.GetFlag().Value.Type()] != "":
		return usageError{fmt.Errorf("--%s %q; want %s", value.GetFlag().Name, value.GetValue(), wantedOf[value.GetFlag().Value.Type()])}
	case errors.As(err, &value):
		return usageError{fmt.Errorf("--%s %q: %w", value.GetFlag().Name, value.GetValue(), value.Unwrap())}
	case errors.As(err, &missing):
		return usageError{fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Usage)}
	}
	return usageError{err}
}

// newHelp is cobra's own, but a topic that there isn't is wrong usage.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			at, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, each := range at.Commands() {
				if each.IsAvailableCommand() {
					names = append(names, each.Name()+"\t"+each.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				if at == nil {
					at = cmd.Root()
				}
				if len(rest) == 0 {
					rest = args
				}
				return unknownCommand(at, rest)
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}
