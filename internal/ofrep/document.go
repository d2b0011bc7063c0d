package ofrep

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/internal/flag"
)

// NativeType is the media type of an environment's document as Slipway keeps it, with what plain flagd can't say. Who
// doesn't ask for it by Accept gets plain flagd.
const NativeType = "application/vnd.slipway.flags+json"

// maxNotes bounds the header of that name, in bytes.
const maxNotes = 1 << 10

// form is one way to write an environment's flags down.
type form struct{ native bool }

// document is a rendered form.
type document struct {
	text  []byte
	gzip  []byte
	etag  string
	notes string
}

// document answers with all flags, for those who evaluate in process.
func (s *Server) document(e *environment, snap *snapshot, in *request, out *response) {
	f := form{native: strings.Contains(in.accept, NativeType)}
	d := snap.document(f)
	out.etag, out.notes, out.vary = d.etag, d.notes, "Accept, Accept-Encoding"
	if f.native {
		out.kind = NativeType
	}
	if matches(in.ifNoneMatch, d.etag) {
		out.status = http.StatusNotModified
		return
	}
	out.body = d.text
	if acceptsGzip(in.enc) {
		out.body, out.gzipped = d.gzip, true
	}
}

// document renders a form once for each revision. Its ETag is weak, since it's the same for what is gzipped and what isn't.
func (snap *snapshot) document(f form) *document {
	snap.rendering.Lock()
	defer snap.rendering.Unlock()
	d, ok := snap.rendered[f]
	if !ok {
		d = &document{text: snap.text}
		if !f.native {
			d.text, d.notes = plain(snap)
		}
		d.gzip = compress(d.text)
		d.etag = "W/" + etag(d.text)
		snap.rendered[f] = d
	}
	return d
}

// plain writes a stored document as plain flagd. A flag that can't be evaluated is left out and noted: flagd might refuse
// all of them for its sake.
func plain(snap *snapshot) (text []byte, notes string) {
	var raw struct {
		Flags      map[string]json.RawMessage `json:"flags"`
		Evaluators map[string]json.RawMessage `json:"$evaluators"`
		Metadata   map[string]any             `json:"metadata"`
	}
	var problems []flag.Problem
	dec := json.NewDecoder(bytes.NewReader(snap.text))
	dec.UseNumber() // metadata's numbers keep all their digits
	if err := dec.Decode(&raw); err != nil {
		problems = append(problems, flag.Problem{Path: "/flags"})
	}
	flags := make(map[string]flag.Definition, len(raw.Flags))
	for _, key := range slices.Sorted(maps.Keys(raw.Flags)) {
		each := raw.Flags[key]
		var d flag.Definition
		if err := json.Unmarshal(each, &d); err != nil || snap.set.Evaluate(key, nil).ErrorCode == flag.ParseError {
			problems = append(problems, flag.Problem{Path: "/flags/" + key})
			continue
		}
		flags[key] = d
	}
	text, more := flag.ToFlagd(flags, raw.Evaluators, raw.Metadata)
	return text, pointers(append(problems, more...))
}

func pointers(problems []flag.Problem) string {
	var b strings.Builder
	for i, p := range problems {
		if i > 0 && p.Path == problems[i-1].Path {
			continue
		}
		if b.Len()+len(p.Path)+2 > maxNotes {
			b.WriteString(" ...")
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.Map(printable, p.Path))
	}
	return b.String()
}

// printable keeps what may stand in a header.
func printable(r rune) rune {
	if r <= ' ' || r > '~' {
		return '_'
	}
	return r
}

func compress(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// acceptsGzip reads Accept-Encoding as far as clients use it: a name, and q=0 for what they refuse.
func acceptsGzip(header string) bool {
	for each := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(each), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
