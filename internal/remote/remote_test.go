package remote_test

import (
	"archive/tar"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/remote"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

const (
	byID    = "uploadpack.allowReachableSHA1InWant"
	filters = "uploadpack.allowFilter"
)

// seen is a tree as add is shown it: the name, then what is there.
type seen map[string]string

func (s seen) add(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		if !deploy.ValidCommit(h.PAXRecords["comment"]) || len(s) > 0 {
			return fmt.Errorf("%+v behind %d entries", h, len(s))
		}
		return nil
	}
	what := fmt.Sprintf("%o %c", h.Mode, h.Typeflag)
	if body != nil {
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		what += " " + string(text)
	}
	if h.Linkname != "" {
		what += " " + h.Linkname
	}
	s[h.Name] = what
	return nil
}

// plain is a request for a commit from a server over HTTP.
func plain(url, commit string) remote.Request {
	return remote.Request{Source: deploy.Source{Type: deploy.SourceGit, URL: url + "/shop.git"}, Commit: commit}
}

var here = remote.Fetcher{Local: true, Limits: remote.Limits{Time: 2 * time.Minute, Idle: 30 * time.Second, Pause: 5 * time.Millisecond}}

func TestFetch(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Allow(byID)
	repo.Write("README", "old")
	repo.Write("gone", "x")
	old := repo.Commit("one")
	repo.Git("rm", "--quiet", "gone")
	repo.Write("README", "new")
	repo.Write("bin/run", "#!/bin/sh\n")
	repo.Write("ümläut/\"odd\" name", "odd")
	repo.Write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
	if err := os.Symlink("../README", repo.Path("bin/link")); err != nil {
		t.Fatal(err)
	}
	repo.Git("add", "--all")
	repo.Git("update-index", "--chmod=+x", "bin/run")
	repo.Git("update-index", "--add", "--cacheinfo", "160000,"+old+",vendor/lib")
	repo.Git("commit", "--quiet", "--message", "two")
	tip := repo.Git("rev-parse", "HEAD")
	repo.Push("main")
	url := remotetest.HTTP(t, repo.Root, nil)

	got := seen{}
	if err := here.Fetch(t.Context(), plain(url, tip), got.add); err != nil {
		t.Fatal(err)
	}
	want := seen{"README": "644 0 new", "bin/": "755 5", "bin/run": "755 0 #!/bin/sh\n", "bin/link": "644 2 ../README", "ümläut/": "755 5",
		"ümläut/\"odd\" name": "644 0 odd", "big.bin": "644 0 version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "vendor/": "755 5", "vendor/lib/": "755 5"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	got = seen{}
	if err := here.Fetch(t.Context(), plain(url, old), got.add); err != nil || got["README"] != "644 0 old" || got["gone"] != "644 0 x" || len(got) != 2 {
		t.Errorf("the older commit: %v, %v", got, err)
	}
}

// TestOnlyTips: git's own default is to give out branches' and tags' tips, and nothing else by its id.
func TestOnlyTips(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Write("v", "1")
	one := repo.Commit("one")
	repo.Write("v", "2")
	two := repo.Commit("two")
	repo.Push("main")
	url := remotetest.HTTP(t, repo.Root, nil)
	for _, row := range []struct{ commit, branch, v, err string }{
		{two, "", "644 0 2", ""},
		{one, "main", "644 0 1", ""},
		{one, "", "", "no branch was named"},
		{strings.Repeat("a", 40), "main", "", "isn't among the newest 50"},
		{one, "other", "", `no branch "other"`},
	} {
		r, got := plain(url, row.commit), seen{}
		r.Branch = row.branch
		err := here.Fetch(t.Context(), r, got.add)
		if got["v"] != row.v || (err == nil) != (row.err == "") || err != nil && (deploy.KindOf(err) != deploy.NotFound || !strings.Contains(err.Error(), row.err)) {
			t.Errorf("%s on %q: %v, %v; want %q, %q", row.commit, row.branch, got, err, row.v, row.err)
		}
	}
}

// TestVerify: a commit that is on another branch than was claimed isn't fetched, however the server can show it.
func TestVerify(t *testing.T) {
	for _, allow := range [][]string{{byID}, {byID, filters}} {
		repo := remotetest.NewRepository(t)
		repo.Allow(allow...)
		one := repo.Commit("one")
		repo.Git("checkout", "--quiet", "-b", "side")
		side := repo.Commit("side")
		repo.Push("side")
		repo.Git("checkout", "--quiet", "main")
		repo.Git("merge", "--quiet", "--no-ff", "--message", "merged", repo.Git("commit-tree", "-p", one, "-m", "feature", one+"^{tree}"))
		merged := repo.Git("rev-parse", "HEAD^2")
		tip := repo.Commit("two")
		repo.Push("main")
		url := remotetest.HTTP(t, repo.Root, nil)
		for _, row := range []struct {
			commit, branch string
			kind           deploy.Kind
			field          string
		}{
			{tip, "main", "", ""},
			{one, "main", "", ""},
			{merged, "main", "", ""},
			{side, "side", "", ""},
			{side, "main", deploy.Invalid, "branch"},
			{tip, "side", deploy.Invalid, "branch"},
			{tip, "no-such", deploy.NotFound, "branch"},
			{tip, "../heads/main", deploy.NotFound, "branch"},
			{strings.Repeat("a", 40), "main", deploy.Invalid, "branch"},
		} {
			r, got := plain(url, row.commit), seen{}
			r.Branch, r.Verify = row.branch, true
			for _, add := range []func(*tar.Header, io.Reader) error{nil, got.add} {
				if err := here.Fetch(t.Context(), r, add); deploy.KindOf(err) != row.kind || deploy.FieldOf(err) != row.field {
					t.Errorf("%v: %s on %s: %v, want %s %s", allow, row.commit, row.branch, err, row.kind, row.field)
				}
			}
		}
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Allow(byID)
	repo.Write("v", "1")
	tip := repo.Commit("one")
	repo.Push("main")
	open, closed := remotetest.HTTP(t, repo.Root, nil), remotetest.HTTP(t, repo.Root, remotetest.Token("x-access-token", "s3cret"))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(web.Close)
	away := httptest.NewServer(http.RedirectHandler(open+"/shop.git/info/refs?service=git-upload-pack", http.StatusFound))
	t.Cleanup(away.Close)
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(sick.Close)
	empty := remotetest.HTTP(t, remotetest.NewRepository(t).Root, nil)
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	for name, row := range map[string]struct {
		url, secret, commit string
		kind                deploy.Kind
		field, says         string
	}{
		"unknown commit": {open, "", strings.Repeat("a", 40), deploy.NotFound, "commit_sha", "isn't in the repository; push it first"},
		"no token":       {closed, "", tip, deploy.Invalid, "source.token", "wants one"},
		"bad token":      {closed, "wr0ng", tip, deploy.Invalid, "source.token", "refuses it"},
		"no repository":  {open + "/nothing", "", tip, deploy.NotFound, "source.url", "no such repository"},
		"a web page":     {web.URL, "", tip, deploy.Invalid, "source.url", "no git server"},
		"a stranger":     {remotetest.HTTPS(t, repo.Root, nil), "wr0ng", tip, deploy.Invalid, "source.url", "shows no certificate that can be trusted: x509: "},
		"another host":   {away.URL, "wr0ng", tip, deploy.Invalid, "source.url", "sends on to"},
		"sick":           {sick.URL, "", tip, deploy.Internal, "", "HTTP 502"},
		"down":           {"http://" + down.Addr().String(), "wr0ng", tip, deploy.Internal, "", "can't be reached"},
		"empty":          {empty, "", tip, deploy.NotFound, "source.url", "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := plain(row.url, row.commit)
			r.Secret = row.secret
			err := here.Fetch(t.Context(), r, seen{}.add)
			if deploy.KindOf(err) != row.kind || deploy.FieldOf(err) != row.field || err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %s %v; want %s, %s, %q", deploy.KindOf(err), err, row.kind, row.field, row.says)
			}
			if err != nil && row.secret != "" && strings.Contains(err.Error(), row.secret) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	repo := remotetest.NewRepository(t)
	tip := repo.Commit("one")
	repo.Push("main")
	for secret, allow := range map[string]func(*http.Request) bool{
		"s3cret\n":      remotetest.Token("x-access-token", "s3cret"),
		"oauth2:s:cret": remotetest.Token("oauth2", "s:cret"),
	} {
		r := plain(remotetest.HTTP(t, repo.Root, allow), tip)
		r.Secret = secret
		if err := here.Fetch(t.Context(), r, seen{}.add); err != nil {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

// TestRenamed: a redirect within the host is followed, as GitHub sends for a repository that was renamed.
func TestRenamed(t *testing.T) {
	repo := remotetest.NewRepository(t)
	tip := repo.Commit("one")
	repo.Push("main")
	url := remotetest.HTTP(t, repo.Root, func(r *http.Request) bool {
		r.URL.Path = strings.Replace(r.URL.Path, "/new.git/", "/shop.git/", 1)
		return r.URL.Path != "/shop.git/nothing"
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := strings.CutPrefix(r.URL.Path, "/old.git/"); ok {
			http.Redirect(w, r, "/new.git/"+path+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		proxy(w, r, url)
	}))
	t.Cleanup(front.Close)
	r := plain(front.URL, tip)
	r.Source.URL = front.URL + "/old.git"
	if err := here.Fetch(t.Context(), r, seen{}.add); err != nil {
		t.Error(err)
	}
}

func proxy(w http.ResponseWriter, r *http.Request, to string) {
	req, _ := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.RequestURI(), r.Body)
	req.Header, req.ContentLength = r.Header, r.ContentLength
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// TestForbiddenAddresses: no name and no number leads to where credentials are.
func TestForbiddenAddresses(t *testing.T) {
	closed := remote.Fetcher{Limits: here.Limits}
	for _, url := range []string{"http://127.0.0.1:9001", "https://localhost", "https://169.254.169.254", "https://[::1]", "https://[fe80::1]", "https://[fd00:ec2::254]",
		"https://0.0.0.0", "https://[::ffff:169.254.169.254]", "https://224.0.0.1", "ssh://git@127.0.0.1", "ssh://169.254.170.2"} {
		r := plain(url, strings.Repeat("a", 40))
		if strings.HasPrefix(url, "ssh:") {
			signer, key := remotetest.NewKey(t)
			r.Secret, r.Source.HostKeys = key, []string{"ssh-ed25519 " + publicText(signer)}
		}
		if err := closed.Fetch(t.Context(), r, nil); deploy.KindOf(err) != deploy.Invalid || !strings.Contains(err.Error(), "no git server may be") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
