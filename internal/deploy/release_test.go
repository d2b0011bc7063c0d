package deploy_test

import (
	"strings"
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

// TestCheckSource: a deployment is refused if its uploaded bundle differs from the release's. If Slipway made the bundle, it is built again.
func TestCheckSource(t *testing.T) {
	release := &deploy.Release{BuiltBy: "x", SourceSHA256: "1"}
	for name, c := range map[string]struct {
		source  *deploy.Bundle
		rebuild bool
		release *deploy.Release
		refused bool
		takes   bool
	}{
		"nothing was built":         {&deploy.Bundle{Key: "sources/shop/c", SHA256: "2"}, false, nil, false, false},
		"the same bundle":           {&deploy.Bundle{Key: "sources/shop/c", SHA256: "1"}, false, release, false, true},
		"another upload":            {&deploy.Bundle{Key: "sources/shop/c", SHA256: "2"}, false, release, true, true},
		"another upload, rebuilt":   {&deploy.Bundle{Key: "sources/shop/c", SHA256: "2"}, true, release, false, false},
		"Slipway's own":             {&deploy.Bundle{Key: "fetched/shop/c", SHA256: "2"}, false, release, false, false},
		"a release from long ago":   {&deploy.Bundle{Key: "sources/shop/c", SHA256: "2"}, false, &deploy.Release{BuiltBy: "x"}, false, true},
		"a record without a digest": {&deploy.Bundle{Key: "sources/shop/c"}, false, release, false, true},
		"a record without a source": {nil, false, release, false, true},
	} {
		d := &deploy.Deployment{ID: "me", CommitSHA: "c", Source: c.source, Rebuild: c.rebuild}
		err := d.CheckSource(c.release)
		if ok, _ := d.Takes(c.release); (err != nil) != c.refused || ok != c.takes {
			t.Errorf("%s: %v, takes it: %v", name, err, ok)
		}
		if c.refused && (deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "has SHA-256 2, and its release by x was tested and built of 1")) {
			t.Errorf("%s: %s %v", name, deploy.KindOf(err), err)
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
