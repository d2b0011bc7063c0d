package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

func newFlagGet(o *flagOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "Show a flag",
		Args:  oneKey(),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := o.site(cmd.Context())
			if err != nil {
				return err
			}
			var f board.Flag
			if err := s.get(cmd.Context(), s.flag(args[0], ""), nil, &f); err != nil {
				return err
			}
			if o.format == formatJSON {
				return o.json(f)
			}
			return o.showFlag(&f)
		},
	}
}

type flagListOptions struct {
	*flagOptions
	state, tag string
	days       int
}

func newFlagList(o *flagOptions) *cobra.Command {
	opts := &flagListOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show an environment's flags",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&opts.state, "state", "", "only those that are enabled, disabled or archived; all shows archived ones too")
	cmd.Flags().StringVar(&opts.tag, "tag", "", "only those with this word among their metadata's tags")
	return cmd
}

func newFlagStale(o *flagOptions) *cobra.Command {
	opts := &flagListOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:   "stale",
		Short: "Show the flags that may have done their work: never asked for, no more, or with one answer only",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.days < 1 || opts.days > board.MaxStaleDays {
				return usageError{fmt.Errorf("--days %d; want 1 to %d", opts.days, board.MaxStaleDays)}
			}
			return opts.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&opts.days, "days", 30, "for how long")
	return cmd
}

func (o *flagListOptions) run(ctx context.Context) error {
	if states := []string{"", "enabled", "disabled", "archived", "all"}; !slices.Contains(states, o.state) {
		return usageError{fmt.Errorf("--state %q is unknown; want enabled, disabled, archived or all", o.state)}
	}
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	page, err := o.read(ctx, s)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(page)
	}
	if len(page.Flags) == 0 {
		fmt.Fprintln(o.err, "There are no such flags.")
		return nil
	}
	rows := make([][]string, len(page.Flags))
	for i, f := range page.Flags {
		rows[i] = []string{f.Key, o.paintFlag(&f), fmt.Sprint(f.Version), strings.Join(f.Tags, ","), evaluated(f.Usage), staleness(f.Usage),
			instant(f.UpdatedAt), f.UpdatedBy}
	}
	return o.table([]string{"KEY", o.paint(plain, "STATE"), "VERSION", "TAGS", "EVALUATED", "STALE", "CHANGED (UTC)", "BY"}, rows)
}

// read gathers all pages.
func (o *flagListOptions) read(ctx context.Context, s *flagSite) (*api.FlagPage, error) {
	all, query := &api.FlagPage{Flags: []board.Flag{}}, url.Values{"limit": {fmt.Sprint(api.MaxFlagPage)}}
	for name, value := range map[string]string{"state": o.state, "tag": o.tag} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.days > 0 {
		query.Set("stale", fmt.Sprint(o.days))
	}
	for {
		var page api.FlagPage
		if err := s.get(ctx, s.path+"/flags", query, &page); err != nil {
			return nil, err
		}
		all.Flags, all.Revision = append(all.Flags, page.Flags...), page.Revision
		if page.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

type flagHistoryOptions struct {
	*flagOptions
	limit int
}

func newFlagHistory(o *flagOptions) *cobra.Command {
	opts := &flagHistoryOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:   "history KEY",
		Short: "Show who changed a flag, when, how and why, the newest change first",
		Args:  oneKey(),
		RunE:  func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().IntVar(&opts.limit, "limit", api.DefaultPage, "at most so many")
	return cmd
}

func (o *flagHistoryOptions) run(ctx context.Context, key string) error {
	if o.limit < 1 {
		return usageError{fmt.Errorf("--limit %d; want 1 or more", o.limit)}
	}
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	all, query := api.VersionPage{Versions: []board.Version{}}, url.Values{}
	for len(all.Versions) < o.limit {
		query.Set("limit", fmt.Sprint(min(deploy.MaxPage, o.limit-len(all.Versions))))
		var page api.VersionPage
		if err := s.get(ctx, s.flag(key, "/versions"), query, &page); err != nil {
			return err
		}
		all.Versions, all.NextCursor = append(all.Versions, page.Versions...), page.NextCursor
		if page.NextCursor == "" {
			break
		}
		query.Set("cursor", page.NextCursor)
	}
	if o.format == formatJSON {
		return o.json(all)
	}
	return o.showVersions(all.Versions)
}

type flagExplainOptions struct {
	*flagOptions
	user, context string
}

func newFlagExplain(o *flagOptions) *cobra.Command {
	opts := &flagExplainOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:     "explain KEY",
		Short:   "Show what a user is answered, and why",
		Example: `  slipway flag explain new-cart --user alice --context '{"country":"DE"}'`,
		Args:    oneKey(),
		RunE:    func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&opts.user, "user", "", "the context's targetingKey")
	cmd.Flags().StringVar(&opts.context, "context", "", "the context, as a JSON object")
	return cmd
}

func (o *flagExplainOptions) run(ctx context.Context, key string) error {
	in := api.ExplainRequest{Context: map[string]any{}}
	if o.context != "" {
		if err := json.Unmarshal([]byte(o.context), &in.Context); err != nil || in.Context == nil {
			return usageError{errors.New("--context is not a JSON object")}
		}
	}
	if o.user != "" {
		in.Context["targetingKey"] = o.user
	}
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var e flag.Explanation
	if err := s.post(ctx, s.flag(key, "/explain"), in, &e); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(e)
	}
	return o.showExplanation(&e)
}
