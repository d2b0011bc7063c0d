package board_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/flag"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func origin(by string) board.Origin { return board.Origin{Time: noon, By: by, Why: "a test"} }

// step makes one change, which has to succeed, and gives the state after it with the change.
func step(t *testing.T, s *board.State, decide func(d *board.Draft) error) (*board.State, *board.Commit) {
	t.Helper()
	d := s.Draft(origin("eve"))
	if err := decide(d); err != nil {
		t.Fatal(err)
	}
	c, err := d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return s, nil
	}
	return c.Next, c
}

// refused makes one change, which has to fail somewhere on its way.
func refused(t *testing.T, s *board.State, decide func(d *board.Draft) error) error {
	t.Helper()
	d := s.Draft(origin("eve"))
	err := decide(d)
	if err == nil {
		_, err = d.Commit()
	}
	if err == nil {
		t.Fatal("was not refused")
	}
	return err
}

func put(key, text string, m board.Match) func(d *board.Draft) error {
	return func(d *board.Draft) error { return d.Put(key, []byte(text), m) }
}

const (
	short  = `{"enabled":true}`
	banner = `{"state":"ENABLED","variants":{"red":"#f00","blue":"#00f"},"defaultVariant":"red","metadata":{"tags":"web, checkout"}}`
)

func TestVersionsGoOn(t *testing.T) {
	s, c := step(t, board.Empty(), put("cart", short, board.Match{}))
	if v := c.Versions[0]; v.Version != 1 || v.Action != board.Create || v.Revision != 1 || v.By != "eve" || v.Difference[0].Before != nil {
		t.Errorf("created %+v", v)
	}
	s, _ = step(t, s, put("cart", `{"enabled":false}`, board.Is(1)))
	s, c = step(t, s, func(d *board.Draft) error {
		return d.Patch("cart", []byte(`{"archived":true}`), board.Is(2))
	})
	if c.Versions[0].Action != board.Archive {
		t.Errorf("archived as %s", c.Versions[0].Action)
	}
	s, c = step(t, s, func(d *board.Draft) error { return d.Delete("cart", board.Match{Any: true}) })
	if v := c.Versions[0]; v.Version != 4 || v.Definition != nil || !s.Index["cart"].Deleted || len(s.Keys()) != 0 {
		t.Errorf("deleted %+v, index %+v", v, s.Index)
	}
	s, c = step(t, s, put("cart", short, board.Match{None: true}))
	if v := c.Versions[0]; v.Version != 5 || v.Action != board.Create || s.Index["cart"].Deleted {
		t.Errorf("came back as %+v", v)
	}
	if s.Revision != 5 {
		t.Errorf("revision %d", s.Revision)
	}
}

func TestNothingChangesInPlace(t *testing.T) {
	s, _ := step(t, board.Empty(), put("cart", short, board.Match{}))
	before := string(s.JSON())
	step(t, s, put("cart", `{"enabled":false}`, board.Match{Any: true}))
	if err := refused(t, s, put("cart", `{"enabled":7}`, board.Match{Any: true})); err == nil {
		t.Error("no error")
	}
	if string(s.JSON()) != before || s.Index["cart"].Version != 1 || s.Revision != 1 {
		t.Errorf("the base is %s by now", s.JSON())
	}
}

func TestSameIsNoChange(t *testing.T) {
	s, _ := step(t, board.Empty(), put("banner", banner, board.Match{}))
	after, c := step(t, s, put("banner", strings.ReplaceAll(banner, `":`, "\" :\n"), board.Is(1)))
	if c != nil || after.Index["banner"].Version != 1 {
		t.Errorf("wrote %+v", c)
	}
}

