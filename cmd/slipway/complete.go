package main

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

// completePatience is how long a shell waits for names at a Tab.
const completePatience = 3 * time.Second

// complete has every command complete the names of apps, environments and branches, and deployments' ids, as the API knows them.
func (p *program) complete(cmd *cobra.Command) {
	for name, find := range map[string]func(context.Context, *client, *cobra.Command) []string{
		"app": appNames, "env": environmentNames, "status": statusNames, "to": releaseIDs,
	} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, p.completer(find)) // it fails for a flag that there isn't
		}
	}
	if words := strings.Fields(cmd.Use); cmd.Parent() == cmd.Root() && (slices.Contains(words, "ID") || slices.Contains(words, "[ID]")) {
		ids := p.completer(deploymentIDs)
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return ids(cmd, args, typed)
		}
	}
	for _, each := range cmd.Commands() {
		p.complete(each)
	}
}

// completer asks the API. Where it doesn't answer in time, there is nothing to complete, and nothing to say.
func (p *program) completer(find func(context.Context, *client, *cobra.Command) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completePatience)
		defer cancel()
		c, err := p.connect(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}

		var fit []string
		for _, name := range find(ctx, c, cmd) {
			if strings.HasPrefix(name, typed) {
				fit = append(fit, name)
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

func appNames(ctx context.Context, c *client, _ *cobra.Command) []string {
	apps, _ := c.apps(ctx, "")
	var names []string
	for _, a := range apps {
		names = append(names, a.Name)
	}
	return names
}

// environmentNames are those of the app of --app, else of the only one.
func environmentNames(ctx context.Context, c *client, cmd *cobra.Command) []string {
	name, _ := cmd.Flags().GetString("app")
	a, err := c.chooseApp(ctx, name)
	if err != nil {
		return nil
	}
	return a.EnvironmentNames()
}

func statusNames(context.Context, *client, *cobra.Command) []string {
	var names []string
	for _, each := range deploy.Statuses {
		names = append(names, string(each))
	}
	return names
}

// deploymentIDs are the newest ones, with what each is: of the app and environment that were named, where they were.
func deploymentIDs(ctx context.Context, c *client, cmd *cobra.Command) []string {
	return newestIDs(ctx, c, cmd, url.Values{"limit": {"30"}})
}

// releaseIDs are those of deployments that a rollback can restore.
func releaseIDs(ctx context.Context, c *client, cmd *cobra.Command) []string {
	return newestIDs(ctx, c, cmd, url.Values{"limit": {"30"}, "status": {string(deploy.Success)}})
}

func newestIDs(ctx context.Context, c *client, cmd *cobra.Command, query url.Values) []string {
	app, _ := cmd.Flags().GetString("app")
	environment, _ := cmd.Flags().GetString("env")
	s, err := c.scope(ctx, scopeOptions{app, environment})
	if err != nil {
		return nil
	}

	var page api.DeploymentPage
	if err := c.get(ctx, s.path()+"/deployments", query, &page); err != nil {
		return nil
	}
	ids := make([]string, len(page.Deployments))
	for i, d := range page.Deployments {
		ids[i] = d.ID + "\t" + strings.Join([]string{string(d.Status), d.App, d.Environment, deploy.ShortCommit(d.CommitSHA)}, " ")
	}
	return ids
}
