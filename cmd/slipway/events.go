package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/trigger"
)

// maxLetters bounds what one run reads.
const maxLetters = 1000

type eventsOptions struct {
	*program
	limit         int
	dryRun        bool
	drop          string
	notifications bool
}

func newEvents(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "See the events that could not be processed, and send them again",
		Args:  unknownCommand,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &eventsOptions{program: p}
	show := &cobra.Command{
		Use: "list", Short: "Show the events that wait, and why", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return list.list(cmd.Context()) },
	}
	show.Flags().IntVar(&list.limit, "limit", 20, "events at most")
	show.Flags().BoolVar(&list.notifications, "notifications", false, "those that tell a channel of a deployment, instead of those that tell of commits")
	o := &eventsOptions{program: p}
	redrive := &cobra.Command{
		Use: "redrive", Short: "Send them to their function again, and delete those that it could process", Args: noArgs,
		Long: `Send the events that could not be processed to the function commit again, or with
--notifications those that a channel could not be told to the function notify.

One that it can process is deleted, any other stays. To send one twice is harmless:
it is one deployment, and one that a later push has overtaken deploys nothing;
GitHub is told what holds by now. SNS and Slack get the same message twice.
Exit code 1 where one failed again.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.redrive(cmd.Context()) },
	}
	redrive.Flags().IntVar(&o.limit, "limit", 100, "events at most")
	redrive.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show what would be sent")
	redrive.Flags().StringVar(&o.drop, "drop", "", "delete the event of that id instead, for good")
	redrive.Flags().BoolVar(&o.notifications, "notifications", false, "those that tell a channel of a deployment, instead of those that tell of commits")
	cmd.AddCommand(show, redrive)
	return cmd
}

func (o *eventsOptions) open(ctx context.Context) (*letters, error) {
	if o.limit < 1 || o.limit > maxLetters {
		return nil, usageError{fmt.Errorf("--limit %d; want 1 to %d", o.limit, maxLetters)}
	}
	if o.dryRun && o.drop != "" {
		return nil, usageError{errors.New("--drop deletes, --dry-run changes nothing; want one of them")}
	}
	at, err := o.find(ctx)
	if err != nil {
		return nil, err
	}
	if o.notifications {
		return openLetters(ctx, at.aws, notifications)
	}
	return openLetters(ctx, at.aws, commits)
}

func (o *eventsOptions) list(ctx context.Context) error {
	l, err := o.open(ctx)
	if err != nil {
		return err
	}
	var found []*letter
	err = l.each(ctx, o.limit, func(read *letter) (bool, error) {
		found = append(found, read)
		return false, nil
	})
	return errors.Join(err, o.show(found))
}

func (o *eventsOptions) redrive(ctx context.Context) error {
	l, err := o.open(ctx)
	if err != nil {
		return err
	}
	var found []*letter
	failed := 0
	limit := o.limit
	if o.drop != "" {
		limit = maxLetters // the queue gives them in any order
	}
	err = l.each(ctx, limit, func(read *letter) (bool, error) {
		switch {
		case o.drop != "" && read.ID != o.drop:
			return false, nil
		case o.drop != "":
			read.Result = "dropped"
		case o.dryRun:
			read.Result = "would be sent"
		default:
			if err := l.sendAgain(ctx, read); err != nil {
				return false, err
			}
		}
		if read.failed {
			failed++
		}
		found = append(found, read)
		return !o.dryRun && !read.failed, nil
	})
	if err = errors.Join(err, o.show(found)); err != nil {
		return err
	}
	switch {
	case o.drop != "" && len(found) == 0:
		return fmt.Errorf("no event %s waits; slipway events list has them", deploy.Cut(o.drop, 80))
	case failed > 0:
		return fmt.Errorf("%d of %d failed again, and stay", failed, len(found))
	}
	return nil
}

func (o *eventsOptions) show(found []*letter) error {
	if o.format == formatJSON {
		return o.json(append([]*letter{}, found...))
	}
	if len(found) == 0 {
		if o.drop == "" {
			fmt.Fprintln(o.err, "No event waits.")
		}
		return nil
	}
	rows := make([][]string, len(found))
	for i, read := range found {
		say := read.Why
		if read.Result != "" {
			say = read.Result
		}
		rows[i] = []string{read.ID, instant(read.Sent), read.what(), oneLine(say, 300)}
	}
	return o.table([]string{"ID", "SENT (UTC)", "EVENT", "WHY, OR WHAT CAME OF IT"}, rows)
}

// what says in a few words what the event tells.
func (l *letter) what() string {
	var e struct {
		trigger.Event
		Channel string
		Told    trigger.Event `json:"event"`
	}
	var d struct {
		App, Repository, Commit, Branch         string
		RepositoryName, ReferenceName, CommitID string
		Environment, Status, Deployment         string
	}
	if err := json.Unmarshal(l.Event, &e); err != nil {
		return "unreadable"
	}
	text := e.Type
	if e.Channel != "" {
		text, e.Detail = deploy.Cut(e.Channel, 80), e.Told.Detail
	}
	_ = json.Unmarshal(e.Detail, &d) // what can't be read is left out
	for _, word := range []string{d.App, d.Repository, d.RepositoryName, d.Branch, d.ReferenceName, deploy.ShortCommit(d.Commit), deploy.ShortCommit(d.CommitID),
		d.Environment, d.Status, d.Deployment} {
		if word != "" {
			text += " " + deploy.Cut(word, 80)
		}
	}
	return fmt.Sprintf("%q", text)
}
