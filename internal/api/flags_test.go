package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/api"
	"github.com/slipway-cd/slipway/internal/board"
	"github.com/slipway-cd/slipway/internal/flag"
)

const preview = "/v1/apps/shop/environments/preview"

func read[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code >= 300 {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	return v
}

// TestETags: what an answer gives as its ETag is what If-Match takes.
func TestETags(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	tag := func(line, body, want string) string {
		t.Helper()
		got := ask(h, line, body).Header().Get("ETag")
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
		return got
	}
	first := tag("PUT "+preview+"/flags/cart", `{"enabled":true}`, `"1"`)
	second := tag("PATCH "+preview+"/flags/cart if-match="+first, `{"enabled":false}`, `"2"`)
	tag("GET "+preview+"/flags/cart", "", second)
	tag("POST "+preview+"/flags/cart/enable if-match="+first, "", second) // the 412 says what is there
	tag("POST "+preview+"/flags/cart/enable", "", second)                 // and so does the 428
	revision := tag("GET "+preview+"/flags", "", `"2"`)
	tag("PUT "+preview+"/flags?dry_run=true", `{"flags":{}}`, revision)
	tag("GET "+preview+"/flags.flagd.json", "", revision)
	tag("PUT "+preview+"/flags if-match="+revision, `{"flags":{}}`, `"3"`)
}

// TestFlagsNotModified: a version that is known isn't sent again until the flag, or for what is of the whole environment anything in it,
// changes. A flag that was deleted and made again has a version of its own.
func TestFlagsNotModified(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	does := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			line, body, _ := strings.Cut(line, " {")
			if body != "" {
				body = "{" + body
			}
			if w := ask(h, line, body); w.Code > 299 {
				t.Fatalf("%s: %d %s", line, w.Code, w.Body)
			}
		}
	}
	does("PUT "+preview+`/flags/cart {"enabled":true}`, "PUT "+preview+`/flags/other {"enabled":true}`, "PUT "+preview+`/segments/staff {"==":[1,1]}`)
	whole := []string{preview + "/flags", preview + "/flags?state=enabled&limit=1", preview + "/flags.flagd.json", preview + "/flags.flagd.json?format=slipway&notes=true",
		preview + "/segments", preview + "/segments/staff"}
	tags := map[string]string{}
	modified := func(what, target string, want bool) {
		t.Helper()
		tag := tags[target]
		for _, header := range []string{tag, "W/" + tag, `"other", W/` + tag} {
			w := ask(h, "GET "+target+" if-none-match="+header, "")
			if got := w.Code == http.StatusOK && w.Body.Len() > 0; got != want || !got && (w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("Content-Type") != "") {
				t.Errorf("%s, %s, If-None-Match %s: %d %s", what, target, header, w.Code, w.Body)
			}
			if got := w.Header().Get("ETag"); (got != tag) != want {
				t.Errorf("%s, %s: the tag is %s, was %s", what, target, got, tag)
			}
		}
		if w := ask(h, "GET "+target+" if-none-match=*", ""); w.Code != http.StatusNotModified {
			t.Errorf("%s, %s, *: %d", what, target, w.Code)
		}
	}
	for _, target := range append(whole, preview+"/flags/cart") {
		tags[target] = ask(h, "GET "+target, "").Header().Get("ETag")
		modified("nothing", target, false)
	}
	does("PATCH " + preview + `/flags/other if-match=* {"enabled":false}`)
	modified("another flag", preview+"/flags/cart", false)
	for _, target := range whole {
		modified("another flag", target, true)
	}
	does("PATCH "+preview+`/flags/cart if-match=* {"archived":true}`, "DELETE "+preview+"/flags/cart if-match=*", "PUT "+preview+`/flags/cart {"enabled":true}`)
	modified("made again", preview+"/flags/cart", true)
	for _, line := range []string{"/flags?stale=30 if-none-match=*", "/flags/nothing if-none-match=*", "/segments/nothing if-none-match=*"} {
		if w := ask(h, "GET "+preview+line, ""); w.Code == http.StatusNotModified {
			t.Errorf("%s: %d", line, w.Code)
		}
	}
}

