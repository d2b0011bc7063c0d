package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/board"
)

func newFlagKey(o *flagOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Say which programs may evaluate an environment's flags",
		Args:  unknownCommand,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "create NAME", Short: "Make an evaluation key; it is shown this once", Args: oneText("a name that says what the key is for"),
			RunE: func(cmd *cobra.Command, args []string) error { return o.createKey(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use: "list", Short: "Show the evaluation keys, without what opens", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return o.listKeys(cmd.Context()) },
		},
		&cobra.Command{
			Use: "revoke ID", Short: "End an evaluation key, for good", Args: oneText("a key's id; slipway flag key list has them"),
			RunE: func(cmd *cobra.Command, args []string) error { return o.revokeKey(cmd.Context(), args[0]) },
		})
	return cmd
}

func oneText(want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usageError{fmt.Errorf("%s takes %s", cmd.CommandPath(), want)}
		}
		return nil
	}
}

func (o *flagOptions) createKey(ctx context.Context, name string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var k api.NewKey
	if err := s.post(ctx, s.path+"/evaluation-keys", api.KeyRequest{Name: name}, &k); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(k)
	}
	fmt.Fprintf(o.err, "%s made. It is shown this once; keep it safe:\n", k.ID)
	_, err = fmt.Fprintln(o.out, k.Text)
	return err
}

func (o *flagOptions) listKeys(ctx context.Context) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var page api.KeyPage
	if err := s.get(ctx, s.path+"/evaluation-keys", nil, &page); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(page)
	}
	if len(page.Keys) == 0 {
		fmt.Fprintln(o.err, "There is no evaluation key yet; slipway flag key create makes one.")
		return nil
	}
	rows := make([][]string, len(page.Keys))
	for i, k := range page.Keys {
		rows[i] = []string{k.ID, k.Name, instant(k.CreatedAt), k.CreatedBy, revoked(k)}
	}
	return o.table([]string{"ID", "NAME", "CREATED (UTC)", "BY", "REVOKED (UTC)"}, rows)
}

func revoked(k board.Key) string {
	if k.RevokedAt == nil {
		return ""
	}
	return instant(*k.RevokedAt) + " by " + k.RevokedBy
}

func (o *flagOptions) revokeKey(ctx context.Context, id string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var k board.Key
	if err := s.send(ctx, request{method: http.MethodDelete, path: s.path + "/evaluation-keys/" + url.PathEscape(id)}, &k); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(k)
	}
	_, err = fmt.Fprintf(o.out, "%s revoked; within ten seconds nobody is let in by it\n", k.ID)
	return err
}
