package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type historyOptions struct {
	*program
	app, env, status string
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
	flags.StringVar(&opts.app, "app", "", "only this app's")
	flags.StringVar(&opts.env, "env", "", "only this environment's (of the only app, where none is named)")
	flags.StringVar(&opts.status, "status", "", fmt.Sprintf("only those that are %v", deploy.Statuses))
	flags.IntVar(&opts.limit, "limit", api.DefaultPage, "at most so many")
	return cmd
}

func (o *historyOptions) run(ctx context.Context) error {
	if o.limit < 1 {
		return usageError{fmt.Errorf("--limit %d; want 1 or more", o.limit)}
	}
	if o.status != "" && !deploy.Status(o.status).Valid() {
		return usageError{fmt.Errorf("--status %q is not one; want one of %v", o.status, deploy.Statuses)}
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	if o.env != "" && o.app == "" {
		a, err := c.chooseApp(ctx, "")
		if err != nil {
			return err
		}
		o.app = a.Name
	}
	page, err := o.read(ctx, c)
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
func (o *historyOptions) read(ctx context.Context, c *client) (*api.DeploymentPage, error) {
	all := &api.DeploymentPage{Deployments: []api.Summary{}}
	query := url.Values{}
	for name, value := range map[string]string{"app": o.app, "environment": o.env, "status": o.status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for {
		query.Set("limit", fmt.Sprint(min(deploy.MaxPage, o.limit-len(all.Deployments))))
		var page api.DeploymentPage
		if err := c.get(ctx, "/v1/deployments", query, &page); err != nil {
			return nil, err
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