// TestWhoAndWhere: a version says who by API Gateway's word, not by the caller's.
func TestWhoAndWhere(t *testing.T) {
	h := api.Lambda(served(t, world(t).Control(quiet())))
	for _, each := range []struct{ method, path, body string }{
		{"PUT", preview + "/flags/cart", `{"enabled":true}`}, {"GET", preview + "/flags/cart/versions", ""},
	} {
		var e events.APIGatewayProxyRequest
		if err := json.Unmarshal(gatewayEvent(each.method, each.path, each.body, false, nil), &e); err != nil {
			t.Fatal(err)
		}
		e.MultiValueHeaders["X-Slipway-Reason"] = []string{"f%C3%BCr den Start"}
		e.MultiValueHeaders["X-Forwarded-For"] = []string{"203.0.113.9"}
		e.RequestContext.Identity.SourceIP, e.RequestContext.Identity.UserAgent = "198.51.100.7", "slipway/1"
		event, _ := json.Marshal(e)
		out, err := h.Invoke(t.Context(), event)
		var answer events.APIGatewayProxyResponse
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatal(err, string(out))
		}
		for _, part := range []string{`"by":"arn:aws:iam::123456789012:user/eve"`, `"source_ip":"198.51.100.7"`, `"user_agent":"slipway/1"`, `"why":"für den Start"`} {
			if each.method == "GET" && !strings.Contains(answer.Body, part) {
				t.Errorf("no %s in %s", part, answer.Body)
			}
		}
	}
}

func TestKeyIsShownOnce(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	k := read[api.NewKey](t, ask(h, "POST "+preview+"/evaluation-keys", `{"name":"web"}`))
	if len(k.Text) != 51 {
		t.Errorf("key %q", k.Text)
	}
	for _, line := range []string{"GET " + preview + "/evaluation-keys", "DELETE " + preview + "/evaluation-keys/" + k.ID, "GET " + preview + "/evaluation-keys"} {
		w := ask(h, line, "")
		if strings.Contains(w.Body.String(), k.Text) || strings.Contains(w.Body.String(), board.HashKey(k.Text)) || w.Code != 200 {
			t.Errorf("%s: %d %s", line, w.Code, w.Body)
		}
	}
	keys := read[api.KeyPage](t, ask(h, "GET "+preview+"/evaluation-keys", ""))
	if len(keys.Keys) != 1 || keys.Keys[0].RevokedAt == nil {
		t.Errorf("%+v", keys)
	}
	if other := ask(h, "DELETE /v1/apps/shop/environments/staging/evaluation-keys/"+k.ID, ""); other.Code != 404 {
		t.Errorf("revoked through another environment: %d", other.Code)
	}
}

func TestStale(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	for _, key := range []string{"both", "never", "on-only", "silent"} {
		ask(h, "PUT "+preview+"/flags/"+key, `{"enabled":true}`)
	}
	begin := c.Now()
	c.Pass(60 * 24 * time.Hour)
	now := c.Now()
	c.Serve("shop", "preview", "both", "on", begin, now)
	c.Serve("shop", "preview", "both", "off", begin, now)
	c.Serve("shop", "preview", "on-only", "on", begin, now)
	c.Serve("shop", "preview", "silent", "on", begin, begin.Add(time.Hour))
	ask(h, "PUT "+preview+"/flags/young", `{"enabled":true}`)
	show := func(line string) string {
		var all []string
		for _, f := range read[api.FlagPage](t, ask(h, line, "")).Flags {
			all = append(all, fmt.Sprintf("%s=%s", f.Key, f.Usage.Stale))
		}
		return strings.Join(all, " ")
	}
	if got := show("GET " + preview + "/flags?stale=30"); got != "never=never-evaluated on-only=one-sided silent=not-evaluated" {
		t.Error(got)
	}
	if got := show("GET " + preview + "/flags"); got != "both= never=never-evaluated on-only=one-sided silent=not-evaluated young=" {
		t.Error(got)
	}
	if got := show("GET " + preview + "/flags?stale=90"); got != "" {
		t.Error(got)
	}
	if got := show("GET " + preview + "/flags?stale=30&limit=2"); got != "never=never-evaluated on-only=one-sided" {
		t.Error(got)
	}
}

