package flag_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// flagd parses a document and exports it as plain flagd.
func flagd(t *testing.T, document string) (text string, notes []flag.Problem) {
	t.Helper()
	d, err := flag.ParseDocument([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}

	plain, notes := d.Flagd()
	return string(plain), notes
}

func noted(notes []flag.Problem, path, message string) bool {
	return slices.ContainsFunc(notes, func(n flag.Problem) bool { return n.Path == path && strings.Contains(n.Message, message) })
}

const onOff = `"state":"ENABLED","variants":{"off":false,"on":true},"defaultVariant":"off"`

func TestExportNotes(t *testing.T) {
	text, notes := flagd(t, `{"flags":{"ring":{"enabled":false,"rollout_percent":20,"bucketing":"ring"},"old":{"enabled":true,"archived":true},
		"plain":{"state":"ENABLED","variants":{"a":1.0},"defaultVariant":"a","targeting":{"if":[true,"a"]}},
		"nodefault":{"state":"ENABLED","variants":{"a":1},"targeting":{"if":[true,"a"]}},
		"v2":{`+onOff+`,"targeting":{"fractional":[["on",1],["off",1]]}},
		"short":{"enabled":false,"rollout_percent":20},
		"segment":{`+onOff+`,"targeting":{"if":[{"$ref":"half"},"on","off"]}},
		"v3":{`+onOff+`,"targeting":{"if":[true,{"fractional":[["on",1],["off",1]]}]},"hashVersion":"v3"}},
		"$evaluators":{"half":{"==":[{"fractional":[["a",1],["b",1]]},"a"]}}}`)

	var paths []string
	for _, n := range notes {
		paths = append(paths, n.Path)
	}
	want := []string{"/flags/nodefault", "/flags/old", "/flags/ring", "/flags/segment", "/flags/short", "/flags/v2", "/flags/v3"}
	if !slices.Equal(paths, want) {
		t.Errorf("notes about %v; want %v", paths, want)
	}
	for path, message := range map[string]string{"/flags/v2": "hash version v2: in-process clients in Go", "/flags/v3": "v3: in-process clients in Python",
		"/flags/short": "v2", "/flags/segment": "v2", "/flags/nodefault": "Rust"} {
		if !noted(notes, path, message) {
			t.Errorf("no note on %s about %q in %v", path, message, notes)
		}
	}
	if !strings.Contains(text, `"plain":{"state":"ENABLED","variants":{"a":1.0},"defaultVariant":"a","targeting":{"if":[true,"a"]}}`) || strings.Contains(text, `"old"`) {
		t.Errorf("%s", text)
	}
}

// Java's provider refuses a document in which a flag refers to a segment with a dollar sign or a backslash.
func TestExportWritesSegmentsOut(t *testing.T) {
	text, notes := flagd(t, `{"flags":{"late":{`+onOff+`,"targeting":{"if":[{"and":[{"$ref":"time"},{"$ref":"quote"},{"$ref":"staff"}]},"on",null]}}},
		"$evaluators":{"time":{">":[{"var":"$flagd.timestamp"},5]},"quote":{"!=":[{"var":"email"},"a\"b"]},"staff":{"in":["@",{"var":"email"}]}}}`)

	want := `{"flags":{"late":{` + onOff + `,"targeting":{"if":[{"and":[{">":[{"var":"$flagd.timestamp"},5]},{"!=":[{"var":"email"},"a\"b"]},` +
		`{"$ref":"staff"}]},"on",null]}}},"$evaluators":{"staff":{"in":["@",{"var":"email"}]}}}`
	if text != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	if len(notes) != 2 || !noted(notes, "/$evaluators/time", "written out") || !noted(notes, "/$evaluators/quote", "written out") {
		t.Errorf("notes %v; want one on each segment that was written out", notes)
	}
}

// What would grow too large keeps its reference, and says so.
func TestExportKeepsLargeSegments(t *testing.T) {
	var users []string
	for i := range 4000 {
		users = append(users, fmt.Sprintf(`"$%08d"`, i))
	}
	large := `{"in":[{"var":"targetingKey"},[` + strings.Join(users, ",") + `]]}` // 44 KB
	var flags []string
	for i := range 30 {
		flags = append(flags, fmt.Sprintf(`"f%02d":{%s,"targeting":{"if":[{"$ref":"large"},"on",null]}}`, i, onOff))
	}
	twice := `"twice":{` + onOff + `,"targeting":{"if":[{"$ref":"large"},"on",{"$ref":"large"},"on",null]}}`

	text, notes := flagd(t, `{"flags":{`+strings.Join(append(flags, twice), ",")+`},"$evaluators":{"large":`+large+`}}`)
	if len(text) > 1<<20+200_000 {
		t.Errorf("the export has %d bytes", len(text))
	}
	if !strings.Contains(text, `"f00":{`+onOff+`,"targeting":{"if":[`+large) || !strings.Contains(text, `"f29":{`+onOff+`,"targeting":{"if":[{"$ref":"large"}`) {
		t.Error("the first segments are not written out, or the last are")
	}
	if !strings.Contains(text, `"$evaluators":{"large":`) || !noted(notes, "/flags/f29", "Java") || !noted(notes, "/flags/twice", "Java") || noted(notes, "/flags/f00", "Java") {
		t.Errorf("notes %v", notes)
	}
}

// The short form takes either hash version, and puts users where the fractional of its export does.
func TestShortFormHashVersion(t *testing.T) {
	for _, version := range []string{"", `,"hashVersion":"v2"`, `,"hashVersion":"v3"`} {
		document := `{"flags":{"banner":{"enabled":false,"rollout_percent":20` + version + `}}}`
		text, _ := flagd(t, document)
		if version != "" {
			text = strings.Replace(text, `"fractional":[["on",20000],["off",80000]]}`, `"fractional":[["on",20000],["off",80000]]}`+version, 1)
		}

		short, full := compile(t, document), compile(t, text)
		on := 0
		for i := range 1000 {
			user := &flag.Context{TargetingKey: fmt.Sprint("user-", i)}
			got, want := short.Evaluate("banner", user), full.Evaluate("banner", user)
			if got.Variant != want.Variant {
				t.Fatalf("%s: user-%d has %s; exported as %s, %s", document, i, got.Variant, text, want.Variant)
			}
			if got.Variant == "on" {
				on++
			}
		}
		if on < 150 || on > 250 {
			t.Errorf("%s: on for %d of 1000 users", document, on)
		}
	}

	v2, v3 := compile(t, `{"flags":{"banner":{"rollout_percent":20}}}`), compile(t, `{"flags":{"banner":{"rollout_percent":20,"hashVersion":"v3"}}}`)
	same := 0
	for i := range 1000 {
		user := &flag.Context{TargetingKey: fmt.Sprint("user-", i)}
		if v2.Evaluate("banner", user).Variant == v3.Evaluate("banner", user).Variant {
			same++
		}
	}
	if same == 1000 {
		t.Error("both hash versions put everybody into the same bucket")
	}
}
