package board_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/flag"
)

// editor makes random changes of one environment, as people, pipelines and programs make them.
type editor struct {
	*rand.Rand
	t      *testing.T
	seed   uint64
	state  *board.State
	was    []board.Version
	trace  []string
	action string // of the last change
	key    string
	share  float64
}

const changes = 8

// TestAnySequenceOfChanges: whatever is done to flags, in whatever order, leaves a document that is read by the strict
// reader, is imported again as the same, is exported as flagd, and answers each flag. What the commands said holds.
func TestAnySequenceOfChanges(t *testing.T) {
	each(t, 10_000, func(e *editor) {
		for range changes {
			e.change()
			e.isRead()
			e.holds()
		}
		e.comesBack()
		e.answers()
	})
}

// TestAnySequenceAroundBrokenFlags: the same among flags that older versions stored broken. They are in nobody's way, and
// each of them is switched off by the kill switch.
func TestAnySequenceAroundBrokenFlags(t *testing.T) {
	each(t, 2_000, func(e *editor) {
		e.state.Revision = 1
		for _, key := range keys[:1+e.IntN(len(keys)-1)] {
			e.state.Flags[key] = json.RawMessage(pick(e, stored))
			e.state.Index[key] = board.Entry{Version: 1}
		}
		for range changes {
			e.change()
		}
		for _, key := range e.state.Keys() {
			if !e.try("disable", key, func(d *board.Draft) error { return d.Disable(key, board.Match{Any: true}) }) {
				e.fatalf("%s can't be switched off", key)
			}
			e.holds()
		}
		e.answers()
	})
}

func each(t *testing.T, sequences uint64, run func(e *editor)) {
	start := rand.Uint64()
	t.Logf("seeds from %d on", start)
	var workers sync.WaitGroup
	for part := range uint64(2) {
		workers.Go(func() {
			for i := part; i < sequences && !t.Failed(); i += 2 {
				run(&editor{Rand: rand.New(rand.NewPCG(start+i, 1)), t: t, seed: start + i, state: board.Empty()})
			}
		})
	}
	workers.Wait()
}

func (e *editor) fatalf(format string, args ...any) {
	e.t.Errorf("seed %d: %s\n%s\n%s", e.seed, fmt.Sprintf(format, args...), strings.Join(e.trace, "\n"), e.state.JSON())
	runtime.Goexit() // of this worker; the other one sees that the test has failed
}

func pick[T any](e *editor, from []T) T { return from[e.IntN(len(from))] }

var (
	keys     = []string{"a", "b", "c", "-d", "e.f"}
	percents = []float64{0, 1, 5, 12.5, 20, 33.333, 50, 99.999, 100, 101}
	stored   = []string{`{"rollout_percent":12.5,"bucketing":"ring"}`, `{"enabled":true,"schedule":{"ramp":[{"at":"2026-01-01T00:00:00Z","percent":54}]}}`,
		`{"state":"ON"}`, `{"state":"ENABLED","variants":{"on":true},"defaultVariant":"off"}`, `{"enabled":true,"prerequisites":[{"flag":"absent","variant":"on"}]}`,
		`{"state":"ENABLED","variants":{"on":true,"off":1}}`, `{"enabled":true,"enabled":true}`, `{"state":"ENABLED","variants":{"on":true},"targeting":{"$ref":"absent"}}`,
		`{"enabled":true,"prerequisites":[{"flag":"a","variant":"red"}]}`, `7`}
	patches = []string{`{"archived":true}`, `{"archived":false}`, `{"schedule":null}`, `{"schedule":{"ramp":null}}`, `{"prerequisites":null}`, `{"bucketing":"ring"}`,
		`{"bucketing":null}`, `{"rollout_percent":12.5}`, `{"rollout_percent":7}`, `{"users":["u1","u2"]}`, `{"targeting":null}`, `{"targeting":{"$ref":"s"}}`,
		`{"defaultVariant":"off"}`, `{"defaultVariant":null}`, `{"bucketBy":"company"}`, `{"hashVersion":"v3"}`, `{"metadata":{"n":9007199254740993}}`, `{"description":"<d>"}`,
		`{"schedule":{"from":"2026-01-01T00:00:00Z"}}`, `{"schedule":{"until":"2026-01-01T00:00:00Z"}}`, `{"state":"ENABLED"}`, `{"x":1}`}
	rules = []string{`{"==":[{"var":"plan"},"pro"]}`, `{"in":[{"var":"targetingKey"},["u1","u2"]]}`, `{"$ref":"s"}`, `{"nonsense":1}`}
)