// TestWritersThroughTheAPI: twenty writers that read, add their own and write with If-Match, until it is in.
func TestWritersThroughTheAPI(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	ask(h, "PUT "+preview+"/flags/cart", `{"enabled":false}`)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for {
				var f board.Flag
				var def flag.Definition
				if json.Unmarshal(ask(h, "GET "+preview+"/flags/cart", "").Body.Bytes(), &f) != nil || json.Unmarshal(f.Definition, &def) != nil {
					t.Error("can't be read")
					return
				}
				def.Simple.Users = append(def.Simple.Users, fmt.Sprintf("user-%02d", i))
				body, _ := json.Marshal(def)
				switch w := ask(h, fmt.Sprintf(`PUT %s/flags/cart if-match="%d"`, preview, f.Version), string(body)); w.Code {
				case 200:
					return
				case 412:
				default:
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
			}
		})
	}
	all.Wait()
	f := read[board.Flag](t, ask(h, "GET "+preview+"/flags/cart", ""))
	if n := strings.Count(string(f.Definition), "user-"); n != 20 || f.Version != 21 {
		t.Errorf("%d of 20 writers, version %d: %s", n, f.Version, f.Definition)
	}
}

func TestDocumentBounds(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	fill := func(n int) string { return `{"flags":{}` + strings.Repeat(" ", n-len(`{"flags":{}}`)) + "}" }
	for n, want := range map[int]int{flag.MaxDocument: 200, flag.MaxDocument + 1: 400, 7 << 20: 413} {
		w := ask(h, "PUT "+preview+"/flags", fill(n))
		if w.Code != want || want == 400 && !strings.Contains(w.Body.String(), `"pointer":""`) {
			t.Errorf("%d bytes: %d %s", n, w.Code, w.Body)
		}
	}
	deep := `{"flags":{"a":{"state":"ENABLED","variants":{"on":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}}}`
	if w := ask(h, "PUT "+preview+"/flags", deep); w.Code != 400 || !strings.Contains(w.Body.String(), `"pointer"`) {
		t.Errorf("deep: %d %s", w.Code, w.Body)
	}
	ask(h, "PUT "+preview+"/flags/cart", `{"enabled":true}`)
	context := `{"context":{"x":"` + strings.Repeat("x", flag.MaxContext) + `"}}`
	if w := ask(h, "POST "+preview+"/flags/cart/explain", context); w.Code != 413 {
		t.Errorf("context: %d %s", w.Code, w.Body)
	}
}

