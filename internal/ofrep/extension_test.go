package ofrep_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/ofrep"
)

func TestShutdownIsAskedFor(t *testing.T) {
	next := make(chan string, 1)
	var registered string
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		registered = r.Header.Get("Lambda-Extension-Name") + " " + string(body)
		w.Header().Set("Lambda-Extension-Identifier", "id-1")
		_, _ = io.WriteString(w, `{"functionName":"slipway-ofrep"}`)
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		next <- r.Header.Get("Lambda-Extension-Identifier")
		<-r.Context().Done() // it has no events
	})
	api := httptest.NewServer(mux)
	t.Cleanup(api.CloseClientConnections)
	ended := make(chan bool)
	if err := ofrep.AwaitShutdown(strings.TrimPrefix(api.URL, "http://")).Then(func() { close(ended) }); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-next:
		if id != "id-1" || registered != `slipway {"events":[]}` {
			t.Errorf("%q asks for its next event, registered as %s", id, registered)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody asks for the next event, so that Lambda waits for it")
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("SIGTERM isn't heard")
	}
}

func TestNoExtensions(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"404":     http.NotFound,
		"no name": func(http.ResponseWriter, *http.Request) {},
	} {
		api := httptest.NewServer(answer)
		err := ofrep.AwaitShutdown(strings.TrimPrefix(api.URL, "http://")).Then(func() {})
		api.Close()
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := ofrep.AwaitShutdown("127.0.0.1:1").Then(func() {}); err == nil {
		t.Error("nobody listens: no error")
	}
}
