package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type historyOptions struct {
	*program
	app, env, status string
	all              bool
	limit            int
}

func newHistory(p *program) *cobra.Command {
	opts := &historyOptions{program: p}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show deployments, the newest first",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.app, "app", "", "only this app's (default the one of app.yaml here, else all apps')")
	flags.StringVar(&opts.env, "env", "", "only this environment's (of the only app, where none is named)")
	flags.BoolVar(&opts.all, "all", false, "all apps', also where there is an app.yaml")
	flags.StringVar(&opts.status, "status", "", fmt.Sprintf("only those that are %v", deploy.Statuses))
	flags.IntVar(&opts.limit, "limit", api.DefaultPage, "at most so many")
	return cmd
}

func (o *historyOptions) run(ctx context.Context) error {
	if o.limit < 1 {
		return usageError{fmt.Errorf("--limit %d; want 1 or more", o.limit)}
	}
	if o.all && (o.app != "" || o.env != "") {
		return usageError{errors.New("--all is all apps; leave --app and --env out, or --all")}
	}
	if o.status != "" && !deploy.Status(o.status).Valid() {
		return usageError{fmt.Errorf("--status %q is not one; want one of %v", o.status, deploy.Statuses)}
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	var s scope
	if !o.all {
		if s, err = c.scope(ctx, scopeOptions{o.app, o.env}); err != nil {
			return err
		}
	}
	page, err := o.read(ctx, c, s)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(page)
	}
	if len(page.Deployments) == 0 {
		fmt.Fprintln(o.err, "There are no deployments.")
		return nil
	}
	rows := make([][]string, len(page.Deployments))
	for i, d := range page.Deployments {
		rows[i] = []string{d.ID, o.program.status(d.Status), d.App, d.Environment, deploy.ShortCommit(d.CommitSHA), d.Branch,
			instant(d.StartTime), o.since(d.StartTime, d.EndTime), remark(d)}
	}
	return o.table([]string{"ID", o.paint(plain, "STATUS"), "APP", "ENVIRONMENT", "COMMIT", "BRANCH", "BEGAN (UTC)", "TOOK", ""}, rows)
}

// read gathers pages until there are enough.
func (o *historyOptions) read(ctx context.Context, c *client, s scope) (*api.DeploymentPage, error) {
	all := &api.DeploymentPage{Deployments: []api.Summary{}}
	query := url.Values{}
	if o.status != "" {
		query.Set("status", o.status)
	}
	for {
		query.Set("limit", fmt.Sprint(min(deploy.MaxPage, o.limit-len(all.Deployments))))
		var page api.DeploymentPage
		if err := c.get(ctx, s.path()+"/deployments", query, &page); err != nil {
			return nil, s.explain(err)
		}
		all.Deployments, all.NextCursor = append(all.Deployments, page.Deployments...), page.NextCursor
		if page.NextCursor == "" || len(all.Deployments) >= o.limit {
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// remark is what there is to say of a deployment in a few words.
func remark(d api.Summary) string {
	switch {
	case d.Dirty:
		return "DIRTY " + oneLine(d.Error, 60)
	case d.SupersededBy != "":
		return "superseded by " + d.SupersededBy
	case d.Error != "":
		return oneLine(d.Error, 60)
	case d.Action == deploy.Rollback:
		return "rollback of " + d.RollbackFrom
	}
	return ""
}
