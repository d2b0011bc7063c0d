package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

type apiOptions struct {
	*program
	method   string
	path     *url.URL
	texts    []string // name=value
	typed    []string // name=JSON
	headers  []string // Name: value
	input    string   // the body's file
	include  bool
	paginate bool
}

func newAPI(p *program) *cobra.Command {
	opts := &apiOptions{program: p}
	cmd := &cobra.Command{
		Use:   "api METHOD PATH",
		Short: "Sign a request to the API, send it and print the answer",
		Long: `Sign a request to the API with your credentials, send it and print the answer's
body. Fields become the query of a GET or DELETE, and with --input of anything;
else they are the body. GET /v1/openapi.json describes all there is to ask.

Whatever the API answers is printed; the exit code is 1 where that is an error.`,
		Example: "  slipway api GET /v1/apps/shop/deployments -f status=failed --paginate\n" +
			"  slipway api POST /v1/apps/shop/environments/production/deployments -f commit_sha=$(git rev-parse HEAD) -F force_deployment=true\n" +
			"  slipway api PUT /v1/apps/shop/environments/production/flags/cart --input cart.json -H 'If-Match: *'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.arguments(args); err != nil {
				return usageError{err}
			}
			return opts.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&opts.texts, "raw-field", "f", nil, "name=value, as text")
	flags.StringArrayVarP(&opts.typed, "field", "F", nil, "name=value, where the value may be any JSON: true, 7, null, [\"a\"]")
	flags.StringArrayVarP(&opts.headers, "header", "H", nil, "'Name: value'")
	flags.StringVar(&opts.input, "input", "", "the body's file; - reads standard input")
	flags.BoolVarP(&opts.include, "include", "i", false, "print the answer's status and headers too")
	flags.BoolVar(&opts.paginate, "paginate", false, "ask for all pages, and print one after the other")
	return cmd
}

func (o *apiOptions) arguments(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("slipway api takes a method and a path")
	}
	o.method = strings.ToUpper(args[0])
	if methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}; !slices.Contains(methods, o.method) {
		return fmt.Errorf("%q is not a method; want one of %s", args[0], strings.Join(methods, ", "))
	}
	o.path, err = url.Parse("/" + strings.TrimPrefix(args[1], "/"))
	switch {
	case err != nil || strings.Contains(args[1], "://") || o.path.Host != "" || o.path.Fragment != "":
		return fmt.Errorf("%q is not a path; want one like /v1/deployments", args[1])
	case o.paginate && o.method != http.MethodGet:
		return errors.New("--paginate is for GET")
	}
	return nil
}

func (o *apiOptions) run(ctx context.Context) error {
	r, err := o.request()
	if err != nil {
		return err
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	query := o.path.Query()
	for {
		o.path.RawQuery = query.Encode()
		r.path = o.path.String()
		a, err := c.ask(ctx, r)
		if err != nil {
			return err
		}
		if err := o.print(a); err != nil {
			return err
		}
		if a.code >= http.StatusBadRequest {
			return refused(r, a, "") // the caller chose the route
		}
		next := nextCursor(a.body)
		if !o.paginate || next == "" || next == query.Get("cursor") { // a log's cursor is there at its end too
			return nil
		}
		query.Set("cursor", next)
	}
}

func nextCursor(body []byte) string {
	var page struct {
		Next string `json:"next_cursor"`
	}
	_ = json.Unmarshal(body, &page) // what isn't a page has no next
	return page.Next
}

// request makes the request of the options.
func (o *apiOptions) request() (request, error) {
	r := request{method: o.method, header: http.Header{}}
	for _, line := range o.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.TrimSpace(name) != name {
			return r, usageError{fmt.Errorf("-H %q is not a header; want 'Name: value'", line)}
		}
		r.header.Add(textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value))
	}
	fields, err := o.fields()
	if err != nil {
		return r, err
	}
	if o.input != "" {
		text, err := o.read(o.input)
		if err != nil {
			return r, err
		}
		r.in = raw(text)
	}
	if bodied := []string{http.MethodPost, http.MethodPut, http.MethodPatch}; o.input == "" && len(fields) > 0 && slices.Contains(bodied, o.method) {
		r.in = fields
		return r, nil
	}
	query := o.path.Query()
	for name, value := range fields {
		query.Set(name, fmt.Sprintf("%s", value)) // a text, or JSON's
	}
	o.path.RawQuery = query.Encode()
	return r, nil
}

// raw is a body that is sent as it is, JSON or not: what is wrong with it, the API says.
type raw []byte

func (o *apiOptions) fields() (map[string]any, error) {
	fields := map[string]any{}
	for i, list := range [][]string{o.texts, o.typed} {
		for _, each := range list {
			name, text, ok := strings.Cut(each, "=")
			if _, twice := fields[name]; !ok || name == "" || twice {
				return nil, usageError{fmt.Errorf("%q is not a field of its own; want name=value, each name once", each)}
			}
			fields[name] = text
			if i == 0 {
				continue
			}
			if value := json.RawMessage(text); json.Valid(value) {
				fields[name] = value
			}
		}
	}
	return fields, nil
}

// print shows an answer.
func (o *apiOptions) print(a *answer) error {
	if o.include {
		fmt.Fprintf(o.out, "%s\n", a.status)
		for _, name := range slices.Sorted(maps.Keys(a.header)) {
			for _, value := range a.header[name] {
				fmt.Fprintf(o.out, "%s: %s\n", name, value)
			}
		}
		fmt.Fprintln(o.out)
	}
	text := a.body
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	_, err := o.out.Write(text)
	return err
}