// FuzzIfMatch: a change is made where RFC 9110 says that its conditions hold, for a flag at version 1, and where If-Match
// says what is known; a header is never our mistake.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{"", "*", `"1"`, `"01"`, `W/"1"`, `"1", "2"`, `"2" ,W/"1"`, `"9223372036854775808"`, `"-1"`, " * ", `"0"`, `,"1",`, `"1" "2"`, `"a b"`, `1`} {
		f.Add(seed, "")
		f.Add("", seed)
		f.Add("*", seed)
	}
	one := `[ \t]*(W/)?"[^\x00-\x20"\x7f]*"[ \t]*`
	list := regexp.MustCompile(`^[ \t,]*` + one + `(,[ \t,]*` + one + `)*[ \t,]*$`)
	tag := regexp.MustCompile(`(W/)?"[^"]*"`)
	f.Fuzz(func(t *testing.T, match, none string) {
		if strings.ContainsAny(match+none, "\r\n\x00") || strings.Count(match+none, `"`) > 150 {
			t.Skip()
		}
		h := served(t, world(t).Control(quiet()))
		ask(h, "PUT "+preview+"/flags/cart", `{"enabled":false}`)
		r := httptest.NewRequest("PUT", preview+"/flags/cart", strings.NewReader(`{"enabled":true}`))
		r.Header.Set("Content-Type", "application/json")
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		if none != "" {
			r.Header.Set("If-None-Match", none)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)

		isAny, isNone := strings.Trim(match, " \t") == "*", strings.Trim(none, " \t") == "*"
		want := 200
		switch {
		case match != "" && !isAny && !list.MatchString(match), none != "" && !isNone && !list.MatchString(none):
			want = 400
		case match != "" && !isAny && !slices.Contains(tag.FindAllString(match, -1), `"1"`), isNone,
			slices.ContainsFunc(tag.FindAllString(none, -1), func(s string) bool { return strings.TrimPrefix(s, "W/") == `"1"` }):
			want = 412
		case match == "":
			want = 428
		}
		if w.Code != want {
			t.Errorf("%q, %q: %d %s; want %d", match, none, w.Code, w.Body, want)
		}
	})
}

// TestFreshETags: what a fresh environment's lists have as their ETag is taken as If-Match, and so is what a list of
// segments has for a segment that is not there yet.
func TestFreshETags(t *testing.T) {
	for _, list := range []string{"/flags", "/flags.flagd.json", "/segments"} {
		for _, change := range []struct{ line, body string }{
			{"PUT " + preview + "/flags", `{"flags":{"cart":{"enabled":true}}}`}, {"PUT " + preview + "/segments/staff", `{"==":[1,1]}`},
		} {
			h := served(t, world(t).Control(quiet()))
			tag := ask(h, "GET "+preview+list, "").Header().Get("ETag")
			if tag != `"0"` {
				t.Errorf("%s of a fresh environment has the ETag %s", list, tag)
			}
			for _, wrong := range []string{`W/"0"`, `"1"`, `"00"`} {
				if w := ask(h, change.line+" if-match="+wrong, change.body); w.Code != 412 {
					t.Errorf("%s, If-Match %s: %d %s", change.line, wrong, w.Code, w.Body)
				}
			}
			if w := ask(h, change.line+" if-match="+tag, change.body); w.Code > 201 || w.Header().Get("ETag") != `"1"` {
				t.Errorf("%s of %s, If-Match %s: %d %s", change.line, list, tag, w.Code, w.Body)
			}
			if w := ask(h, change.line+" if-match="+tag, change.body); w.Code != 412 {
				t.Errorf("%s once more with %s: %d %s", change.line, tag, w.Code, w.Body)
			}
			tag = ask(h, "GET "+preview+list, "").Header().Get("ETag")
			if w := ask(h, "PUT "+preview+`/segments/other if-match="7",`+tag, `{"==":[1,2]}`); w.Code != 201 {
				t.Errorf("a new segment, If-Match %s: %d %s", tag, w.Code, w.Body)
			}
		}
	}
	h := served(t, world(t).Control(quiet()))
	if w := ask(h, "PUT "+preview+`/flags/cart if-match="0"`, `{"enabled":true}`); w.Code != 412 {
		t.Errorf("a flag that isn't there has no version 0: %d %s", w.Code, w.Body)
	}
}

