package ofrep

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/internal/flag"
)

// one answers for a single flag.
func one(snap *snapshot, key string, in *request, out *response, now int64) {
	if code, details := readContext(in, out, now); code != "" {
		out.status = statusOf(code)
		if in.tooLarge || code == tooLarge {
			code = flag.InvalidContext
		}
		out.body = appendFailure(out.buffer[:0], key, code, details)
		out.buffer = out.body
		return
	}
	r := snap.set.Evaluate(key, &out.context)
	if r.ErrorCode == "" {
		snap.count(key, 0, r.Variant)
	}
	out.status = statusOf(r.ErrorCode)
	out.body = appendResult(out.buffer[:0], key, &r)
	out.buffer = out.body
}

// bulk answers for all flags. The ETag is the body's, so that it moves with the context and with rules over time, too.
func bulk(snap *snapshot, in *request, out *response, now int64) {
	if code, details := readContext(in, out, now); code != "" {
		out.status = statusOf(code)
		out.body = appendFailure(out.buffer[:0], "", flag.InvalidContext, details)
		out.buffer = out.body
		return
	}
	b := append(out.buffer[:0], `{"flags":[`...)
	i := 0
	for key, r := range snap.set.All(&out.context) {
		if i > 0 {
			b = append(b, ',')
		}
		if r.ErrorCode == "" {
			snap.count(key, i, r.Variant)
		}
		i++
		b = appendResult(b, key, &r)
	}
	b = append(b, ']')
	if m := snap.set.Metadata(); m != nil {
		b = append(append(b, `,"metadata":`...), m.JSON...)
	}
	b = append(b, '}')
	out.body, out.buffer = b, b
	out.etag = etag(b)
	if matches(in.ifNoneMatch, out.etag) {
		out.status, out.body = http.StatusNotModified, nil
	}
}

// etag names a body by its hash.
func etag(body []byte) string {
	sum := sha256.Sum256(body)
	var text [2 + 32]byte
	text[0], text[33] = '"', '"'
	hex.Encode(text[1:33], sum[:16])
	return string(text[:])
}

// matches tells whether If-None-Match names tag, by RFC 9110's weak comparison.
func matches(header, tag string) bool {
	if header == "" {
		return false
	}
	tag = strings.TrimPrefix(tag, "W/")
	for header != "" {
		header = strings.TrimLeft(header, " \t,")
		if strings.HasPrefix(header, "*") {
			return true
		}
		header = strings.TrimPrefix(header, "W/")
		if !strings.HasPrefix(header, `"`) {
			return false
		}
		end := strings.IndexByte(header[1:], '"')
		if end < 0 {
			return false
		}
		if header[:end+2] == tag {
			return true
		}
		header = header[end+2:]
	}
	return false
}

// tooLarge is no code of OFREP's: it stands for INVALID_CONTEXT with the status 413.
const tooLarge flag.ErrorCode = "TOO_LARGE"

// readContext decodes the request's context into out. A body that is missing, or has none, means an empty context: many
// flags need none.
func readContext(in *request, out *response, now int64) (flag.ErrorCode, string) {
	raw := []byte("{}")
	if in.tooLarge {
		return tooLarge, "the context is larger than 64 KiB"
	}
	if len(in.body) > 0 {
		found := false
		ok := members(in.body, func(name, value []byte) {
			if string(name) == "context" {
				raw, found = value, true
			}
		})
		switch {
		case !ok:
			return flag.InvalidContext, `the body is no JSON object; want {"context":{"targetingKey":"…"}}`
		case !found || string(raw) == "null":
			raw = []byte("{}")
		case len(raw) > flag.MaxContext:
			return tooLarge, "the context is larger than 64 KiB"
		}
	}
	if err := out.context.Parse(raw); err != nil {
		return flag.InvalidContext, "the context can't be read: " + words(err)
	}
	out.context.Time = now / 1e9
	return "", ""
}

// words is the first thing that is wrong.
func words(err error) string {
	var invalid *flag.Invalid
	if errors.As(err, &invalid) && len(invalid.Problems) > 0 {
		p := invalid.Problems[0]
		return strings.ToValidUTF8(strings.TrimSpace(p.Path+" "+p.Message), "?")
	}
	return strings.ToValidUTF8(err.Error(), "?")
}

func statusOf(code flag.ErrorCode) int {
	switch code {
	case "":
		return http.StatusOK
	case flag.FlagNotFound:
		return http.StatusNotFound
	case tooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// appendResult writes an evaluation as OFREP has it, success or failure. A value that is left out means that the
// application's own default counts.
func appendResult(b []byte, key string, r *flag.Result) []byte {
	if r.ErrorCode != "" {
		return appendFailure(b, key, r.ErrorCode, r.ErrorDetails)
	}
	b = quote(append(b, `{"key":`...), key)
	b = append(append(append(b, `,"reason":"`...), r.Reason...), '"')
	if r.Variant != "" {
		b = quote(append(b, `,"variant":`...), r.Variant)
	}
	if r.JSON != nil {
		b = append(append(b, `,"value":`...), r.JSON...)
	}
	if r.Metadata != nil {
		b = append(append(b, `,"metadata":`...), r.Metadata.JSON...)
	}
	return append(b, '}')
}

func appendFailure(b []byte, key string, code flag.ErrorCode, details string) []byte {
	b = append(b, '{')
	if key != "" {
		b = append(quote(append(b, `"key":`...), key), ',')
	}
	b = append(append(append(b, `"errorCode":"`...), code...), '"')
	if details != "" {
		b = quote(append(b, `,"errorDetails":`...), details)
	}
	return append(b, '}')
}
