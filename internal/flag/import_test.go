package flag_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/flag"
)

// TestImportOfWhatFlagdIgnores: members that flagd's schema lets pass are left out with a note, a description is kept.
func TestImportOfWhatFlagdIgnores(t *testing.T) {
	text := `{"$schema":"https://flagd.dev/schema/v0/flags.json","owner":"ann","evaluators":{},"flags":{
		"adFailure":{"defaultVariant":"off","description":"Fail ad service","state":"ENABLED","variants":{"off":false,"on":true}},
		"b":{"state":"ENABLED","variants":{"off":false},"owner":{"x":[1]},"targeing":{"if":[]},"default_variant":"off","description":7,"key":"b"}}}`
	if _, err := flag.ParseDocument([]byte(text)); err == nil {
		t.Error("a definition of one's own takes them, too")
	}
	d, notes, err := flag.ImportDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"flags":{"adFailure":{"state":"ENABLED","variants":{"off":false,"on":true},"defaultVariant":"off","description":"Fail ad service"},` +
		`"b":{"state":"ENABLED","variants":{"off":false}}}}`
	if got := string(d.JSON()); got != want {
		t.Errorf("imported %s; want %s", got, want)
	}
	if got := plain(d); strings.Contains(got, "description") {
		t.Errorf("exported with the description, for which Python's core refuses the document: %s", got)
	}
	got := map[string]string{}
	for _, n := range notes {
		got[n.Path] = n.Message
	}
	for path, message := range map[string]string{"/owner": "as flagd does", "/evaluators": `did you mean "$evaluators"?`, "/flags/b/owner": "as flagd does",
		"/flags/b/targeing": `did you mean "targeting"?`, "/flags/b/default_variant": `did you mean "defaultVariant"?`,
		"/flags/b/description": "want a string", "/flags/b/key": "as flagd does"} {
		if !strings.Contains(got[path], message) {
			t.Errorf("%s: %q; want %q", path, got[path], message)
		}
	}
	if len(notes) != 7 {
		t.Errorf("%d notes: %v", len(notes), notes)
	}
}

// TestImportNamesTheTypo: where a member is missing, the one that looks like it is named with what is wrong.
func TestImportNamesTheTypo(t *testing.T) {
	_, _, err := flag.ImportDocument([]byte(`{"flags":{"b":{"State":"ENABLED","variants":{"off":false},"owner":1}}}`))
	var invalid *flag.Invalid
	if !errors.As(err, &invalid) || len(invalid.Problems) != 2 || invalid.Problems[1].Path != "/flags/b/State" ||
		!strings.Contains(invalid.Problems[1].Message, `did you mean "state"?`) {
		t.Errorf("%v", err)
	}
}

// TestImportNotesAreBounded: a thousand flags with a member too many are no thousand notes.
func TestImportNotesAreBounded(t *testing.T) {
	var flags []string
	for i := range 1000 {
		flags = append(flags, fmt.Sprintf(`"f%d":{"enabled":true,"owner":"ann"}`, i))
	}
	d, notes, err := flag.ImportDocument([]byte(`{"flags":{` + strings.Join(flags, ",") + `}}`))
	if err != nil || len(d.Flags) != 1000 || len(notes) > 100 || !strings.Contains(notes[len(notes)-1].Message, "more") {
		t.Errorf("%d flags, %d notes, %v: %v", len(d.Flags), len(notes), notes[len(notes)-1], err)
	}
}

// FuzzImport: whatever is imported is stored in a form that the strict reader takes, and that says the same again.
func FuzzImport(f *testing.F) {
	seed(f)
	f.Add([]byte(`{"x":1,"flags":{"a":{"enabled":true,"owner":1,"description":"d"}}}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, text, _ []byte) {
		d, _, err := flag.ImportDocument(text)
		if err != nil {
			return
		}
		again, notes, err := flag.ImportDocument(d.JSON())
		if err != nil || len(notes) > 0 || string(again.JSON()) != string(d.JSON()) {
			t.Fatalf("%q became %s: %v, %v", text, d.JSON(), err, notes)
		}
		if _, err := flag.Compile(d.JSON()); err != nil {
			t.Fatalf("%q became %s: %v", text, d.JSON(), err)
		}
		if found := flag.Check(d.JSON()); len(found) > 0 {
			t.Fatalf("%q became %s: %v", text, d.JSON(), found)
		}
	})
}