// TestBrokenFlagOverTheAPI: a flag that an older version stored broken is shown as such, switched off by the kill switch,
// and every other change says how to mend it.
func TestBrokenFlagOverTheAPI(t *testing.T) {
	c := world(t)
	s := board.Empty()
	s.Revision, s.Flags["bad"], s.Index["bad"] = 1, json.RawMessage(`{"rollout_percent":12.5,"bucketing":"ring"}`), board.Entry{Version: 1}
	s.Flags["fine"], s.Index["fine"] = json.RawMessage(`{"enabled":true}`), board.Entry{Version: 1}
	c.SetFlags("shop", "preview", s)
	h := served(t, c.Control(quiet()))
	if f := read[board.Flag](t, ask(h, "GET "+preview+"/flags/bad", "")); f.Enabled || !strings.Contains(f.Broken, "a hundred buckets") {
		t.Errorf("%+v", f)
	}
	for line, body := range map[string]string{"enable": "{}", "rollout": `{"percent":20}`} {
		w := ask(h, "POST "+preview+"/flags/bad/"+line+" if-match=*", body)
		for _, part := range []string{"a hundred buckets", "slipway flag set bad", "slipway flag restore bad", "slipway flag disable bad"} {
			if w.Code != 409 || !strings.Contains(w.Body.String(), part) {
				t.Errorf("%s: %d %s; want %q", line, w.Code, w.Body, part)
			}
		}
	}
	if out := ask(h, "GET "+preview+"/flags.flagd.json?notes=true", ""); !strings.Contains(out.Body.String(), `"pointer":"/flags/bad"`) {
		t.Errorf("the export doesn't say what it lacks: %s", out.Body)
	}
	f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/bad/disable if-match=*", ""))
	if f.Enabled || f.Broken != "" || f.Version != 2 || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "version 1 has it") {
		t.Errorf("%+v", f)
	}
	if f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/bad/rollout if-match=*", `{"percent":20}`)); !f.Enabled {
		t.Errorf("%+v", f)
	}
}

// TestCommandsSayWhatTheyDid: a rollout that ends a ramp says so, and so does one that users don't get at once.
func TestCommandsSayWhatTheyDid(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	ask(h, "PUT "+preview+"/flags/cart", `{"enabled":false,"users":["eve"],"schedule":{"from":"2036-01-01T00:00:00Z","ramp":[{"at":"2026-01-01T00:00:00Z","percent":54}]}}`)
	f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/cart/rollout if-match=*", `{"percent":5}`))
	all := strings.Join(f.Notes, "\n")
	for _, part := range []string{"its ramp has ended", "until 2036-01-01T00:00:00Z", "listed users are on"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q doesn't say %q", all, part)
		}
	}
	ask(h, "PATCH "+preview+"/flags/cart if-match=*", `{"archived":true}`)
	for line, want := range map[string]int{"enable": 409, "rollout": 409, "disable": 200} {
		if w := ask(h, "POST "+preview+"/flags/cart/"+line+" if-match=*", map[string]string{"rollout": `{"percent":5}`}[line]); w.Code != want {
			t.Errorf("%s of an archived flag: %d %s; want %d", line, w.Code, w.Body, want)
		}
	}
}

// TestEnableNamesTheRollout: enable puts all users in the place of a percentage, and its note says so.
func TestEnableNamesTheRollout(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	for name, c := range map[string]struct {
		definition string
		noted      bool
	}{
		"percentage":   {`{"enabled":false,"rollout_percent":12.5,"users":["eve"]}`, true},
		"none":         {`{"enabled":false,"rollout_percent":0,"users":[]}`, false},
		"everybody":    {`{"enabled":false,"rollout_percent":100,"users":[]}`, false},
		"on-already":   {`{"enabled":true,"rollout_percent":12.5,"users":[]}`, false},
		"not-in-short": {`{"state":"DISABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"fractional":[["on",20],["off",80]]}}`, false},
	} {
		ask(h, "PUT "+preview+"/flags/"+name, c.definition)
		ask(h, "POST "+preview+"/flags/"+name+"/disable if-match=*", "")
		if name == "on-already" {
			ask(h, "POST "+preview+"/flags/"+name+"/enable if-match=*", "")
		}
		f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/"+name+"/enable if-match=*", ""))
		want := name + " is on for everybody now; its rollout was 12.5 %: slipway flag rollout " + name + " 12.5 sets it again"
		if got := strings.Join(f.Notes, "\n"); strings.Contains(got, want) != c.noted {
			t.Errorf("%s: notes %q; want %q: %v", name, got, want, c.noted)
		}
	}
	ask(h, "PUT "+preview+"/flags/later", `{"enabled":false,"rollout_percent":12.5,"users":[],"schedule":{"from":"2036-01-01T00:00:00Z"}}`)
	f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/later/enable if-match=*", ""))
	if len(f.Notes) != 2 || !strings.HasPrefix(f.Notes[0], "its rollout was 12.5 %") {
		t.Errorf("a flag that its schedule keeps off: notes %q", f.Notes)
	}
}

