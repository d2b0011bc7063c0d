package source_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/source"
)

// faulty makes an S3 of a server that misbehaves as handle says.
func faulty(t *testing.T, handle http.HandlerFunc) *source.S3 {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		RetryMaxAttempts: 1}
	return source.NewS3(s3.NewFromConfig(cfg), "bucket")
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFetchGoesOnAfterABreak(t *testing.T) {
	for breaks, want := range map[int32]deploy.Kind{0: "", 2: "", 9: "", 1000: deploy.Internal} {
		var calls atomic.Int32
		s := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			if calls.Add(1) <= breaks {
				fmt.Fprint(w, "con") // the server closes, since there is less than it said
				return
			}
			fmt.Fprint(w, "content")
		})
		f := tempFile(t)
		ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
		defer stop()
		_, err := s.Fetch(ctx, &deploy.Bundle{Key: "k", SHA256: digest([]byte("content"))}, f)
		if deploy.KindOf(err) != want {
			t.Errorf("%d breaks: got %v, want %q", breaks, err, want)
		}
		if got, _ := os.ReadFile(f.Name()); err == nil && string(got) != "content" {
			t.Errorf("%d breaks: fetched %q", breaks, got)
		}
	}
}

// TestFetchOfAnotherBundle: where another bundle of the commit was uploaded first, the error says what is there, what was wanted, and that
// it takes another commit.
func TestFetchOfAnotherBundle(t *testing.T) {
	s := faulty(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "junk") })
	_, err := s.Fetch(t.Context(), &deploy.Bundle{Key: "k", SHA256: digest([]byte("content"))}, tempFile(t))
	want := "the uploaded bundle has SHA-256 " + digest([]byte("junk")) + ", this deployment wants " + digest([]byte("content")) +
		"; the bundle of a commit can't be replaced: make a new commit (git commit --amend)"
	if deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestStatRefuses(t *testing.T) {
	big := faulty(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "268435457") })
	if _, err := big.Stat(t.Context(), "shop", commit); deploy.KindOf(err) != deploy.TooLarge {
		t.Errorf("a big bundle: got %v", err)
	}
	denied := faulty(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if _, err := denied.Stat(t.Context(), "shop", commit); deploy.KindOf(err) != deploy.Internal {
		t.Errorf("denied: got %v", err)
	}
	unasked := faulty(t, func(http.ResponseWriter, *http.Request) { t.Error("S3 was asked") })
	for field, c := range map[string][2]string{"app": {"../x", commit}, "commit_sha": {"shop", "../../x"}} {
		if _, err := unasked.Stat(t.Context(), c[0], c[1]); deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != field {
			t.Errorf("%v: got %v", c, err)
		}
	}
}

func TestFetchBoundsItself(t *testing.T) {
	s := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 1<<20)
		for range 257 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	if _, err := s.Fetch(t.Context(), &deploy.Bundle{Key: "k"}, tempFile(t)); deploy.KindOf(err) != deploy.TooLarge {
		t.Errorf("got %v", err)
	}
}

// TestPutBundleAtOnce: a commit that goes to two environments is fetched twice at the same time. To the one of two conditional writes
// S3 may say that another is under way, and to try again.
func TestPutBundleAtOnce(t *testing.T) {
	for name, row := range map[string]struct {
		then int
		code string
	}{"the other was there first": {http.StatusPreconditionFailed, "PreconditionFailed"}, "the other failed": {http.StatusOK, ""}} {
		var puts atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch status, code := row.then, row.code; {
			case r.Method == http.MethodHead:
				w.Header().Set("X-Amz-Meta-Sha256", digest([]byte("bundle")))
			case r.Header.Get("If-None-Match") != "*" || !strings.Contains(string(body), "bundle"):
				t.Errorf("put %q under the condition %q", body, r.Header.Get("If-None-Match"))
			default:
				if puts.Add(1) == 1 {
					status, code = http.StatusConflict, "ConditionalRequestConflict"
				}
				w.WriteHeader(status)
				if code != "" {
					fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
				}
			}
		}))
		defer server.Close()
		s := source.NewS3(s3.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL,
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}), "bucket")
		f := tempFile(t)
		if _, err := f.WriteString("bundle"); err != nil {
			t.Fatal(err)
		}
		if b, err := s.PutBundle(t.Context(), "shop", commit, f); err != nil || b.SHA256 != digest([]byte("bundle")) || puts.Load() != 2 {
			t.Errorf("%s: %+v, %v, %d puts", name, b, err, puts.Load())
		}
	}
}

// What a build made isn't to be trusted: it may be anything but a file, or lead to what only the function may read.
func TestPutArtifactRefuses(t *testing.T) {
	s := faulty(t, func(http.ResponseWriter, *http.Request) { t.Error("S3 was asked") })
	work := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink("/proc/self/environ", filepath.Join(work, "link")))
	must(os.Symlink("/proc/self", filepath.Join(work, "folder")))
	must(os.Mkdir(filepath.Join(work, "dir"), 0o755))
	must(syscall.Mkfifo(filepath.Join(work, "pipe"), 0o644))
	for _, name := range []string{"none", "link", "folder/environ", "dir", "pipe"} {
		_, err := s.PutArtifact(t.Context(), "shop", commit, name, filepath.Join(work, name))
		if deploy.KindOf(err) != deploy.BuildFailed || !strings.HasPrefix(err.Error(), "artifact "+name+": ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
