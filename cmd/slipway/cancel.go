package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func newCancel(p *program) *cobra.Command {
	var at scopeOptions
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Stop a deployment, and undo what it changed",
		Args:  oneID,
		RunE:  func(cmd *cobra.Command, args []string) error { return p.cancel(cmd.Context(), at, args[0]) },
	}
	at.register(cmd)
	return cmd
}

func (p *program) cancel(ctx context.Context, at scopeOptions, id string) error {
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	s, err := c.scopeOf(ctx, at, id)
	if err != nil {
		return err
	}
	var d deploy.Deployment
	if err := c.post(ctx, s.deployment(id, "/cancel"), struct{}{}, &d); err != nil {
		return s.explain(err)
	}
	if p.format == formatJSON {
		return p.json(d)
	}
	_, err = fmt.Fprintf(p.out, "%s is being cancelled; what it changed will be undone\n", d.ID)
	return err
}