// TestImportNotes: a document of flagd's is imported with what flagd ignores named, in a dry run too.
func TestImportNotes(t *testing.T) {
	h := served(t, world(t).Control(quiet()))
	text := `{"flags":{"adFailure":{"defaultVariant":"off","description":"Fail ad service","state":"ENABLED","variants":{"off":false,"on":true},"targeing":{}}}}`
	for _, line := range []string{"?dry_run=true", ""} {
		out := read[api.Changes](t, ask(h, "PUT "+preview+"/flags"+line, text))
		if len(out.Notes) != 1 || out.Notes[0].Pointer != "/flags/adFailure/targeing" || !strings.Contains(out.Notes[0].Detail, `"targeting"`) || out.Flags != 1 {
			t.Errorf("%q: %+v", line, out)
		}
	}
	if f := read[board.Flag](t, ask(h, "GET "+preview+"/flags/adFailure", "")); !strings.Contains(string(f.Definition), `"description":"Fail ad service"`) {
		t.Errorf("%s", f.Definition)
	}
	if w := ask(h, "PUT "+preview+"/flags/one", `{"enabled":true,"owner":"ann"}`); w.Code != 400 {
		t.Errorf("a definition with a member too many: %d %s", w.Code, w.Body)
	}
}

// TestKeysThatLookLikePaths: a new flag can't be called . or .., and one that is there already can be switched off.
func TestKeysThatLookLikePaths(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	for _, key := range []string{".", ".."} {
		escaped := strings.ReplaceAll(key, ".", "%2E")
		for line, body := range map[string]string{"PUT " + preview + "/flags/" + escaped: `{"enabled":true}`, "PUT " + preview + "/flags?keep=true": `{"flags":{"` + key + `":{"enabled":true}}}`,
			"PUT " + preview + "/segments/" + escaped: `{"==":[1,1]}`} {
			if w := ask(h, line, body); w.Code != 400 {
				t.Errorf("%s: %d %s", line, w.Code, w.Body)
			}
		}
		s := board.Empty()
		s.Revision, s.Flags[key], s.Index[key] = 1, json.RawMessage(`{"enabled":true,"rollout_percent":0,"users":[]}`), board.Entry{Version: 1}
		c.SetFlags("shop", "preview", s)
		if f := read[board.Flag](t, ask(h, "GET "+preview+"/flags/"+escaped, "")); f.Key != key || !f.Enabled {
			t.Errorf("%+v", f)
		}
		if f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/"+escaped+"/disable if-match=*", "")); f.Enabled || f.Version != 2 {
			t.Errorf("%+v", f)
		}
		c.SetFlags("shop", "preview", board.Empty())
	}
	for _, key := range []string{"-x", "...", "a.b", "enable", "flags.copy", strings.Repeat("k", 128)} {
		if w := ask(h, "PUT "+preview+"/flags/"+key, `{"enabled":true}`); w.Code != 201 {
			t.Errorf("%s: %d %s", key, w.Code, w.Body)
		}
		if f := read[board.Flag](t, ask(h, "POST "+preview+"/flags/"+key+"/disable if-match=*", "")); f.Enabled || f.Version != 2 {
			t.Errorf("%+v", f)
		}
	}
}

