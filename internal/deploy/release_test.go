package deploy_test

import (
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

func TestTakes(t *testing.T) {
	a, b := map[string]string{"A": "1", "B": "ssm:b"}, map[string]string{"A": "1", "B": "ssm:c"}
	for name, c := range map[string]struct {
		variables map[string]string
		rebuild   bool
		release   *deploy.Release
		ok        bool
		why       string
	}{
		"nothing was built":          {a, false, nil, false, ""},
		"the same variables":         {a, false, &deploy.Release{BuiltBy: "x", BuildVariables: deploy.VariablesDigest(a)}, true, ""},
		"none, as before there were": {nil, false, &deploy.Release{BuiltBy: "x"}, true, ""},
		"none, in an empty map":      {map[string]string{}, false, &deploy.Release{BuiltBy: "x"}, true, ""},
		"another value":              {b, false, &deploy.Release{BuiltBy: "x", BuildVariables: deploy.VariablesDigest(a)}, false, "build_variables were others"},
		"one was added":              {a, false, &deploy.Release{BuiltBy: "x"}, false, "build_variables were others"},
		"all were taken out":         {nil, false, &deploy.Release{BuiltBy: "x", BuildVariables: deploy.VariablesDigest(a)}, false, "build_variables were others"},
		"a rebuild":                  {a, true, &deploy.Release{BuiltBy: "x", BuildVariables: deploy.VariablesDigest(a)}, false, "a rebuild was asked for"},
		"a rebuild's own, run again": {a, true, &deploy.Release{BuiltBy: "me", BuildVariables: deploy.VariablesDigest(a)}, true, ""},
	} {
		d := &deploy.Deployment{ID: "me", Variables: c.variables, Rebuild: c.rebuild}
		if ok, why := d.Takes(c.release); ok != c.ok || why != c.why {
			t.Errorf("%s: %v, %q; want %v, %q", name, ok, why, c.ok, c.why)
		}
	}
}

// TestVariablesDigest: names and values can't be moved from one to the other.
func TestVariablesDigest(t *testing.T) {
	seen := map[string]string{}
	for name, variables := range map[string]map[string]string{
		"none": nil, "one": {"A": "1"}, "another name": {"B": "1"}, "another value": {"A": "2"}, "two": {"A": "1", "B": "1"},
		"a value with all": {"A": `1","B":"1`}, "a longer name": {"A1": ""}, "its value": {"A": "1\x00"},
	} {
		digest := deploy.VariablesDigest(variables)
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have the same digest, %q", name, other, digest)
		}
		seen[digest] = name
	}
}
