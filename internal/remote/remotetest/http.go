package remotetest

import (
	"encoding/pem"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// HTTP serves the repositories in a folder by git's own http-backend on 127.0.0.1, to requests that allow lets through, and gives
// the address.
func HTTP(t testing.TB, root string, allow func(r *http.Request) bool) string {
	t.Helper()
	server := httptest.NewServer(backend(t, root, allow))
	t.Cleanup(server.Close)
	return server.URL
}

// HTTPS is HTTP behind TLS, with the certificate that Authority signed.
func HTTPS(t testing.TB, root string, allow func(r *http.Request) bool) string {
	t.Helper()
	server := httptest.NewTLSServer(backend(t, root, allow))
	t.Cleanup(server.Close)
	return server.URL
}

// Authority is what a client has to trust to talk to an HTTPS server, as a PEM file holds it.
func Authority() []byte {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func backend(t testing.TB, root string, allow func(r *http.Request) bool) http.Handler {
	t.Helper()
	libexec, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(libexec)), "git-http-backend"), Stderr: testWriter{t},
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allow != nil && !allow(r) {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})
}

// Token lets requests through that carry it.
func Token(user, token string) func(r *http.Request) bool {
	return func(r *http.Request) bool {
		u, p, ok := r.BasicAuth()
		return ok && u == user && p == token
	}
}

// testWriter drops what the backend says: a client that hangs up is no fault of its.
type testWriter struct{ testing.TB }

func (testWriter) Write(p []byte) (int, error) { return len(p), nil }