// TestKeysThatLookLikePathsBehindTheGateway: API Gateway says which name stood where, also where the path has lost it.
func TestKeysThatLookLikePathsBehindTheGateway(t *testing.T) {
	c := world(t)
	h := api.Lambda(c.Control(quiet()).Handler())
	for _, key := range []string{".", ".."} {
		s := board.Empty()
		s.Revision, s.Flags[key], s.Index[key] = 1, json.RawMessage(`{"enabled":true,"rollout_percent":0,"users":[]}`), board.Entry{Version: 1}
		c.SetFlags("shop", "preview", s)
		for _, sent := range []string{key, strings.ReplaceAll(key, ".", "%2E")} {
			var e events.APIGatewayProxyRequest
			if err := json.Unmarshal(gatewayEvent("GET", preview+"/flags/x", "", false, nil), &e); err != nil {
				t.Fatal(err)
			}
			e.Path, e.PathParameters = preview+"/flags/"+sent, map[string]string{"app": "shop", "environment": "preview", "key": sent}
			event, _ := json.Marshal(e)
			out, err := h.Invoke(t.Context(), event)
			if err != nil || !strings.Contains(string(out), `\"key\":\"`+key+`\"`) {
				t.Errorf("%s: %s, %v", sent, out, err)
			}
		}
	}
	// A path that leads elsewhere stays none.
	var e events.APIGatewayProxyRequest
	if err := json.Unmarshal(gatewayEvent("GET", preview+"/flags/x", "", false, nil), &e); err != nil {
		t.Fatal(err)
	}
	e.Path, e.PathParameters = preview+"/flags/x/../../segments", nil
	event, _ := json.Marshal(e)
	if out, err := h.Invoke(t.Context(), event); err != nil || !strings.Contains(string(out), `"statusCode":404`) {
		t.Errorf("%s, %v", out, err)
	}
}

// TestCopyOfAnExport: what the other environment's export says is what a copy puts here, as it is there: with the version by which it
// splits users, with its segments, and to the byte.
func TestCopyOfAnExport(t *testing.T) {
	c := world(t)
	h := served(t, c.Control(quiet()))
	const staging = "/v1/apps/shop/environments/staging"
	for _, each := range []string{
		"PUT " + preview + `/segments/ours {"starts_with":[{"var":"email"},"eve@"]}`,
		"PUT " + preview + `/flags/cart {"enabled":true,"rollout_percent":30,"users":["eve"]}`,
		"PUT " + preview + `/flags/ring {"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"$ref":"ours"},"on","off"]}}`,
		"PUT " + preview + `/flags/gone {"enabled":false,"archived":true}`,
	} {
		line, body, _ := strings.Cut(each, " {")
		if strings.Contains(line, "ring") {
			line += " if-none-match=*"
		}
		if w := ask(h, line, "{"+body); w.Code != http.StatusCreated {
			t.Fatalf("%s: %d %s", line, w.Code, w.Body)
		}
	}

	exported := ask(h, "GET "+preview+"/flags.flagd.json?format=slipway", "").Body.String()
	w := ask(h, "POST "+staging+"/flags.copy if-none-match=*", `{"document":`+exported+`}`)
	if out := read[api.Changes](t, w); w.Code != http.StatusOK || out.Flags != 2 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, name := range []string{"/flags/cart", "/flags/ring", "/segments/ours"} {
		here, there := ask(h, "GET "+staging+name, ""), ask(h, "GET "+preview+name, "")
		if a, b := definition(t, here), definition(t, there); a == "" || a != b {
			t.Errorf("%s is %s here and %s there", name, a, b)
		}
	}
	if w := ask(h, "GET "+staging+"/flags/gone", ""); w.Code != http.StatusNotFound {
		t.Errorf("an archived flag came along: %d %s", w.Code, w.Body)
	}
}

// definition returns a flag's definition, or a segment's rule.
func definition(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var found struct{ Definition, Rule json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &found); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return string(found.Definition) + string(found.Rule)
}
