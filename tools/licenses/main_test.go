package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	securejoin := part{"github.com/cyphar/filepath-securejoin", "v0.6.1", "MPL-2.0"}
	for name, c := range map[string]struct {
		parts []part
		want  string // "": allowed
	}{
		"allowed":           {[]part{securejoin, {"a", "v1", "MIT"}, {"b", "v1", "Apache-2.0"}}, ""},
		"copyleft":          {[]part{securejoin, {"a", "v1", "GPL-3.0"}}, "a v1 is under GPL-3.0; want one of"},
		"unknown":           {[]part{securejoin, {"a", "v1", "Unknown"}}, "a v1 is under Unknown"},
		"another's MPL":     {[]part{securejoin, {"a", "v1", "MPL-2.0"}}, "a v1 is under MPL-2.0"},
		"an idle exception": {[]part{{"a", "v1", "MIT"}}, "nothing needs the exception for github.com/cyphar"},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(c.parts)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	parts, err := parse("\na v1 MIT\n\nb v2 ISC\n")
	if err != nil || len(parts) != 2 || parts[1] != (part{"b", "v2", "ISC"}) {
		t.Errorf("%v, %v", parts, err)
	}
	for _, bad := range []string{"", "\n", "a v1\n"} {
		if parts, err := parse(bad); err == nil {
			t.Errorf("%q is %v; want an error", bad, parts)
		}
	}
}
