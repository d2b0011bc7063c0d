package ofrep_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/ofrep"
)

// hundred is an environment of a hundred flags, of the kinds that there are.
func hundred() string {
	kinds := []string{
		`{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}`,
		`{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"ends_with":[{"var":"email"},"@shop.test"]},"on","off"]}}`,
		`{"state":"ENABLED","variants":{"a":"red","b":"blue"},"defaultVariant":"a","targeting":{"fractional":[["a",50],["b",50]]}}`,
		`{"state":"DISABLED","variants":{"on":true,"off":false},"defaultVariant":"off"}`,
	}
	var flags []string
	for i := range 100 {
		flags = append(flags, fmt.Sprintf(`"flag-%d":%s`, i, kinds[i%len(kinds)]))
	}
	return `{"flags":{` + strings.Join(flags, ",") + `}}`
}

const user = `{"context":{"targetingKey":"5c3d8535-f81a-4478-a6d3-afaa4d51199e","email":"ann@shop.test","plan":"pro","age":37}}`

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

type rewound struct{ strings.Reader }

func (*rewound) Close() error { return nil }

// overHTTP gives a call of the whole handler as net/http calls it.
func overHTTP(b testing.TB, path string) func() {
	w := newWorld(hundred())
	out := &discard{http.Header{}}
	body := &rewound{}
	r, err := http.NewRequest(http.MethodPost, "http://flags.test"+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+goodKey)
	r.Header.Set("Content-Type", "application/json")
	r.Body, r.ContentLength = io.ReadCloser(body), int64(len(user))
	return func() {
		body.Reset(user)
		w.server.ServeHTTP(out, r)
	}
}

// overLambda gives a call of the function with an event's bytes.
func overLambda(b testing.TB, path string) func() {
	f := ofrep.Function{Server: newWorld(hundred()).server}
	text := []byte(event("POST", path, `{"authorization":"Bearer `+goodKey+`","content-type":"application/json","x-forwarded-for":"198.51.100.7","x-amzn-trace-id":"Root=1-0"}`,
		strings.ReplaceAll(fmt.Sprintf("%q", user), `\x`, `\u00`), false))
	return func() {
		if _, err := f.Invoke(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

var benched = []struct {
	name   string
	call   func(testing.TB, string) func()
	path   string
	allocs float64 // the most that are allowed
}{
	{"HTTP/static", overHTTP, "/ofrep/v1/evaluate/flags/flag-0", 25},
	{"HTTP/suffix", overHTTP, "/ofrep/v1/evaluate/flags/flag-1", 25},
	{"HTTP/split", overHTTP, "/ofrep/v1/evaluate/flags/flag-2", 25},
	{"HTTP/bulk100", overHTTP, "/ofrep/v1/evaluate/flags", 25},
	{"Lambda/static", overLambda, "/ofrep/v1/evaluate/flags/flag-0", 25},
	{"Lambda/suffix", overLambda, "/ofrep/v1/evaluate/flags/flag-1", 25},
	{"Lambda/split", overLambda, "/ofrep/v1/evaluate/flags/flag-2", 25},
	{"Lambda/bulk100", overLambda, "/ofrep/v1/evaluate/flags", 25},
}

// BenchmarkOFREP measures a request through the whole handler: under 5 us, and all of a hundred flags under 50 us.
func BenchmarkOFREP(b *testing.B) {
	for _, each := range benched {
		b.Run(each.name, func(b *testing.B) {
			call := each.call(b, each.path)
			call()
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

func TestAllocations(t *testing.T) {
	for _, each := range benched {
		call := each.call(t, each.path)
		call()
		if got := testing.AllocsPerRun(100, call); got > each.allocs {
			t.Errorf("%s: %v allocations, want at most %v", each.name, got, each.allocs)
		}
	}
}
