package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

type deployOptions struct {
	*program
	app, environment, ref, branch string
	force, wait, rebuild          bool
	takeUploaded                  bool
	repairs, why                  string
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
so push it first.

Where an environment takes only some branches, the commit's is the one of --branch,
else of --ref, else what the CI system says of this very commit (GITHUB_REF_NAME,
CI_COMMIT_BRANCH, BUILDKITE_BRANCH and others; never a pull request's), else the one
that is checked out, else the only such branch here, or of a remote as last fetched,
that has the commit.

A dirty environment takes no commit but one that --repairs it.`,
		Example: "  slipway deploy --wait\n  slipway deploy --app shop --env staging --ref v1.4.0\n  slipway deploy --ref origin/main\n" +
			"  slipway deploy --branch main",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.repairFlags(); err != nil {
				return err
			}
			if err := opts.arguments(cmd); err != nil {
				return usageError{err}
			}
			return opts.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.app, "app", "", "which app (default the one of app.yaml here, else the only one)")
	flags.StringVar(&opts.environment, "env", "", "which environment (default the only one)")
	flags.StringVar(&opts.ref, "ref", "HEAD", "which commit: a branch, a tag, an id")
	flags.StringVar(&opts.branch, "branch", "", "the branch that the commit is on (default as above)")
	flags.BoolVar(&opts.force, "force", false, "skip the tests")
	flags.BoolVar(&opts.rebuild, "rebuild", false, "build it anew, whatever was built of the commit")
	flags.BoolVar(&opts.takeUploaded, "take-uploaded", false, "deploy the commit's bundle that was uploaded first, though yours differs")
	flags.BoolVar(&opts.wait, "wait", false, "show the progress; exit 3 when it doesn't succeed")
	flags.StringVar(&opts.repairs, "repairs", "", "deploy to the environment that this deployment left dirty")
	flags.StringVar(&opts.why, "why", "", "the reason for --repairs, kept on the record")
	return cmd
}

// arguments checks the flags: an empty branch is a variable of a script that isn't set.
func (o *deployOptions) arguments(cmd *cobra.Command) error {
	name := strings.TrimPrefix(o.branch, "refs/heads/")
	switch {
	case !cmd.Flags().Changed("branch"):
		return nil
	case name == "" || strings.HasPrefix(name, "refs/"):
		return fmt.Errorf("--branch %q is not a branch; want its name, like main", o.branch)
	}
	if err := deploy.CheckBranch(name); err != nil {
		return fmt.Errorf("--branch: %w", errors.Unwrap(err))
	}
	return nil
}

func (o *deployOptions) run(ctx context.Context) error {
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	to, err := c.destination(ctx, o.app, o.environment)
	if err != nil {
		return err
	}
	commit, pushed, err := source.Resolve(ctx, o.dir, o.ref)
	if err != nil {
		return err
	}
	if commit.Branch, err = o.chooseBranch(ctx, commit, to.environment, to.settings); err != nil {
		return err
	}
	if err := o.checkConfig(ctx, commit); err != nil {
		return err
	}
	digest, err := o.bring(ctx, c, to, commit, pushed)
	if err != nil {
		return err
	}

	s := to.scope
	request := api.EnvironmentDeploymentRequest{CommitSHA: commit.SHA, Branch: commit.Branch, Force: o.force, Rebuild: o.rebuild, SourceSHA256: digest}
	var d deploy.Deployment
	if o.repairs != "" {
		err = o.repair(ctx, c, s, request, &d)
	} else {
		err = c.create(ctx, s.path()+"/deployments", request, &d)
	}
	if err != nil {
		return explainBundle(err)
	}
	return o.started(ctx, c, s, &d, o.wait)
}

// explainBundle says what to do if another bundle of the commit was uploaded first.
func explainBundle(err error) error {
	var p problem
	if !errors.As(err, &p) || p.Status != http.StatusConflict || p.Field != "source_sha256" {
		return err
	}
	return fmt.Errorf("%w; its content is another, or another version of slipway packed it; --take-uploaded deploys what was uploaded first", err)
}

// checkConfig warns of a commit whose slipway.yaml has another name: its scripts would not run.
func (o *deployOptions) checkConfig(ctx context.Context, commit source.Commit) error {
	names, err := source.RootFiles(ctx, o.dir, commit.SHA)
	if err != nil || slices.Contains(names, deploy.ConfigFile) {
		return err
	}
	if i := slices.IndexFunc(names, deploy.IsMisnamedConfig); i >= 0 {
		fmt.Fprintf(o.err, "Warning: %s\n", deploy.NoConfig(names[i]))
	}
	return nil
}

// bring uploads the commit and returns the SHA-256 that its bundle has to have, in hex; "" takes any. Where the app's commits are
// fetched, it only says if this one isn't pushed.
func (o *deployOptions) bring(ctx context.Context, c *client, to destination, commit source.Commit, pushed bool) (digest string, err error) {
	if to.source.Uploaded() {
		digest, err = o.upload(ctx, c.place, to, commit.SHA)
		if o.takeUploaded {
			digest = ""
		}
		return digest, err
	}
	if !pushed {
		fmt.Fprintf(o.err, "No branch of a remote is known here to have %s. %s fetches its commits: push it first.\n", deploy.ShortCommit(commit.SHA), to.app)
	}
	return "", nil
}

// started shows a deployment that has begun, and waits for its end where that is wanted.
func (p *program) started(ctx context.Context, c *client, s scope, d *deploy.Deployment, wait bool) error {
	switch {
	case wait:
		return p.wait(ctx, c, s.of(d), d)
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
