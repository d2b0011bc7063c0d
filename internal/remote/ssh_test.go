package remote_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/remote"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

func publicText(s ssh.Signer) string {
	return base64.StdEncoding.EncodeToString(s.PublicKey().Marshal())
}

// ecdsaKey is a host's key of a type that the tests' server has none of.
func ecdsaKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

func TestSSH(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Allow(byID)
	repo.Write("v", "1")
	one := repo.Commit("one")
	repo.Write("v", "2")
	repo.Commit("two")
	repo.Push("main")
	server := remotetest.Serve(t, repo.Root)
	other, otherKey := remotetest.NewKey(t)
	right := remote.Request{Commit: one, Branch: "main", Verify: true, Secret: server.Key,
		Source: deploy.Source{Type: deploy.SourceGit, URL: "ssh://git@" + server.Address + "/shop.git", HostKeys: []string{server.HostKey}}}
	got := seen{}
	if err := here.Fetch(t.Context(), right, got.add); err != nil || got["v"] != "644 0 1" {
		t.Fatalf("%v, %v", got, err)
	}
	for name, row := range map[string]struct {
		change func(r *remote.Request)
		kind   deploy.Kind
		field  string
	}{
		"another host":   {func(r *remote.Request) { r.Source.HostKeys = []string{"ssh-ed25519 " + publicText(other)} }, deploy.Invalid, "source.host_keys"},
		"another type":   {func(r *remote.Request) { r.Source.HostKeys = []string{ecdsaKey(t)} }, deploy.Invalid, "source.host_keys"},
		"no host":        {func(r *remote.Request) { r.Source.HostKeys = nil }, deploy.Invalid, "source.host_keys"},
		"another key":    {func(r *remote.Request) { r.Secret = otherKey }, deploy.Invalid, "source.ssh_key"},
		"no key":         {func(r *remote.Request) { r.Secret = "s3cret" }, deploy.Invalid, "source.ssh_key"},
		"no repository":  {func(r *remote.Request) { r.Source.URL = "ssh://git@" + server.Address + "/nothing.git" }, deploy.NotFound, "source.url"},
		"a quote":        {func(r *remote.Request) { r.Source.URL = "ssh://git@" + server.Address + "/a'b.git" }, deploy.NotFound, "source.url"},
		"unknown commit": {func(r *remote.Request) { r.Commit, r.Verify = strings.Repeat("a", 40), false }, deploy.NotFound, "commit_sha"},
		"unknown branch": {func(r *remote.Request) { r.Branch = "other" }, deploy.NotFound, "branch"},
	} {
		t.Run(name, func(t *testing.T) {
			r := right
			row.change(&r)
			err := here.Fetch(t.Context(), r, seen{}.add)
			if deploy.KindOf(err) != row.kind || deploy.FieldOf(err) != row.field {
				t.Errorf("got %s %v, want %s %s", deploy.KindOf(err), err, row.kind, row.field)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "PRIVATE")) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// TestHasty fetches from a server that refuses and hangs up while the request is on its way: what it said is what counts.
func TestHasty(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Allow(byID)
	repo.Write("v", "1")
	repo.Commit("one")
	repo.Push("main")
	server := remotetest.Serve(t, repo.Root)
	r := remote.Request{Commit: strings.Repeat("a", 40), Secret: server.Key, Source: deploy.Source{Type: deploy.SourceGit,
		URL: "ssh://git@" + server.Address + "/" + remotetest.Hasty + "shop.git", HostKeys: []string{server.HostKey}}}
	for range 20 {
		if err := here.Fetch(t.Context(), r, seen{}.add); deploy.KindOf(err) != deploy.NotFound || deploy.FieldOf(err) != "commit_sha" {
			t.Fatalf("got %s %v, want %s commit_sha", deploy.KindOf(err), err, deploy.NotFound)
		}
	}
}

// closed is the input of a server that has closed its side before we close ours, as crypto/ssh reports it.
type closed struct {
	io.WriteCloser
	left func() error
}

func (c closed) Close() error { return errors.Join(c.WriteCloser.Close(), c.left(), io.EOF) }

// TestQuickServer takes the pack of a server that is through with it, and gone, before our side of the channel is closed.
func TestQuickServer(t *testing.T) {
	repo := remotetest.NewRepository(t)
	repo.Write("v", "1")
	one := repo.Commit("one")
	repo.Push("main")
	cmd := exec.Command("git-upload-pack", repo.Bare())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.ReadRefs(out); err != nil {
		t.Fatal(err)
	}
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{plumbing.NewHash(one)}
	answer := &bytes.Buffer{}
	pack, err := remote.Exchange(closed{in, func() error {
		_, err := answer.ReadFrom(out)
		return errors.Join(err, cmd.Wait())
	}}, answer, req)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(pack); err != nil || !bytes.HasPrefix(text, []byte("PACK")) {
		t.Errorf("%q, %v", text, err)
	}
}
