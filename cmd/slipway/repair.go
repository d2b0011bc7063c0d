package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type repairOptions struct {
	*program
	at                   scopeOptions
	id, to, why          string
	skipScripts, declare bool
	wait                 bool
}

func newRepair(p *program) *cobra.Command {
	opts := &repairOptions{program: p}
	cmd := &cobra.Command{
		Use:   "repair ID --why REASON",
		Short: "End a dirty environment",
		Long: `End a dirty environment: one whose rollback failed, and which takes no commit until
it is repaired. ID is the deployment that left it dirty; slipway status names it.

Without more, the same way back is run again: mend its cause first. Where the cause
is a commit's own script, skip the scripts; where the release before can't be
restored, name another one; where it was repaired by hand, declare so: nothing is
moved or checked then, and what the target serves is recorded. Each of them is a
permission of its own, and is kept on the record with its reason.

A commit that mends everything is let in by slipway deploy --repairs ID.`,
		Example: `  slipway repair deploy-20261123-090000000-abcdefgh --why "the database is back"
  slipway repair deploy-20261123-090000000-abcdefgh --skip-scripts --why "its rollback script is broken" --wait`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.arguments(cmd, args); err != nil {
				return err
			}
			return opts.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	opts.at.register(cmd)
	flags.StringVar(&opts.why, "why", "", "the reason, kept on the record (required)")
	flags.BoolVar(&opts.skipScripts, "skip-scripts", false, "run no script and no hook of the commit that is undone")
	flags.StringVar(&opts.to, "to", "", "the deployment whose release to restore; with --declare-repaired, the one whose release serves")
	flags.BoolVar(&opts.declare, "declare-repaired", false, "change nothing: it was repaired by hand")
	flags.BoolVar(&opts.wait, "wait", false, "show the progress; exit 3 when it doesn't succeed")
	return cmd
}

func (o *repairOptions) arguments(cmd *cobra.Command, args []string) error {
	if err := oneID(cmd, args); err != nil {
		return err
	}
	o.id = args[0]
	switch {
	case o.skipScripts && o.declare:
		return usageError{errors.New("--declare-repaired runs no scripts; leave --skip-scripts out")}
	case o.to != "" && !deploy.ValidID(o.to):
		return usageError{fmt.Errorf("--to %q is not a deployment's id; slipway history has them", o.to)}
	}
	return checkWhy(o.why)
}

// checkWhy holds a reason to the API's rule.
func checkWhy(why string) error {
	if err := deploy.CheckWhy(why); err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	return nil
}

func (o *repairOptions) run(ctx context.Context) error {
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	s, err := c.scopeOf(ctx, o.at, o.id)
	if err != nil {
		return err
	}
	way, in := o.request()
	var d deploy.Deployment
	if err := c.create(ctx, s.deployment(o.id, "/repair"+way), in, &d); err != nil {
		return s.explain(err)
	}
	return o.started(ctx, c, s, &d, o.wait)
}

// request is the way that the flags choose, and what it is asked.
func (o *repairOptions) request() (way string, in any) {
	switch {
	case o.declare:
		return "/declare", api.DeclareRequest{Why: o.why, To: o.to}
	case o.skipScripts:
		return "/skip-scripts", api.SkipScriptsRequest{Why: o.why, To: o.to}
	case o.to != "":
		return "/to", api.RepairToRequest{Why: o.why, To: o.to}
	}
	return "", api.RepairRequest{Why: o.why}
}

// repairFlags checks --repairs and --why before anything is uploaded.
func (o *deployOptions) repairFlags() error {
	switch {
	case o.repairs == "" && o.why != "":
		return usageError{errors.New("--why is the reason for --repairs; give both or neither")}
	case o.repairs == "":
		return nil
	case !deploy.ValidID(o.repairs):
		return usageError{fmt.Errorf("--repairs %q is not a deployment's id; slipway history has them", o.repairs)}
	}
	return checkWhy(o.why)
}

// repair asks for a deployment to a dirty environment, by a route that has a permission of its own.
func (o *deployOptions) repair(ctx context.Context, c *client, s scope, r api.EnvironmentDeploymentRequest, d *deploy.Deployment) error {
	in := api.RepairDeploymentRequest{Why: o.why, CommitSHA: r.CommitSHA, Branch: r.Branch, Force: r.Force, Rebuild: r.Rebuild, Metadata: r.Metadata,
		SourceSHA256: r.SourceSHA256}
	err := c.create(ctx, s.deployment(o.repairs, "/repair/deployment"), in, d)
	var p problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound && p.Field == "deployment" {
		return fmt.Errorf("--repairs %s is no deployment of %s to %s", o.repairs, s.app, s.environment)
	}
	return err
}
