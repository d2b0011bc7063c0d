package ofrep_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/internal/ofrep"
)

// The scanner takes what encoding/json takes, and finds the same members.
func FuzzMembers(f *testing.F) {
	for _, each := range []string{`{}`, `{"a":1}`, ` {"context" : {"a":[1,-0.5e+7,"\u00e9\n"]}, "b":null} `, `{"a":01}`, `{"a":1}x`, `{"a":tru}`,
		`{"a":"` + "\x01" + `"}`, `{"a":"\x"}`, `{"a":[1,]}`, `{,}`, `{"a":-}`, `{"a":1.}`, `[]`, `{"a":1,"a":2}`} {
		f.Add([]byte(each))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		last := map[string]string{}
		ok := ofrep.Members(text, func(name, value []byte) {
			if unquoted, ok := ofrep.Unquote([]byte(`"` + string(name) + `"`)); ok {
				last[unquoted] = string(value)
			}
		})
		var want map[string]json.RawMessage
		err := json.Unmarshal(text, &want)
		if valid := err == nil && want != nil; ok != valid {
			if ok || !strings.Contains(string(text), strings.Repeat("[", 100)) && !strings.Contains(string(text), strings.Repeat("{", 100)) {
				t.Fatalf("%q: %v, encoding/json says %v", text, ok, err)
			}
			return
		}
		for name, value := range want {
			if ok && utf8.Valid(text) && last[name] != string(value) {
				t.Errorf("%q: %q is %s, want %s", text, name, last[name], value)
			}
		}
	})
}

// Whatever is sent, the answer is JSON with a status that OFREP knows.
func FuzzEvaluate(f *testing.F) {
	f.Add("checkout", `{"context":{"targetingKey":"u","email":"a@shop.test"}}`, "")
	f.Add("", `{"context":{}}`, `W/"x", "y"`)
	f.Add("banner", `{"context":{"a":{"b":[1,2,{"c":null}]}}}`, "*")
	f.Add("../x", `{`, `"`)
	w := newWorld(shop)
	f.Fuzz(func(t *testing.T, key, body, tag string) {
		path := "/ofrep/v1/evaluate/flags"
		if key != "" {
			path += "/x"
		}
		r, err := http.NewRequest(http.MethodPost, "http://flags.test"+path, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		if key != "" {
			r.URL.Path, r.URL.RawPath = "/ofrep/v1/evaluate/flags/"+key, ""
		}
		r.Header["If-None-Match"], r.Header["X-Api-Key"] = []string{tag}, []string{goodKey}
		got := send(w.server, r)
		switch got.Code {
		case 200, 400, 404, 413:
			if !json.Valid(got.Body.Bytes()) || !utf8.Valid(got.Body.Bytes()) {
				t.Errorf("%d %q", got.Code, got.Body)
			}
		case 304:
			if key != "" || tag == "" || got.Body.Len() > 0 {
				t.Errorf("304 for %q, %q: %q", key, tag, got.Body)
			}
		default:
			t.Errorf("%d", got.Code)
		}
	})
}

// Every tag matches itself, wherever it stands in a list.
func FuzzMatches(f *testing.F) {
	f.Add(`W/"a", "b"`, "c")
	f.Add(`"a"`, "a")
	f.Add(`*`, "")
	f.Add(`"`, `x`)
	f.Fuzz(func(t *testing.T, header, tag string) {
		if strings.ContainsAny(tag, `"`) {
			return
		}
		quoted := `"` + tag + `"`
		if !ofrep.Matches(quoted+", "+header, quoted) || !ofrep.Matches("W/"+quoted, quoted) || !ofrep.Matches(quoted, "W/"+quoted) {
			t.Errorf("%s doesn't match itself before %q", quoted, header)
		}
		if ofrep.Matches(header, quoted) && !strings.Contains(header, quoted) && !strings.Contains(header, "*") {
			t.Errorf("%q matches %s", header, quoted)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(event("POST", "/ofrep/v1/evaluate/flags/f", `{"x-api-key":"k"}`, `"{\"context\":{}}"`, false)))
	f.Add([]byte(`{"rawPath":"/","headers":{"authorization":"Bearer \u0041"},"requestContext":{"http":{"method":"GET"}},"body":"e30=","isBase64Encoded":true}`))
	w := newWorld(shop)
	function := ofrep.Function{Server: w.server}
	f.Fuzz(func(t *testing.T, text []byte) {
		answer, err := function.Invoke(t.Context(), text)
		if err == nil && !json.Valid(answer) {
			t.Errorf("%q", answer)
		}
	})
}
