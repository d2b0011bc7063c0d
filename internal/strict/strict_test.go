package strict_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/strict"
)

type target struct {
	Function string `json:"function"`
	Weight   int64  `json:"weight"`
}

type request struct {
	App     string          `json:"app"`
	Force   bool            `json:"force_deployment,omitempty"`
	Share   float64         `json:"share"`
	Targets []target        `json:"targets"`
	One     *target         `json:"one"`
	Labels  map[string]any  `json:"labels"`
	Raw     json.RawMessage `json:"raw"`
	At      time.Time       `json:"at"`
}

var (
	closed = strict.Form{Name: "the input"}
	open   = strict.Form{Name: "the detail", Example: `{"app":"shop"}`, Open: true}
)

func TestDecode(t *testing.T) {
	long := strings.Repeat("x", 250<<10)
	for _, c := range []struct {
		form strict.Form
		text string
		says string // "" if it is taken
	}{
		{closed, `{"app":"shop","force_deployment":true,"share":0.5,"targets":[{"function":"f","weight":7}],"one":{"weight":1},"labels":{"a":[{"b":1}]}}`, ""},
		{closed, `{"raw":{"any":["form"]},"at":"2026-11-27T06:00:00Z"}`, ""},
		{closed, `{"app":null,"targets":null}`, ""},
		{closed, `{}`, ""},
		{closed, `null`, ""},
		{closed, `{"ap":"shop"}`, "ap: unknown; want app, at, force_deployment, labels, one, raw, share, targets"},
		{closed, `{"App":"shop"}`, "App: unknown; want app"},
		{closed, `{"app":"shop","APP":"shed"}`, "APP: unknown; want app"},
		{closed, `{"Force_Deployment":true}`, "Force_Deployment: unknown; want force_deployment"},
		{closed, "{\"target\u017f\":[]}", "target\u017f: unknown; want targets"}, // encoding/json takes the long s for an s
		{closed, `{"app":"shop","app":"shed"}`, "app: is there twice"},
		{closed, `{"app":"shop","\u0061pp":"shed"}`, "app: is there twice"},
		{closed, `{"targets":[{"function":"f"},{"function":"f","function":"g"}]}`, "targets[1].function: is there twice"},
		{closed, `{"one":{"Weight":1}}`, "one.Weight: unknown; want weight"},
		{closed, `{"labels":{"a":{"b":1,"b":2}}}`, "labels.a.b: is there twice"},
		{closed, `{"labels":{"a":1,"A":2}}`, ""},
		{closed, `{"raw":{"a":1,"a":2}}`, "raw.a: is there twice"},
		{closed, `{"app":7}`, "app: is a number; want text"},
		{closed, `{"force_deployment":"yes"}`, "force_deployment: is text; want true or false"},
		{closed, `{"targets":{}}`, "targets: is an object; want a list"},
		{closed, `{"one":{"weight":1.5}}`, "one.weight: 1.5; want a whole number"},
		{closed, `{"share":1e300}`, "share: 1e300 is too large"},
		{closed, `{"at":"noon"}`, "the input: "},
		{closed, `[]`, "the input is a list; want an object"},
		{closed, `"x"`, "the input is text; want an object"},
		{closed, `{"app":"shop"} {}`, "the input is not JSON"},
		{closed, ``, "the input is not JSON"},
		{closed, `{"` + long + `":1}`, "xx…: unknown"},
		{open, `{"app":"shop","sender":{"id":1}}`, ""},
		{open, `{"app":"shop","App":"shed"}`, "App: unknown; want app"},
		{open, `{"sender":1,"sender":2}`, "sender: is there twice"},
		{open, `{"sender":{"id":1,"id":2}}`, "sender.id: is there twice"},
		{open, `7`, `the detail is a number; want an object such as {"app":"shop"}`},
	} {
		var into request
		err := c.form.Decode([]byte(c.text), &into)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%.80s: %v", c.text, err)
		case c.says != "" && (deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%.80s: %v, want %q", c.text, err, c.says)
		case err != nil && len(err.Error()) > 300:
			t.Errorf("%.80s: an error of %d bytes", c.text, len(err.Error()))
		}
	}
}

// FuzzDecode: what is taken means the same to a reader that knows no letter case and to one that takes the first of two fields.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"app":"shop"}`, `{"App":"a","app":"b"}`, `{"one":{"weight":1,"weight":2}}`, `{"labels":{"a":[1,{"b":null}]}}`, `[]`, `{"a`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var into request
		if err := closed.Decode(text, &into); err != nil {
			if deploy.KindOf(err) != deploy.Invalid || err.Error() == "" {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		var exact map[string]json.RawMessage
		if err := json.Unmarshal(text, &exact); err != nil {
			t.Fatalf("%q was taken, and is no object: %v", text, err)
		}
		for name := range exact {
			if !strings.Contains(" app force_deployment share targets one labels raw at ", " "+name+" ") {
				t.Errorf("%q was taken with %q", text, name)
			}
		}
		var app string
		if raw, ok := exact["app"]; ok && (json.Unmarshal(raw, &app) != nil || app != into.App) {
			t.Errorf("%q gives app %q, and exactly read %q", text, into.App, app)
		}
	})
}
