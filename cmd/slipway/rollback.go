package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type rollbackOptions struct {
	*program
	id           string
	app, env, to string
	wait         bool
}

func newRollback(p *program) *cobra.Command {
	opts := &rollbackOptions{program: p}
	cmd := &cobra.Command{
		Use:   "rollback [ID]",
		Short: "Restore a release that served before",
		Long: `Restore a release that served before: with an ID, what served before that
deployment, which must be what is live, or what left its environment dirty; with
--env, what served before whatever is live there, or the release of --to.

A dirty environment gets the same way back again; another release is restored
there by slipway repair --to, which is a permission of its own.`,
		Example: "  slipway rollback deploy-20261123-090000000-abcdefgh --wait\n  slipway rollback --app shop --env production",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.arguments(cmd, args); err != nil {
				return err
			}
			return opts.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.app, "app", "", "which app (default the one of app.yaml here, else the only one)")
	flags.StringVar(&opts.env, "env", "", "which environment")
	flags.StringVar(&opts.to, "to", "", "the deployment whose release to restore (default the one before what is live)")
	flags.BoolVar(&opts.wait, "wait", false, "show the progress; exit 3 when it doesn't succeed")
	return cmd
}

// arguments takes an ID or an environment, and guesses neither: a rollback of the wrong one is expensive.
func (o *rollbackOptions) arguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 1 && o.to != "":
		return usageError{errors.New("an ID says what to restore: what served before it; leave --to out")}
	case len(args) > 0:
		if err := oneID(cmd, args); err != nil {
			return err
		}
		o.id = args[0]
	case o.env == "":
		return usageError{errors.New("say what to roll back: a deployment's id, or --env")}
	}
	return nil
}

func (o *rollbackOptions) run(ctx context.Context) error {
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	var d deploy.Deployment
	var s scope
	if o.id != "" {
		s, err = o.deployment(ctx, c, &d)
	} else {
		s, err = o.environment(ctx, c, &d)
	}
	if err != nil {
		return err
	}
	return o.started(ctx, c, s, &d, o.wait)
}

func (o *rollbackOptions) deployment(ctx context.Context, c *client, d *deploy.Deployment) (scope, error) {
	s, err := c.scopeOf(ctx, scopeOptions{o.app, o.env}, o.id)
	if err != nil {
		return scope{}, err
	}
	return s, s.explain(c.create(ctx, s.deployment(o.id, "/rollback"), struct{}{}, d))
}

func (o *rollbackOptions) environment(ctx context.Context, c *client, d *deploy.Deployment) (scope, error) {
	s, err := c.scope(ctx, scopeOptions{o.app, o.env})
	if err != nil {
		return scope{}, err
	}
	return s, c.create(ctx, s.path()+"/rollback", api.RollbackRequest{To: o.to}, d)
}
