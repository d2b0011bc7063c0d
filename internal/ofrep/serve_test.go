package ofrep_test

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/slipway-cd/slipway/internal/ofrep"
)

var update = flag.Bool("update", false, "write the answers of testdata/*.txtar anew")

// shop is the document of most tests.
const shop = `{
  "metadata": {"flagSetId": "shop"},
  "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@shop.test"]}},
  "flags": {
    "checkout": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
      "targeting": {"if": [{"$ref": "staff"}, "on", null]}, "metadata": {"owner": "payments"}},
    "banner": {"state": "ENABLED", "variants": {"plain": "Hello", "loud": "HELLO \"you\""}, "defaultVariant": "loud"},
    "limit": {"state": "ENABLED", "variants": {"few": 10, "many": 10.5}, "defaultVariant": "few"},
    "silent": {"state": "DISABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"},
    "choice": {"state": "ENABLED", "variants": {"a": {"x": [1, null]}}, "defaultVariant": null}
  }
}`

// TestProtocol asks what testdata/*.txtar asks, and gets the answers that are there. In an archive the file "n ask" holds
// the request's line and its body, "n answer" what has to come back.
func TestProtocol(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no archives:", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(shop)
		answers := map[string]string{}
		for _, f := range archive.Files {
			answers[f.Name] = string(f.Data)
		}
		var whole []txtar.File
		for _, f := range archive.Files {
			number, ok := strings.CutSuffix(f.Name, " ask")
			if !ok {
				continue
			}
			line, body, _ := strings.Cut(string(f.Data), "\n")
			line = strings.NewReplacer("GOOD", goodKey, "OTHER", otherKey, "UNKNOWN", noKey).Replace(line)
			got := rendered(ask(w.server, line, strings.TrimSuffix(body, "\n")).Result())
			if want := answers[number+" answer"]; got != want && !*update {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", file, f.Name, got, want)
			}
			whole = append(whole, f, txtar.File{Name: number + " answer", Data: []byte(got)})
		}
		archive.Files = whole
		if *update {
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// rendered writes an answer with the headers that matter.
func rendered(r *http.Response) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.StatusCode)
	for _, name := range []string{"Content-Type", "Cache-Control", "Etag", "Vary", "Allow", "Retry-After", "Www-Authenticate",
		ofrep.AgeHeader, ofrep.NotesHeader} {
		if v := r.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(&b, "\n%s\n", body)
	return b.String()
}

func TestBulkETagFollowsTheContext(t *testing.T) {
	w := newWorld(shop)
	line := "POST /ofrep/v1/evaluate/flags X-API-Key:" + goodKey
	guest := ask(w.server, line, `{"context":{"email":"x@guest.test"}}`)
	tag := guest.Header().Get("Etag")
	again := ask(w.server, line+" If-None-Match:"+tag, `{"context":{"email":"y@guest.test"}}`)
	if again.Code != http.StatusNotModified || again.Body.Len() > 0 || again.Header().Get("Etag") != tag {
		t.Errorf("the same answers: %d %q", again.Code, again.Body)
	}
	staff := ask(w.server, line+" If-None-Match:"+tag, `{"context":{"email":"x@shop.test"}}`)
	if staff.Code != http.StatusOK || staff.Header().Get("Etag") == tag {
		t.Errorf("another context, another answer: %d", staff.Code)
	}
	w.put("production", strings.Replace(shop, `"few": 10,`, `"few": 11,`, 1))
	w.wait(6e9)
	if changed := ask(w.server, line+" If-None-Match:"+tag, `{"context":{"email":"x@guest.test"}}`); changed.Code != http.StatusOK {
		t.Errorf("other flags, another answer: %d", changed.Code)
	}
}

func TestBodyBounds(t *testing.T) {
	w := newWorld(shop)
	fill := func(n int) string { return `{"filler":"` + strings.Repeat("x", n-len(`{"filler":""}`)) + `"}` }
	for n, want := range map[int]int{64 << 10: 200, 64<<10 + 1: 413, 1 << 20: 413} {
		if got := w.evaluate("limit", fill(n)); got.Code != want {
			t.Errorf("a context of %d bytes: %d, want %d: %.200s", n, got.Code, want, got.Body)
		}
	}
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	if got := w.evaluate("limit", deep); got.Code != http.StatusBadRequest && got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a context without end: %d", got.Code)
	}
}

