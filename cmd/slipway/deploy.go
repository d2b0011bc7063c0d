package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

type deployOptions struct {
	*program
	app, env, ref string
	force, wait   bool
	rebuild       bool
}

func newDeploy(p *program) *cobra.Command {
	opts := &deployOptions{program: p}
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy a commit of the git repository here",
		Long: `Deploy a commit of the git repository here: exactly the commit, never what is
changed in the working tree. It is bundled and uploaded, then tested, built, put
live and checked; a bad release is taken back.

An app whose source is a git server gets no upload: the commit is fetched from there,
so push it first.`,
		Example: "  slipway deploy --wait\n  slipway deploy --app shop --env staging --ref v1.4.0",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.app, "app", "", "which app (default the only one)")
	flags.StringVar(&opts.env, "env", "", "which environment (default the only one)")
	flags.StringVar(&opts.ref, "ref", "HEAD", "which commit: a branch, a tag, an id")
	flags.BoolVar(&opts.force, "force", false, "skip the tests")
	flags.BoolVar(&opts.rebuild, "rebuild", false, "build it anew, whatever was built of the commit")
	flags.BoolVar(&opts.wait, "wait", false, "show the progress; exit 3 when it doesn't succeed")
	return cmd
}

func (o *deployOptions) run(ctx context.Context) error {
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	a, err := c.chooseApp(ctx, o.app)
	if err != nil {
		return err
	}
	environment, err := chooseEnvironment(a, o.env)
	if err != nil {
		return err
	}
	commit, err := o.commit(ctx, c, a)
	if err != nil {
		return err
	}
	request := api.DeploymentRequest{App: a.Name, Environment: environment, CommitSHA: commit.SHA, Branch: commit.Branch, Force: o.force, Rebuild: o.rebuild}
	var d deploy.Deployment
	if err := c.create(ctx, "/v1/deployments", request, &d); err != nil {
		return err
	}
	return o.started(ctx, c, &d, o.wait)
}

// commit uploads the commit, or where the app's commits are fetched, only finds out which it is.
func (o *deployOptions) commit(ctx context.Context, c *client, a *deploy.App) (source.Commit, error) {
	if a.Source.Uploaded() {
		return o.upload(ctx, c.place, a, o.ref)
	}
	commit, pushed, err := source.Resolve(ctx, o.dir, o.ref)
	if err == nil && !pushed {
		fmt.Fprintf(o.err, "No branch of a remote is known here to have %s. %s fetches its commits: push it first.\n", deploy.ShortCommit(commit.SHA), a.Name)
	}
	return commit, err
}

// started shows a deployment that has begun, and waits for its end where that is wanted.
func (p *program) started(ctx context.Context, c *client, d *deploy.Deployment, wait bool) error {
	switch {
	case wait:
		return p.wait(ctx, c, d)
	case p.format == formatJSON:
		return p.json(d)
	}
	if !p.terminal && p.format == "" {
		_, err := fmt.Fprintln(p.out, d.ID) // for a script's id=$(slipway deploy)
		return err
	}
	_, err := fmt.Fprintf(p.out, "%s  %s\n  see it:    slipway status %s\n  cancel it: slipway cancel %s\n", d.ID, subject(d), d.ID, d.ID)
	return err
}
