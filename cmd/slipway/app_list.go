package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

func newAppList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the apps and their environments",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.listApps(cmd.Context()) },
	}
}

func (p *program) listApps(ctx context.Context) error {
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	apps, err := c.apps(ctx, "This route covers all apps. If your permissions are for one app: slipway api GET /v1/apps/APP")
	if err != nil {
		return err
	}
	if p.format == formatJSON {
		return p.json(api.AppPage{Apps: apps})
	}
	if len(apps) == 0 {
		fmt.Fprintln(p.err, "There is no app yet; slipway app apply -f app.yaml makes one.")
		return nil
	}
	var rows [][]string
	for _, a := range apps {
		for _, name := range a.EnvironmentNames() {
			s := a.Environments[name]
			rows = append(rows, []string{a.Name, name, target(s.Target), s.URL})
		}
	}
	return p.table([]string{"APP", "ENVIRONMENT", "TARGET", "URL"}, rows)
}

func target(t deploy.Target) string {
	if t.Type == deploy.TargetLambda {
		return fmt.Sprintf("lambda %s:%s", t.Function, t.Alias)
	}
	return t.Type
}