func TestDocument(t *testing.T) {
	w := newWorld(shop)
	line := "GET /flagd/v1/flags X-API-Key:" + goodKey
	plain := ask(w.server, line, "")
	var d struct {
		Flags map[string]struct{ State string }
	}
	if err := json.Unmarshal(plain.Body.Bytes(), &d); err != nil || len(d.Flags) != 5 || d.Flags["silent"].State != "DISABLED" {
		t.Fatalf("%v: %s", err, plain.Body)
	}
	zipped := ask(w.server, line+" Accept-Encoding:gzip", "")
	if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Header().Get("Etag") != plain.Header().Get("Etag") {
		t.Errorf("%v", zipped.Header())
	}
	r, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != plain.Body.String() {
		t.Errorf("unpacked it's something else: %v", err)
	}
	native := ask(w.server, line+" Accept:"+ofrep.NativeType, "")
	if native.Body.String() != shop || native.Header().Get("Content-Type") != ofrep.NativeType {
		t.Errorf("%v %s", native.Header(), native.Body)
	}
	if got := ask(w.server, line+" If-None-Match:"+plain.Header().Get("Etag"), ""); got.Code != http.StatusNotModified || got.Body.Len() > 0 {
		t.Errorf("%d", got.Code)
	}
	w.put("production", `{"flags":{}}`)
	w.wait(6e9)
	if got := ask(w.server, line+" If-None-Match:"+plain.Header().Get("Etag"), ""); got.Code != http.StatusOK {
		t.Errorf("%d after a change", got.Code)
	}
}

// TestLargeIntegersAreServed: with all their digits, as values and in metadata, of a flag and of the set, and in both forms
// of the document.
func TestLargeIntegersAreServed(t *testing.T) {
	w := newWorld(`{"flags":{"f":{"state":"ENABLED","variants":{"n":9007199254740993},"defaultVariant":"n","metadata":{"id":9007199254740995}}},"metadata":{"set":1152921504606846977}}`)
	for _, body := range []string{w.evaluate("f", "{}").Body.String(), ask(w.server, "POST /ofrep/v1/evaluate/flags X-API-Key:"+goodKey, "{}").Body.String(),
		ask(w.server, "GET /flagd/v1/flags X-API-Key:"+goodKey, "").Body.String(),
		ask(w.server, "GET /flagd/v1/flags X-API-Key:"+goodKey+" Accept:"+ofrep.NativeType, "").Body.String()} {
		for _, digits := range []string{":9007199254740993", `"id":9007199254740995`, `"set":1152921504606846977`} {
			if !strings.Contains(body, digits) {
				t.Errorf("%s lacks %s", body, digits)
			}
		}
	}
}

// TestUnreadableFlagFailsAlone: JSON that the engine doesn't take costs the flag that has it, and no other.
func TestUnreadableFlagFailsAlone(t *testing.T) {
	w := newWorld(`{"flags":{"bad":{"state":"ENABLED","variants":{"on":true},"state":"ENABLED"},
		"off":{"state":"DISABLED","enabled":true,"enabled":true},
		"good":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}}`)
	for key, want := range map[string]string{"bad": `"errorCode":"PARSE_ERROR"`, "off": `"value":false`, "good": `"value":true`} {
		if got := w.evaluate(key, "{}"); !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: %d %s; want %s", key, got.Code, got.Body, want)
		}
	}
	document := ask(w.server, "GET /flagd/v1/flags X-API-Key:"+goodKey, "")
	if document.Header().Get(ofrep.NotesHeader) != "/flags/bad /flags/off" || !strings.Contains(document.Body.String(), `"good"`) {
		t.Errorf("%v %s", document.Header(), document.Body)
	}
}

func TestPoisonedFlagFailsAlone(t *testing.T) {
	w := newWorld(`{"flags":{
		"bad":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":{"no-such-operator":[1]}},
		"good":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}}`)
	if got := w.evaluate("bad", "{}"); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), `"errorCode":"PARSE_ERROR"`) {
		t.Errorf("bad: %d %s", got.Code, got.Body)
	}
	if got := w.evaluate("good", "{}"); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"value":true`) {
		t.Errorf("good: %d %s", got.Code, got.Body)
	}
	if w.metrics[ofrep.PoisonedMetric] != 1 {
		t.Errorf("metrics %v; want one, though two were asked for", w.metrics)
	}
	w.wait(61e9)
	w.evaluate("good", "{}")
	if w.metrics[ofrep.PoisonedMetric] != 2 {
		t.Errorf("metrics %v after a minute, want another", w.metrics)
	}
	document := ask(w.server, "GET /flagd/v1/flags X-API-Key:"+goodKey, "")
	if strings.Contains(document.Body.String(), "no-such-operator") || document.Header().Get(ofrep.NotesHeader) != "/flags/bad" {
		t.Errorf("flagd would refuse all flags: %v %s", document.Header(), document.Body)
	}
}
