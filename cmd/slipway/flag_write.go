package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/flag"
)

type flagCreateOptions struct {
	*flagOptions
	file    string
	on      bool
	percent float64
	users   []string
	ring    bool
}

func newFlagCreate(o *flagOptions) *cobra.Command {
	opts := &flagCreateOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:   "create KEY",
		Short: "Create a flag, off where nothing else is said",
		Example: "  slipway flag create new-cart\n  slipway flag create new-cart --rollout 20 --user alice\n" +
			"  slipway flag create banner -f banner.json",
		Args: oneKey(),
		RunE: func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.file, "file", "f", "", "a definition in flagd's JSON; - reads standard input")
	flags.BoolVar(&opts.on, "on", false, "on for everybody")
	flags.Float64Var(&opts.percent, "rollout", 0, "on for so many percent of the users")
	flags.StringArrayVar(&opts.users, "user", nil, "on for this user; may be given more than once")
	flags.BoolVar(&opts.ring, "ring", false, "the same users first as with every other flag that has --ring")
	return cmd
}

func (o *flagCreateOptions) run(ctx context.Context, key string) error {
	definition, err := o.definition()
	if err != nil {
		return err
	}
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var f board.Flag
	err = s.change(ctx, http.MethodPut, s.flag(key, ""), noVersion, definition, &f)
	if there := (overtaken{}); errors.As(err, &there) {
		return fmt.Errorf("%s is there already, in version %d; slipway flag set changes it", key, there.version)
	}
	return o.done(err, &f, "created")
}

func (o *flagCreateOptions) definition() (any, error) {
	switch {
	case !(o.percent >= 0 && o.percent <= 100):
		return nil, usageError{fmt.Errorf("--rollout %v is not a percentage; want 0 to 100", o.percent)}
	case o.on && o.percent != 0:
		return nil, usageError{errors.New("--on is for everybody; leave --rollout out, or --on")}
	}
	if o.file == "" {
		short := map[string]any{"enabled": o.on, "rollout_percent": o.percent}
		if len(o.users) > 0 {
			short["users"] = o.users
		}
		if o.ring {
			short["bucketing"] = "ring"
		}
		return short, nil
	}
	if o.on || o.percent != 0 || len(o.users) > 0 || o.ring {
		return nil, usageError{errors.New("a file says it all; leave --on, --rollout, --user and --ring out")}
	}
	return o.jsonFile(o.file)
}

// jsonFile reads a file of JSON as it is.
func (o *flagOptions) jsonFile(file string) (json.RawMessage, error) {
	text, err := o.read(file)
	if err != nil {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%s is not JSON", file)
	}
	return text, nil
}

// done says how a flag is after a change.
func (o *flagOptions) done(err error, f *board.Flag, what string) error {
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(f)
	}
	for _, note := range f.Notes {
		fmt.Fprintf(o.err, "slipway: note: %s\n", note)
	}
	_, err = fmt.Fprintf(o.out, "%s %s: version %d, %s\n", f.Key, what, f.Version, onOff(f))
	return err
}

func newFlagToggle(o *flagOptions, verb string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " KEY",
		Short: map[string]string{"enable": "Switch a flag on", "disable": "Switch a flag off for everybody"}[verb],
		Long: map[string]string{"enable": `Switch a flag on.

A flag in the short form is on for all users, even if its rollout was lower: slipway flag rollout
switches it on for a percentage. A flag with a ramp or targeting of its own keeps them.`, "disable": `Switch a flag off for everybody.

A flag whose stored definition is broken is switched off too: the definition is replaced by
one that is off, and stays in the flag's history.`}[verb],
		Args: oneKey(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.post(cmd.Context(), args[0], verb, api.Reason{Why: o.why}, verb+"d")
		},
	}
}

// post makes an absolute change, and says so.
func (o *flagOptions) post(ctx context.Context, key, verb string, in any, what string) error {
	f, err := o.anyhow(ctx, http.MethodPost, key, "/"+verb, in)
	return o.done(err, f, what)
}

// anyhow makes an absolute change, which is right whatever the flag was before.
func (o *flagOptions) anyhow(ctx context.Context, method, key, rest string, in any) (*board.Flag, error) {
	s, err := o.site(ctx)
	if err != nil {
		return nil, err
	}
	f := new(board.Flag)
	return f, s.change(ctx, method, s.flag(key, rest), anyVersion, in, f)
}

func newFlagRollout(o *flagOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "rollout KEY PERCENT",
		Short: "Switch a flag on for a share of the users",
		Long: `Switch a flag on for a share of the users. Users who are on stay on while the share grows:
the bucket key, the order of the buckets and the hash version stay. A ramp ends.`,
		Example: "  slipway flag rollout new-cart 20",
		Args:    oneKey("a percentage"),
		RunE: func(cmd *cobra.Command, args []string) error {
			percent, err := strconv.ParseFloat(args[1], 64)
			if err != nil || !(percent >= 0 && percent <= 100) {
				return usageError{fmt.Errorf("%q is not a percentage; want 0 to 100", args[1])}
			}
			what := "rolled out to " + flag.PercentText(percent) + " %"
			return o.post(cmd.Context(), args[0], "rollout", api.RolloutRequest{Percent: &percent, Why: o.why}, what)
		},
	}
}