func (e *editor) percent() float64 { return pick(e, percents) }

func (e *editor) ramp() string {
	return fmt.Sprintf(`[{"at":"2026-01-01T00:00:00Z","percent":%v},{"at":"2036-01-01T00:00:00Z","percent":%v}]`, e.percent(), e.percent())
}

// definition is any flag, and now and then none that can be.
func (e *editor) definition() string {
	var members []string
	if e.IntN(2) == 0 {
		members = append(members, fmt.Sprintf(`"enabled":%t`, e.IntN(2) == 0))
		for _, m := range []string{fmt.Sprintf(`"rollout_percent":%v`, e.percent()), `"users":["u1"]`, `"bucketing":"ring"`} {
			if e.IntN(3) == 0 {
				members = append(members, m)
			}
		}
	} else {
		buckets := pick(e, []string{`["on",20],["off",80]`, `["off",80],["on",20]`, `{"cat":["x",{"var":"company"}]},["on",1],["off",3]`, `["on"]`, `"k",["on",1],["off",1]`})
		members = append(members, `"state":"ENABLED"`, `"variants":{"on":true,"off":false}`, `"defaultVariant":`+pick(e, []string{`"on"`, `"off"`, `null`}),
			`"targeting":`+pick(e, []string{`{}`, `{"fractional":[` + buckets + `]}`, `{"if":[` + pick(e, rules) + `,"on",{"fractional":[` + buckets + `]}]}`}))
	}
	for _, m := range []string{`"schedule":{"ramp":` + e.ramp() + `}`, `"schedule":{"from":"2026-01-01T00:00:00Z"}`, `"bucketBy":"company"`, `"hashVersion":"v3"`,
		fmt.Sprintf(`"prerequisites":[{"flag":%q,"variant":"on"}]`, pick(e, keys)), `"metadata":{"n":9007199254740993}`, `"archived":true`} {
		if e.IntN(8) == 0 {
			members = append(members, m)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (e *editor) document() []byte {
	var flags []string
	for _, key := range keys[:e.IntN(len(keys)+1)] {
		flags = append(flags, fmt.Sprintf(`%q:%s`, key, e.definition()))
	}
	return fmt.Appendf(nil, `{"flags":{%s},"$evaluators":{"s":%s},"metadata":{"n":9007199254740993}}`, strings.Join(flags, ","), pick(e, rules))
}

// change makes one change, which may be refused.
func (e *editor) change() {
	key, anything := pick(e, keys), board.Match{Any: true}
	switch n := e.IntN(16); n {
	case 0, 1, 2:
		text, m := e.definition(), anything
		if e.state.Flags[key] == nil {
			m = board.Match{}
		}
		e.try("put "+text, key, func(d *board.Draft) error { return d.Put(key, []byte(text), m) })
	case 3, 4:
		patch := pick(e, append(patches, `{"schedule":{"ramp":`+e.ramp()+`}}`))
		e.try("patch "+patch, key, func(d *board.Draft) error { return d.Patch(key, []byte(patch), anything) })
	case 5, 6, 7:
		e.share = e.percent()
		e.try(fmt.Sprintf("rollout %v", e.share), key, func(d *board.Draft) error { return d.RollOut(key, e.share, anything) })
	case 8:
		e.try("enable", key, func(d *board.Draft) error { return d.Enable(key, anything) })
	case 9:
		e.try("disable", key, func(d *board.Draft) error { return d.Disable(key, anything) })
	case 10:
		if len(e.was) > 0 {
			v := pick(e, e.was)
			m := board.Match{}
			if e.state.Flags[v.Key] != nil {
				m = anything
			}
			e.try(fmt.Sprintf("restore %d", v.Version), v.Key, func(d *board.Draft) error { return d.Restore(&v, m) })
		}
	case 11:
		keep := e.IntN(2) == 0
		if doc, _, err := flag.ImportDocument(e.document()); err == nil {
			e.try(fmt.Sprintf("import %s, keep %t", doc.JSON(), keep), "", func(d *board.Draft) error { return d.Import(doc, keep, anything) })
		}
	case 12:
		rule := pick(e, rules)
		e.try("segment "+rule, "", func(d *board.Draft) error { return d.PutSegment("s", []byte(rule), board.Is(e.state.Revision)) })
	case 13:
		e.try("delete segment", "", func(d *board.Draft) error { return d.DeleteSegment("s", anything) })
	case 14:
		e.try("delete", key, func(d *board.Draft) error { return d.Delete(key, anything) })
	default:
		release := []string{pick(e, keys), pick(e, keys)}
		if e.IntN(2) == 0 {
			e.try("introduce", "", func(d *board.Draft) error { _, err := d.Introduce(release); return err })
		} else {
			e.try("switch off", "", func(d *board.Draft) error { _, err := d.SwitchOff(release); return err })
		}
	}
}

// try makes a change where it isn't refused.
func (e *editor) try(what, key string, decide func(*board.Draft) error) bool {
	e.action, e.key = "", key
	d := e.state.Draft(board.Origin{Time: noon, By: "eve"})
	d.HashVersion = pick(e, []string{"", "v2", "v3"})
	err := decide(d)
	var c *board.Commit
	if err == nil {
		c, err = d.Commit()
	}
	if err != nil {
		return false
	}
	e.action = strings.Fields(what)[0]
	e.trace = append(e.trace, what+" "+key)
	if c != nil {
		e.state, e.was = c.Next, append(e.was, c.Versions...)
	}
	return true
}

// isRead checks the document as an import would.
func (e *editor) isRead() {
	if _, err := flag.Compile(e.state.JSON()); err != nil {
		e.fatalf("the document is refused: %v", err)
	}
}

// holds checks what the last command said against what users get.
func (e *editor) holds() {
	if e.action != "rollout" && e.action != "disable" || e.state.Flags[e.key] == nil {
		return
	}
	f, _ := e.state.Flag(e.key)
	set, _ := flag.CompileLenient(e.state.JSON())
	on := 0
	for i := range 100 {
		r := set.Evaluate(e.key, context(fmt.Sprint("user-", i)))
		if r.Value == true {
			on++
		}
		if e.action == "disable" && !f.Archived && (r.Reason != flag.Disabled || r.Value == true) {
			e.fatalf("%s is switched off, and answers %+v", e.key, r)
		}
	}
	isBound := strings.Contains(string(f.Definition), `"schedule"`) || strings.Contains(string(f.Definition), `"prerequisites"`)
	if e.action == "rollout" && (e.share == 0 && on > 0 || e.share == 100 && on < 100 && !isBound) {
		e.fatalf("%s is rolled out to %v %%, and on for %d of 100 users", e.key, e.share, on)
	}
}

func context(user string) *flag.Context {
	return &flag.Context{TargetingKey: user, Time: noon.Add(time.Hour).Unix(), Attributes: []flag.Attribute{{Name: "company", Value: flag.String("c" + user)}}}
}

// comesBack checks that an environment's own document makes the same environment, and that flagd is given a good one.
func (e *editor) comesBack() {
	doc, notes, err := flag.ImportDocument(e.state.JSON())
	if err != nil || len(notes) > 0 {
		e.fatalf("the export is not imported: %v, %v", err, notes)
	}
	d := board.Empty().Draft(board.Origin{Time: noon, By: "eve"})
	if err := d.Import(doc, false, board.Is(0)); err != nil {
		e.fatalf("the export is not imported: %v", err)
	}
	c, err := d.Commit()
	switch {
	case err != nil:
		e.fatalf("the export is not imported: %v", err)
	case c != nil && string(c.Next.JSON()) != string(e.state.JSON()):
		e.fatalf("the export comes back as %s", c.Next.JSON())
	}
	plain, _ := e.state.Parsed().Flagd()
	if _, err := flag.Compile(plain); err != nil {
		e.fatalf("flagd is given %s: %v", plain, err)
	}
}

// answers evaluates all flags. Nothing that was checked answers PARSE_ERROR.
func (e *editor) answers() {
	set, _ := flag.CompileLenient(e.state.JSON())
	var live []string
	for _, key := range e.state.Keys() {
		if f, _ := e.state.Flag(key); !f.Archived {
			live = append(live, key)
		}
	}
	if !slices.Equal(set.Keys(), live) {
		e.fatalf("there are %v; want %v", set.Keys(), live)
	}
	for _, user := range []string{"", "u1", "user-7"} {
		for key, r := range set.All(context(user)) {
			if r.ErrorCode == flag.ParseError {
				e.fatalf("%s answers %q: %+v", key, user, r)
			}
		}
	}
}