func TestMatch(t *testing.T) {
	s, _ := step(t, board.Empty(), put("cart", short, board.Match{}))
	for name, each := range map[string]struct {
		m      board.Match
		key    string
		want   int64
		silent bool
	}{
		"says nothing":            {board.Match{}, "cart", 1, true},
		"another version":         {board.Is(2), "cart", 1, false},
		"wants none":              {board.Match{None: true}, "cart", 1, false},
		"any, but nothing there":  {board.Match{Any: true}, "new", 0, false},
		"a version of what isn't": {board.Is(3), "new", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var u *board.Unmatched
			if err := refused(t, s, put(each.key, `{"enabled":false}`, each.m)); !errors.As(err, &u) || u.Version != each.want || u.Silent != each.silent {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	s, _ := step(t, board.Empty(), put("cart", short, board.Match{}))
	for text, path := range map[string]string{
		`{"state":"ENABLED","variants":{"on":true},"defaultVariant":"off"}`:                                       "/defaultVariant",
		`{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":{"nope":[1]}}`:               "/targeting",
		`{"enabled":true,"prerequisites":[{"flag":"absent","variant":"on"}]}`:                                     "/prerequisites/0",
		`{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":{"if":[{"$ref":"x"},"on"]}}`: "/targeting/if/0",
	} {
		err := board.Within("new", refused(t, s, put("new", text, board.Match{})))
		var invalid *flag.Invalid
		if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Problems[0].Path, path) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for key, kind := range map[string]deploy.Kind{"": deploy.Invalid, "a b": deploy.Invalid, strings.Repeat("k", 129): deploy.Invalid} {
		if err := refused(t, s, put(key, short, board.Match{})); deploy.KindOf(err) != kind || deploy.FieldOf(err) != "key" {
			t.Errorf("%q: %v", key, err)
		}
	}
	long := `{"enabled":true,"users":["` + strings.Repeat("u", board.MaxDefinition) + `"]}`
	if err := refused(t, s, put("new", long, board.Match{})); deploy.KindOf(err) != deploy.TooLarge {
		t.Error(err)
	}
}

func TestCycle(t *testing.T) {
	s, _ := step(t, board.Empty(), put("a", short, board.Match{}))
	s, _ = step(t, s, put("b", `{"enabled":true,"prerequisites":[{"flag":"a","variant":"on"}]}`, board.Match{}))
	var invalid *flag.Invalid
	if err := refused(t, s, put("a", `{"enabled":true,"prerequisites":[{"flag":"b","variant":"on"}]}`, board.Is(1))); !errors.As(err, &invalid) {
		t.Error(err)
	}
}

func TestNeededStays(t *testing.T) {
	s, _ := step(t, board.Empty(), put("a", short, board.Match{}))
	s, _ = step(t, s, put("b", `{"enabled":true,"prerequisites":[{"flag":"a","variant":"on"}]}`, board.Match{}))
	archive := func(key string) func(d *board.Draft) error {
		return func(d *board.Draft) error { return d.Patch(key, []byte(`{"archived":true}`), board.Match{Any: true}) }
	}
	remove := func(d *board.Draft) error { return d.Delete("a", board.Match{Any: true}) }
	if err := refused(t, s, archive("a")); deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "prerequisite of b") {
		t.Error("archived:", err)
	}
	if err := refused(t, s, remove); !strings.Contains(err.Error(), "not archived") {
		t.Error("deleted before it was archived:", err)
	}
	s, _ = step(t, s, archive("b"))
	s, _ = step(t, s, archive("a"))
	if err := refused(t, s, remove); !strings.Contains(err.Error(), "prerequisite of b") {
		t.Error("deleted:", err)
	}
	s, _ = step(t, s, func(d *board.Draft) error { return d.Delete("b", board.Match{Any: true}) })
	step(t, s, remove)
}

func document(t *testing.T, text string) *flag.Document {
	t.Helper()
	doc, err := flag.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func actions(c *board.Commit) string {
	var all []string
	for _, v := range c.Versions {
		all = append(all, fmt.Sprintf("%s %s %d", v.Action, v.Key, v.Version))
	}
	return strings.Join(all, ", ")
}

func TestImport(t *testing.T) {
	s, _ := step(t, board.Empty(), put("old", short, board.Match{}))
	s, _ = step(t, s, put("banner", banner, board.Match{}))
	doc := document(t, `{"flags":{"banner":`+strings.Replace(banner, "#f00", "#e00", 1)+`,"new":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",
		"targeting":{"if":[{"$ref":"staff"},"on"]}}},"$evaluators":{"staff":{"ends_with":[{"var":"email"},"@shop.test"]}},"metadata":{"version":"7"}}`)
	next, c := step(t, s, func(d *board.Draft) error { return d.Import(doc, false, board.Is(2)) })
	if got := actions(c); got != "import banner 2, import new 1, archive old 2" {
		t.Error(got)
	}
	if next.Revision != 3 || c.Versions[0].Difference[0].Path != "/variants/red" || len(c.Audit.Difference) != 2 {
		t.Errorf("revision %d, differences %+v, %+v", next.Revision, c.Versions[0].Difference, c.Audit.Difference)
	}
	kept, c := step(t, s, func(d *board.Draft) error { return d.Import(doc, true, board.Is(2)) })
	if old, _ := kept.Flag("old"); old.Archived || len(c.Versions) != 2 {
		t.Errorf("with keep: %s", actions(c))
	}
	again, c := step(t, next, func(d *board.Draft) error { return d.Import(doc, false, board.Is(3)) })
	if c != nil || again.Revision != 3 {
		t.Errorf("the same again changed %s %+v", actions(c), c.Audit)
	}
	var u *board.Unmatched
	if err := refused(t, s, func(d *board.Draft) error { return d.Import(doc, false, board.Match{}) }); !errors.As(err, &u) || !u.Silent {
		t.Error(err)
	}
	none := document(t, `{"flags":{}}`)
	gone, _ := step(t, next, func(d *board.Draft) error { return d.Import(none, false, board.Match{Any: true}) })
	if len(gone.Evaluators) != 1 { // new is archived, and names it
		t.Errorf("$evaluators %v", gone.Evaluators)
	}
}

func TestImportNeedsWhatItArchives(t *testing.T) {
	s, _ := step(t, board.Empty(), put("a", short, board.Match{}))
	doc := document(t, `{"flags":{"b":{"enabled":true}}}`)
	b := doc.Flags["b"]
	b.Prerequisites = []flag.Prerequisite{{Flag: "a", Variant: "on"}}
	doc.Flags["b"] = b
	if err := refused(t, s, func(d *board.Draft) error { return d.Import(doc, false, board.Match{Any: true}) }); deploy.KindOf(err) != deploy.Conflict {
		t.Error(err)
	}
}

func TestCopy(t *testing.T) {
	from, _ := step(t, board.Empty(), put("banner", banner, board.Match{}))
	from, _ = step(t, from, put("gone", `{"enabled":true,"archived":true}`, board.Match{}))
	here, _ := step(t, board.Empty(), put("mine", short, board.Match{}))
	next, c := step(t, here, func(d *board.Draft) error { return d.Copy(&from.Document, nil, board.Is(1)) })
	if got := actions(c); got != "copy banner 1" || !slices.Equal(next.Keys(), []string{"banner", "mine"}) {
		t.Error(got, next.Keys())
	}
	err := refused(t, here, func(d *board.Draft) error { return d.Copy(&from.Document, []string{"banner", "nope"}, board.Is(1)) })
	if deploy.KindOf(err) != deploy.NotFound || deploy.FieldOf(err) != "keys[1]" {
		t.Error(err)
	}
}

func TestPoisonedStaysAlone(t *testing.T) {
	s := board.Empty()
	s.Revision, s.Flags["bad"], s.Index["bad"] = 1, json.RawMessage(`{"state":"ON"}`), board.Entry{Version: 1}
	s.Flags["lost"] = json.RawMessage(`{"enabled":true,"prerequisites":[{"flag":"absent","variant":"on"}]}`)
	s, _ = step(t, s, put("good", short, board.Match{}))
	if text, _ := s.Flag("bad"); string(text.Definition) != `{"state":"ON"}` {
		t.Errorf("bad is %s", text.Definition)
	}
	err := refused(t, s, func(d *board.Draft) error { return d.Enable("bad", board.Match{Any: true}) })
	if deploy.KindOf(err) != deploy.Conflict || !strings.Contains(err.Error(), "ON") || !strings.Contains(err.Error(), "slipway flag set bad") {
		t.Errorf("enabled: %v; want what is wrong and how to mend it", err)
	}
	off, c := step(t, s, func(d *board.Draft) error { return d.Disable("bad", board.Match{Any: true}) })
	if v := c.Versions[0]; v.Version != 2 || v.Action != board.Disable || string(v.Difference[0].Before) != `"ON"` && !strings.Contains(fmt.Sprint(v.Difference), "state") {
		t.Errorf("switched off as %+v", v)
	}
	if f, _ := off.Flag("bad"); f.Broken != "" || f.Enabled || !strings.Contains(string(f.Definition), `"DISABLED"`) {
		t.Errorf("switched off to %+v", f)
	}
	step(t, s, put("bad", short, board.Is(1)))
}

// TestManyPoisoned: what is wrong with many others hides nothing of what is wrong with one's own.
func TestManyPoisoned(t *testing.T) {
	s := board.Empty()
	for i := range 40 {
		key := fmt.Sprintf("bad-%02d", i)
		s.Flags[key] = json.RawMessage(`{"enabled":true,"prerequisites":[{"flag":"absent","variant":"on"}]}`)
		s.Index[key] = board.Entry{Version: 1}
	}
	s.Revision = 40
	s, _ = step(t, s, put("z", short, board.Match{}))
	step(t, s, put("z", `{"enabled":false}`, board.Is(1)))
	for _, text := range []string{`{"enabled":true,"prerequisites":[{"flag":"nowhere","variant":"on"}]}`, `{"enabled":true,"prerequisites":[{"flag":"z","variant":"on"}]}`} {
		var invalid *flag.Invalid
		if err := refused(t, s, put("z", text, board.Is(1))); !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Problems[0].Path, "/flags/z/") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestHashVersionStays(t *testing.T) {
	split := `{"state":"ENABLED","variants":{"a":"x","b":"y"},"defaultVariant":"a","targeting":{"fractional":[["a",50],["b",50]]}%s}`
	s, _ := step(t, board.Empty(), put("split", fmt.Sprintf(split, ""), board.Match{}))
	has := func(s *board.State, want string) {
		t.Helper()
		if !strings.Contains(string(s.Flags["split"]), `"hashVersion":"`+want+`"`) {
			t.Errorf("want %s in %s", want, s.Flags["split"])
		}
	}
	has(s, "v2")
	s, _ = step(t, s, put("split", fmt.Sprintf(split, `,"hashVersion":"v3"`), board.Match{Any: true}))
	has(s, "v3")
	s, _ = step(t, s, put("split", strings.Replace(fmt.Sprintf(split, ""), "50", "60", 2), board.Match{Any: true}))
	has(s, "v3")
}

// TestHashVersionOfTheEnvironment: a flag takes the environment's setting when it begins to split users, in both forms, and keeps it.
func TestHashVersionOfTheEnvironment(t *testing.T) {
	split := `{"state":"ENABLED","variants":{"off":false,"on":true},"defaultVariant":"off","targeting":{"fractional":[["on",50],["off",50]]}}`
	set := func(s *board.State, version, key, text string) (after *board.State, notes []string) {
		t.Helper()
		after, _ = step(t, s, func(d *board.Draft) error {
			d.HashVersion = version
			err := d.Put(key, []byte(text), board.Match{})
			notes = d.Notes
			return err
		})
		return after, notes
	}
	has := func(s *board.State, key, want string) {
		t.Helper()
		if f, _ := s.Flag(key); strings.Contains(string(f.Definition), "hashVersion") != (want != "") || want != "" && !strings.Contains(string(f.Definition), `"hashVersion":"`+want+`"`) {
			t.Errorf("%s has %s; want hash version %q", key, f.Definition, want)
		}
	}

	s, notes := set(board.Empty(), "", "plain", short)
	if len(notes) != 0 {
		t.Errorf("a flag that splits nobody: %q", notes)
	}
	if s, notes = set(s, "", "circle", `{"rollout_percent":20,"bucketing":"ring"}`); len(notes) != 0 {
		t.Errorf("a ring, which has a hash of its own: %q", notes)
	}
	s, notes = set(s, "", "first", `{"rollout_percent":20}`)
	if len(notes) != 1 || !strings.Contains(notes[0], "hash_version: v3") {
		t.Errorf("the first split: %q; want a note on hash_version", notes)
	}
	has(s, "first", "")
	if s, notes = set(s, "", "second", split); len(notes) != 0 {
		t.Errorf("the second split: %q", notes)
	}
	has(s, "second", "v2")

	s, notes = set(s, "v3", "full", split)
	s, more := set(s, "v3", "short", `{"rollout_percent":20}`)
	s, _ = set(s, "v3", "ring", `{"rollout_percent":20,"bucketing":"ring"}`)
	if len(notes)+len(more) != 0 {
		t.Errorf("with the setting: %q %q", notes, more)
	}
	has(s, "full", "v3")
	has(s, "short", "v3")
	has(s, "ring", "")

	s, _ = step(t, s, func(d *board.Draft) error {
		d.HashVersion = "v3"
		return errors.Join(d.RollOut("first", 30, board.Match{Any: true}), d.RollOut("second", 30, board.Match{Any: true}))
	})
	has(s, "first", "")
	has(s, "second", "v2")
}

func TestRelease(t *testing.T) {
	s, _ := step(t, board.Empty(), put("there", short, board.Match{}))
	o := origin("slipway")
	o.Deployment = "deploy-1"
	d := s.Draft(o)
	created, err := d.Introduce([]string{"there", "new"})
	if err != nil || !slices.Equal(created, []string{"new"}) {
		t.Fatal(created, err)
	}
	c, err := d.Commit()
	if err != nil || c.Next.Index["new"].Deployment != "deploy-1" || c.Versions[0].Deployment != "deploy-1" {
		t.Fatal(c, err)
	}
	if f, _ := c.Next.Flag("new"); f.Enabled {
		t.Errorf("new is on: %s", f.Definition)
	}
	c.Next.Flags["broken"], c.Next.Index["broken"] = json.RawMessage(`{"rollout_percent":12.5,"bucketing":"ring"}`), board.Entry{Version: 1}
	d = c.Next.Draft(o)
	off, err := d.SwitchOff([]string{"broken", "there", "new", "absent"})
	if err != nil || !slices.Equal(off, []string{"broken", "there"}) {
		t.Fatal(off, err)
	}
	c, err = d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"broken", "there"} {
		if f, _ := c.Next.Flag(key); f.Enabled || f.Broken != "" {
			t.Errorf("%s is %s", key, f.Definition)
		}
	}
}

// TestEveryWriterIsReadBack: what one can't read as an import would is refused to each writer, with nothing changed.
func TestEveryWriterIsReadBack(t *testing.T) {
	s, _ := step(t, board.Empty(), put("ring", `{"rollout_percent":10,"bucketing":"ring"}`, board.Match{}))
	s, _ = step(t, s, segment("s", `{"==":[1,1]}`, board.Match{}))
	s, _ = step(t, s, put("named", `{"state":"ENABLED","variants":{"on":true},"targeting":{"if":[{"$ref":"s"},"on"]}}`, board.Match{}))
	before := string(s.JSON())
	anything := board.Match{Any: true}
	bad := board.Version{Key: "ring", Version: 1, Definition: json.RawMessage(`{"rollout_percent":12.5,"bucketing":"ring"}`)}
	from := board.Empty()
	from.Flags["other"] = json.RawMessage(`{"state":"ENABLED","variants":{"on":true},"targeting":{"if":[{"$ref":"absent"},"on"]}}`)
	for name, decide := range map[string]func(d *board.Draft) error{
		"put":   func(d *board.Draft) error { return d.Put("ring", bad.Definition, anything) },
		"patch": func(d *board.Draft) error { return d.Patch("ring", []byte(`{"rollout_percent":12.5}`), anything) },
		"ramp": func(d *board.Draft) error {
			return d.Patch("ring", []byte(`{"schedule":{"ramp":[{"at":"2026-01-01T00:00:00Z","percent":12.5}]}}`), anything)
		},
		"rollout":   func(d *board.Draft) error { return d.RollOut("ring", 12.5, anything) },
		"restore":   func(d *board.Draft) error { return d.Restore(&bad, anything) },
		"copy":      func(d *board.Draft) error { return d.Copy(&from.Document, nil, anything) },
		"segment":   func(d *board.Draft) error { return d.PutSegment("s", []byte(`{"nonsense":1}`), anything) },
		"introduce": func(d *board.Draft) error { _, err := d.Introduce([]string{".."}); return err },
		"edit": func(d *board.Draft) error {
			return d.Edit(board.Patch, "ring", anything, func(def flag.Definition) (flag.Definition, error) {
				broken := *def.Simple
				broken.RolloutPercent = 12.5
				def.Simple = &broken
				return def, nil
			})
		},
		"import": func(d *board.Draft) error {
			return d.Import(&flag.Document{Flags: map[string]flag.Definition{"ring": {Simple: &flag.Simple{RolloutPercent: 12.5, Bucketing: "ring"}}}}, true, anything)
		},
	} {
		if err := refused(t, s, decide); deploy.KindOf(err) == deploy.Internal {
			var invalid *flag.Invalid
			if !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if string(s.JSON()) != before {
			t.Fatalf("%s left %s", name, s.JSON())
		}
	}
}

// TestBrokenIsNoExcuse: a flag that was broken before is checked like any other once it is written.
func TestBrokenIsNoExcuse(t *testing.T) {
	s := board.Empty()
	s.Revision = 1
	text := `{"enabled":true,"rollout_percent":0,"users":[],"prerequisites":[{"flag":"absent","variant":"on"}]}`
	s.Flags["lost"], s.Index["lost"] = json.RawMessage(text), board.Entry{Version: 1}
	var invalid *flag.Invalid
	if err := refused(t, s, put("lost", strings.Replace(text, "true", "false", 1), board.Is(1))); !errors.As(err, &invalid) {
		t.Error(err)
	}
	after, _ := step(t, s, func(d *board.Draft) error { return d.Disable("lost", board.Match{Any: true}) })
	if f, _ := after.Flag("lost"); f.Enabled {
		t.Errorf("%s", f.Definition)
	}
}

// TestImportArchivesWhatIsBroken: the environment becomes what the document says, broken flags and all.
func TestImportArchivesWhatIsBroken(t *testing.T) {
	s := board.Empty()
	s.Revision, s.Flags["bad"], s.Index["bad"] = 1, json.RawMessage(`{"state":"ON"}`), board.Entry{Version: 1}
	after, _ := step(t, s, func(d *board.Draft) error {
		return d.Import(document(t, `{"flags":{"new":{"enabled":true}}}`), false, board.Is(1))
	})
	if f, _ := after.Flag("bad"); !f.Archived || f.Broken != "" {
		t.Errorf("%+v", f)
	}
}
