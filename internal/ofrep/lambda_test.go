package ofrep_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/slipway-cd/slipway/internal/ofrep"
)

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// event is what Lambda gives a function behind a URL, in its own words but for what is filled in.
func event(method, path, headers, body string, encoded bool) string {
	return fmt.Sprintf(`{"version":"2.0","routeKey":"$default","rawPath":%q,"rawQueryString":"","cookies":["a=\"b\""],"headers":%s,
	"requestContext":{"accountId":"anonymous","apiId":"u","domainName":"u.lambda-url.us-east-1.on.aws","domainPrefix":"u",
	"http":{"method":%q,"path":%q,"protocol":"HTTP/1.1","sourceIp":"198.51.100.7","userAgent":"test/1"},"requestId":"0a",
	"routeKey":"$default","stage":"$default","time":"23/Nov/2026:07:00:00 +0000","timeEpoch":1795417200000},"body":%s,"isBase64Encoded":%v}`,
		path, headers, method, path, body, encoded)
}

// Through Lambda and through HTTP the same request has the same answer.
func TestLambdaAnswersAsHTTPDoes(t *testing.T) {
	w := newWorld(shop)
	function := ofrep.Function{Server: w.server}
	key := `"x-api-key":"` + goodKey + `"`
	for _, each := range []struct{ method, path, headers, body string }{
		{"POST", "/ofrep/v1/evaluate/flags/banner", key, `{"context":{"email":"\"é\"\n@shop.test"}}`},
		{"POST", "/ofrep/v1/evaluate/flags/missing", `"authorization":"Bearer ` + goodKey + `"`, ``},
		{"POST", "/ofrep/v1/evaluate/flags", key, `{"context":{"email":"a@shop.test"}}`},
		{"POST", "/ofrep/v1/evaluate/flags", key + `,"if-none-match":"*"`, `{}`},
		{"POST", "/ofrep/v1/evaluate/flags", key, `{`},
		{"POST", "/ofrep/v1/evaluate/flags", key, `{"filler":"` + strings.Repeat("x", ofrep.MaxBody) + `","context":{}}`},
		{"POST", "/ofrep/v1/evaluate/flags", `"accept":"*/*"`, `{}`},
		{"GET", "/flagd/v1/flags", key, ``},
		{"GET", "/flagd/v1/flags", key + `,"accept-encoding":"br, gzip"`, ``},
		{"GET", "/flagd/v1/flags", key + `,"accept":"` + ofrep.NativeType + `"`, ``},
		{"DELETE", "/flagd/v1/flags", key, ``},
	} {
		headers := map[string]string{}
		if err := json.Unmarshal([]byte("{"+each.headers+"}"), &headers); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(each.method, each.path, strings.NewReader(each.body))
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		want := send(w.server, r)
		plain, _ := json.Marshal(each.body)
		encoded, _ := json.Marshal(base64.StdEncoding.EncodeToString([]byte(each.body)))
		for body, isEncoded := range map[string]bool{string(plain): false, string(encoded): true} {
			text, err := function.Invoke(t.Context(), []byte(event(each.method, each.path, "{"+each.headers+"}", body, isEncoded)))
			if err != nil {
				t.Fatal(err)
			}
			var got events.LambdaFunctionURLResponse
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if got.IsBase64Encoded {
				raw, err := base64.StdEncoding.DecodeString(got.Body)
				if err != nil {
					t.Fatal(err)
				}
				got.Body = string(raw)
			}
			if got.StatusCode != want.Code || got.Body != want.Body.String() || len(got.Headers) != len(want.Header()) {
				t.Errorf("%s %s %s: %d %s %v, over HTTP %d %s %v", each.method, each.path, each.body,
					got.StatusCode, got.Body, got.Headers, want.Code, want.Body, want.Header())
			}
			for name, value := range got.Headers {
				if want.Header().Get(name) != value {
					t.Errorf("%s %s: %s is %q, over HTTP %q", each.method, each.path, name, value, want.Header().Get(name))
				}
			}
		}
	}
}

func TestLambdaRefusesOtherEvents(t *testing.T) {
	function := ofrep.Function{Server: newWorld(shop).server}
	for _, text := range []string{``, `null`, `{}`, `{"Records":[]}`, `[1]`, event("POST", "/x", "{}", `"%%%"`, true), event("POST", "/x", "{}", `7`, false)} {
		if answer, err := function.Invoke(t.Context(), []byte(text)); err == nil {
			t.Errorf("%.80s: %s", text, answer)
		}
	}
}

// Ten thousand flags are more than Lambda can send, unless they are gzipped.
func TestLambdaSendsTenThousandFlags(t *testing.T) {
	var flags []string
	filler := strings.Repeat(`{"var":"attribute"},`, 30)
	for i := range 10_000 {
		flags = append(flags, fmt.Sprintf(`"flag-%d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"or":[%s{"var":"x"}]},"on","off"]}}`, i, filler))
	}
	function := ofrep.Function{Server: newWorld(`{"flags":{` + strings.Join(flags, ",") + `}}`).server}
	for headers, want := range map[string]int{`"accept-encoding":"gzip"`: 200, `"accept-encoding":"gzip;q=0"`: 406} {
		text, err := function.Invoke(t.Context(), []byte(event("GET", "/flagd/v1/flags", `{"x-api-key":"`+goodKey+`",`+headers+`}`, "null", false)))
		var got events.LambdaFunctionURLResponse
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if err != nil || got.StatusCode != want || len(text) > 6<<20 {
			t.Errorf("%s: %v, %d, %d bytes: %.100s", headers, err, got.StatusCode, len(text), got.Body)
		}
	}
}

func TestShutdownWritesTheCounts(t *testing.T) {
	w := newWorld(flagOf("1"))
	function := ofrep.Function{Server: w.server}
	for range 3 {
		w.evaluate("f", "{}")
	}
	function.Shutdown()
	if got := w.n("f", "v", seven); got != 3 {
		t.Errorf("%d of 3", got)
	}
}
