package main

import "github.com/spf13/cobra"

func newApp(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "app",
		Short: "Say which apps are deployed, and where to",
		Args:  unknownCommand,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAppApply(p), newAppList(p))
	return cmd
}
