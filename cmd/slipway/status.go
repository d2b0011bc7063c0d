package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newStatus(p *program) *cobra.Command {
	var at scopeOptions
	cmd := &cobra.Command{
		Use:   "status ID",
		Short: "Show a deployment: its stages, checks, timeline, and what to do",
		Args:  oneID,
		RunE:  func(cmd *cobra.Command, args []string) error { return p.showStatus(cmd.Context(), at, args[0]) },
	}
	at.register(cmd)
	return cmd
}

func (p *program) showStatus(ctx context.Context, at scopeOptions, id string) error {
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	s, err := c.scope(ctx, at)
	if err != nil {
		return err
	}
	d, err := c.deployment(ctx, s, id)
	if err != nil {
		return err
	}
	if p.format == formatJSON {
		return p.json(d)
	}
	return p.show(d)
}
