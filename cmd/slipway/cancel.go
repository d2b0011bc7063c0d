package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func newCancel(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Stop a deployment, and undo what it changed",
		Args:  oneID,
		RunE:  func(cmd *cobra.Command, args []string) error { return p.cancel(cmd.Context(), args[0]) },
	}
}

func (p *program) cancel(ctx context.Context, id string) error {
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	var d deploy.Deployment
	if err := c.post(ctx, "/v1/deployments/"+url.PathEscape(id)+"/cancel", struct{}{}, &d); err != nil {
		return err
	}
	if p.format == formatJSON {
		return p.json(d)
	}
	_, err = fmt.Fprintf(p.out, "%s is being cancelled; what it changed will be undone\n", d.ID)
	return err
}
