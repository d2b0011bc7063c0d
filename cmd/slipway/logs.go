package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/deploy"
)

type logsOptions struct {
	*program
	at     scopeOptions
	id     string
	follow bool
	colors bool
	cursor string
}

func newLogs(p *program) *cobra.Command {
	opts := &logsOptions{program: p}
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print what a deployment's scripts printed",
		Args:  oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.id = args[0]
			return opts.run(cmd.Context())
		},
	}
	opts.at.register(cmd)
	cmd.Flags().BoolVarP(&opts.follow, "follow", "f", false, "go on until the deployment ends; exit 3 when it doesn't succeed")
	cmd.Flags().BoolVar(&opts.colors, "colors", false, "leave the scripts' colours in on a terminal; other control characters are shown as text")
	return cmd
}

func (o *logsOptions) run(ctx context.Context) error {
	if o.screen != nil {
		o.screen.colors = o.colors
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	s, err := c.scope(ctx, o.at)
	if err != nil {
		return err
	}
	if o.follow {
		return o.tail(ctx, c, s)
	}
	all := api.LinePage{Lines: []deploy.Line{}}
	err = o.drain(ctx, c, s, func(l deploy.Line) error {
		if o.format == formatJSON {
			all.Lines = append(all.Lines, l)
			return nil
		}
		return o.print(l)
	})
	if err == nil && o.format == formatJSON {
		all.NextCursor = o.cursor
		return o.json(all)
	}
	return err
}

// tail prints until the deployment has ended and nothing more came after that.
func (o *logsOptions) tail(ctx context.Context, c *client, s scope) error {
	var d *deploy.Deployment
	watch := watched{client: c, scope: s, id: o.id}
	for {
		if err := o.drain(ctx, c, s, o.print); err != nil {
			return o.stopped(ctx, err)
		}
		if d != nil && d.Status.Ended() {
			return ended(d)
		}
		var err error
		if d, err = watch.look(ctx); err != nil {
			return o.stopped(ctx, err)
		}
		if err := o.sleep(ctx); err != nil {
			return o.stopped(ctx, err)
		}
	}
}

func (o *logsOptions) stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return errors.New("stopped following; the deployment goes on, unless it has ended")
}

// drain reads what there is behind the cursor.
func (o *logsOptions) drain(ctx context.Context, c *client, s scope, each func(deploy.Line) error) error {
	for {
		query := url.Values{"limit": {fmt.Sprint(api.MaxLines)}}
		if o.cursor != "" {
			query.Set("cursor", o.cursor)
		}
		var page api.LinePage
		if err := c.get(ctx, s.deployment(o.id, "/logs"), query, &page); err != nil {
			return s.explain(err)
		}
		for _, line := range page.Lines {
			if err := each(line); err != nil {
				return err
			}
		}
		if o.cursor = page.NextCursor; len(page.Lines) == 0 {
			return nil
		}
	}
}

// print writes a line as the script did; as JSON, one object a line.
func (o *logsOptions) print(l deploy.Line) error {
	if o.format == formatJSON {
		return json.NewEncoder(o.out).Encode(l)
	}
	text := l.Text
	if o.screen != nil {
		text = strings.TrimSuffix(text, "\r")
	}
	_, err := fmt.Fprintln(o.out, text)
	return err
}