func newFlagRestore(o *flagOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "restore KEY VERSION",
		Short: "Bring back what a flag was; slipway flag history has the versions",
		Args:  oneKey("a version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || version < 1 {
				return usageError{fmt.Errorf("%q is not a version; slipway flag history has them", args[1])}
			}
			return o.restore(cmd.Context(), args[0], version)
		},
	}
}

func (o *flagOptions) restore(ctx context.Context, key string, version int64) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	match := anyVersion
	var f board.Flag
	var p problem
	if err := s.get(ctx, s.flag(key, ""), nil, &f); errors.As(err, &p) && p.Status == http.StatusNotFound {
		match = noVersion // deleted; it comes back
	}
	err = s.change(ctx, http.MethodPost, s.flag(key, "/restore"), match, api.RestoreRequest{Version: version, Why: o.why}, &f)
	return o.done(err, &f, fmt.Sprintf("restored to version %d", version))
}

type flagSetOptions struct {
	*flagOptions
	file, patch string
	version     int64
}

func newFlagSet(o *flagOptions) *cobra.Command {
	opts := &flagSetOptions{flagOptions: o}
	cmd := &cobra.Command{
		Use:     "set KEY (-f FILE | --patch JSON)",
		Short:   "Change a flag's definition, whole or by a JSON merge patch",
		Example: `  slipway flag set banner --patch '{"defaultVariant":"blue"}'` + "\n  slipway flag set banner -f banner.json --version 7",
		Args:    oneKey(),
		RunE:    func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.file, "file", "f", "", "the whole definition; - reads standard input")
	flags.StringVar(&opts.patch, "patch", "", "what to change, as a JSON merge patch (RFC 7396)")
	flags.Int64Var(&opts.version, "version", 0, "only if this version is still there (default the newest)")
	return cmd
}

func (o *flagSetOptions) run(ctx context.Context, key string) error {
	method, in := http.MethodPatch, json.RawMessage(o.patch)
	switch {
	case (o.file == "") == (o.patch == ""):
		return usageError{errors.New("say what to change with one of -f and --patch")}
	case o.patch != "" && !json.Valid(in):
		return usageError{errors.New("--patch is not JSON")}
	case o.file != "":
		var err error
		if in, err = o.jsonFile(o.file); err != nil {
			return err
		}
		method = http.MethodPut
	}
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var f board.Flag
	if o.version == 0 {
		if err := s.get(ctx, s.flag(key, ""), nil, &f); err != nil {
			return err
		}
		o.version = f.Version
	}
	err = s.change(ctx, method, s.flag(key, ""), ifVersion(o.version), in, &f)
	return o.done(err, &f, "set")
}

func newFlagArchive(o *flagOptions) *cobra.Command {
	undo := false
	cmd := &cobra.Command{
		Use:   "archive KEY",
		Short: "Put a flag away: it answers as if it weren't there, and can be deleted",
		Args:  oneKey(),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := o.anyhow(cmd.Context(), http.MethodPatch, args[0], "", map[string]bool{"archived": !undo})
			return o.done(err, f, map[bool]string{false: "archived", true: "taken out of the archive"}[undo])
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "take it out again")
	return cmd
}

func newFlagDelete(o *flagOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "delete KEY",
		Short: "Delete an archived flag; its history stays",
		Args:  oneKey(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.delete(cmd.Context(), args[0])
		},
	}
}

func (o *flagOptions) delete(ctx context.Context, key string) error {
	s, err := o.site(ctx)
	if err != nil {
		return err
	}
	var f board.Flag
	if err := s.change(ctx, http.MethodDelete, s.flag(key, ""), anyVersion, nil, &f); err != nil {
		return err
	}
	if o.format == formatJSON {
		return o.json(&f)
	}
	_, err = fmt.Fprintf(o.out, "%s deleted; %s\n", f.Key, s.wayBack(ctx, key))
	return err
}

// wayBack names the version that brings a deleted flag back as it was before it was archived. Where it can't be found, wayBack names
// the command that lists the versions.
func (s *flagSite) wayBack(ctx context.Context, key string) string {
	var page api.VersionPage
	if err := s.get(ctx, s.flag(key, "/versions"), nil, &page); err == nil {
		for _, v := range page.Versions {
			var was struct {
				Archived bool `json:"archived"`
			}
			if len(v.Definition) > 0 && json.Unmarshal(v.Definition, &was) == nil && !was.Archived {
				return fmt.Sprintf("slipway flag restore %s %d brings it back as it was before it was archived", key, v.Version)
			}
		}
	}
	return fmt.Sprintf("slipway flag restore %s VERSION brings it back; slipway flag history %s has the versions", key, key)
}
