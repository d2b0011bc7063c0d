package remote_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/remote"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

// TestBounds: each bound ends the fetch with an error that names it.
func TestBounds(t *testing.T) {
	repo := remotetest.NewRepository(t)
	noise := make([]byte, 300_000)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	repo.Write("noise", string(noise))
	big := repo.Commit("does not compress")
	repo.Git("rm", "--quiet", "noise")
	repo.Write("zeros", strings.Repeat("0", 4<<20))
	zeros := repo.Commit("compresses well")
	repo.Write("zeros", strings.Repeat("0", 4<<20)+"1")
	repo.Write("zeros2", strings.Repeat("0", 4<<20)+"2")
	delta := repo.Commit("differs little")
	repo.Push("main")
	repo.Allow(byID)
	url := remotetest.HTTP(t, repo.Root, nil)
	for name, row := range map[string]struct {
		commit string
		limits remote.Limits
		says   string
	}{
		"pack":  {big, remote.Limits{Pack: 200_000}, "over 200000 bytes"},
		"zeros": {zeros, remote.Limits{Bytes: 1 << 20}, "over 1048576 bytes"},
		"delta": {delta, remote.Limits{Bytes: 6 << 20}, "over 6291456 bytes"},
	} {
		f := remote.Fetcher{Local: true, Limits: row.limits}
		if err := f.Fetch(t.Context(), plain(url, row.commit), seen{}.add); deploy.KindOf(err) != deploy.TooLarge || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		}
		f.Limits = remote.Limits{Pack: 1 << 20, Bytes: 20 << 20}
		if err := f.Fetch(t.Context(), plain(url, row.commit), seen{}.add); err != nil {
			t.Errorf("%s, within the bounds: %v", name, err)
		}
	}
}

// TestDefaults holds the bounds of the function fetch to what docs/config.md and docs/doors.md say.
func TestDefaults(t *testing.T) {
	got := remote.OrDefault(remote.Limits{})
	if want := (remote.Limits{Time: 4 * time.Minute, Idle: 20 * time.Second, Pack: 128 << 20, Bytes: 256 << 20, Pause: time.Second}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if silence := 3*got.Idle + 3*got.Pause; silence >= got.Time {
		t.Errorf("a silent server is given up after %s, and there are %s", silence, got.Time)
	}
	few := remote.Limits{Time: 1, Idle: 2, Pack: 3, Bytes: 4, Pause: 5}
	if got := remote.OrDefault(few); got != few {
		t.Errorf("%+v, want %+v", got, few)
	}
}

// TestSlowServers: one that says nothing, and one that always says a little.
func TestSlowServers(t *testing.T) {
	done := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		line := "001e# service=git-upload-pack\n"
		for i := 0; ; i++ {
			if strings.HasPrefix(r.URL.Path, "/drip") {
				fmt.Fprint(w, line[i%len(line):i%len(line)+1])
				w.(http.Flusher).Flush()
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}))
	defer slow.Close()
	defer close(done)
	for path, row := range map[string]struct {
		limits remote.Limits
		kind   deploy.Kind
		says   string
	}{
		"/silent": {remote.Limits{Idle: 100 * time.Millisecond, Pause: 1, Time: 20 * time.Second}, deploy.Internal, "nothing moved for 100ms"},
		"/drip":   {remote.Limits{Idle: 5 * time.Second, Time: 300 * time.Millisecond}, deploy.TooLarge, "it took over 300ms"},
	} {
		f := remote.Fetcher{Local: true, Limits: row.limits}
		if err := f.Fetch(t.Context(), plain(slow.URL+path, strings.Repeat("a", 40)), nil); deploy.KindOf(err) != row.kind || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzServer lets the server say anything: an error or a tree, no panic, and never more than the bounds.
func FuzzServer(f *testing.F) {
	const want = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	refs := "001e# service=git-upload-pack\n0000" + packet(want+" HEAD\x00shallow allow-reachable-sha1-in-want") + "0000"
	f.Add([]byte(refs), []byte(packet("shallow "+want)+"0000"+packet("NAK\n")+"PACK\x00\x00\x00\x02\x00\x00\x00\x00"))
	f.Add([]byte(refs), []byte(packet("ERR upload-pack: not our ref "+want)))
	f.Add([]byte("0000"), []byte("0000"))
	f.Add([]byte("fffe"), []byte{})
	var said [2][]byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write(said[0])
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = w.Write(said[1])
	}))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, refs, pack []byte) {
		said = [2][]byte{refs, pack}
		fetcher := remote.Fetcher{Local: true, Limits: remote.Limits{Time: 5 * time.Second, Pause: 1, Pack: 1 << 16, Bytes: 1 << 20}}
		got := seen{}
		if err := fetcher.Fetch(t.Context(), plain(server.URL, want), got.add); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

func packet(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
