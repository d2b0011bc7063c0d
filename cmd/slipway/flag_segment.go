package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
)

func newFlagSegment(o *flagOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "segment",
		Short: "Show and change the rules that an environment's flags share, by {\"$ref\": name}",
		Args:  unknownCommand,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	file := ""
	set := &cobra.Command{
		Use: "set NAME -f FILE", Short: "Write a segment's rule, new or not", Args: oneText("a segment's name"),
		Example: `  echo '{"ends_with":[{"var":"email"},"@example.com"]}' | slipway flag segment set staff -f -`,
		RunE:    func(cmd *cobra.Command, args []string) error { return o.setSegment(cmd.Context(), args[0], file) },
	}
	set.Flags().StringVarP(&file, "file", "f", "", "the rule; - reads standard input")
	cmd.AddCommand(set,
		&cobra.Command{
			Use: "list", Short: "Show the segments, and how many flags name them", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return o.listSegments(cmd.Context()) },
		},
		&cobra.Command{
			Use: "get NAME", Short: "Show a segment's rule, and the flags that name it", Args: oneText("a segment's name"),
			RunE: func(cmd *cobra.Command, args []string) error { return o.getSegment(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use: "delete NAME", Short: "Delete a segment that no flag names", Args: oneText("a segment's name"),
			RunE: func(cmd *cobra.Command, args []string) error { return o.deleteSegment(cmd.Context(), args[0]) },
		})
	return cmd
}

func (s *flagSite) segment(name string) string { return s.path + "/segments/" + pathName(name) }

func (o *flagOptions) listSegments(ctx context.Context) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var page api.SegmentPage
	if err := s.get(ctx, s.path+"/segments", nil, &page); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(page)
	}
	if len(page.Segments) == 0 {
		fmt.Fprintln(o.err, "There is no segment yet; slipway flag segment set makes one.")
		return nil
	}
	rows := make([][]string, len(page.Segments))
	for i, each := range page.Segments {
		rows[i] = []string{each.Name, fmt.Sprint(len(each.Flags)), string(each.Rule)}
	}
	return o.table([]string{"NAME", "FLAGS", "RULE"}, rows)
}

func (o *flagOptions) getSegment(ctx context.Context, name string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var found api.Segment
	if err := s.get(ctx, s.segment(name), nil, &found); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(found)
	}
	_, err = fmt.Fprintf(o.out, "%s: %s\nnamed by: %s\n", found.Name, found.Rule, strings.Join(found.Flags, ", "))
	return err
}

func (o *flagOptions) setSegment(ctx context.Context, name, file string) error {
	if file == "" {
		return usageError{errors.New("say where the rule is with -f; - reads standard input")}
	}
	rule, err := o.jsonFile(file)
	if err != nil {
		return err
	}
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	match := noVersion
	var before, after api.Segment
	var p problem
	switch err := s.get(ctx, s.segment(name), nil, &before); {
	case err == nil:
		match = ifVersion(before.Revision)
	case !errors.As(err, &p) || p.Status != http.StatusNotFound:
		return err
	}
	if err := s.change(ctx, http.MethodPut, s.segment(name), match, rule, &after); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(after)
	}
	_, err = fmt.Fprintf(o.out, "%s set, for %s; the environment is at revision %d\n", name, count(len(after.Flags), "flag"), after.Revision)
	return err
}

func (o *flagOptions) deleteSegment(ctx context.Context, name string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var gone api.Segment
	if err := s.change(ctx, http.MethodDelete, s.segment(name), anyVersion, nil, &gone); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(gone)
	}
	_, err = fmt.Fprintf(o.out, "%s deleted; it was %s\n", name, gone.Rule)
	return err
}
