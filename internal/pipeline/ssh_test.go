package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-cd/slipway/internal/deploy"
	"github.com/slipway-cd/slipway/internal/remote/remotetest"
)

// overSSH has an app's commits come from the same repository over ssh, with a deploy key.
func (a *app) overSSH(repo *remotetest.Repository) *remotetest.SSH {
	a.t.Helper()
	server := remotetest.Serve(a.t, repo.Root)
	keep(a.t, a.name+"/key", server.Key)
	a.Source = deploy.Source{Type: deploy.SourceGit, Repository: a.Source.Repository, URL: "ssh://git@" + server.Address + "/shop.git",
		SSHKey: "secretsmanager:key", HostKeys: []string{server.HostKey}}
	a.apply()
	return server
}

// TestPushedSSH: a push is live whose commit comes over ssh, by a deploy key in Secrets Manager.
func TestPushedSSH(t *testing.T) {
	a := newApp(t)
	repo, one := a.fetched("main")
	a.overSSH(repo)
	a.pushed("octo/shop-" + randomText())
	tells["event"](a, push{"main", strings.Repeat("0", 40), one, time.Now()}, launched)
	a.cameByItself(a.liveIs(one), "event")
	a.serves("one")
	repo.Write("version", "two")
	two := repo.Commit("two")
	repo.Push("main")
	tells["github"](a, push{"main", one, two, time.Now()}, launched)
	a.cameByItself(a.liveIs(two), "github")
	a.serves("two")
}

// TestUnfetchedSSH: who is at the other end is judged before it gets anything, and what is wrong is said, without the key.
func TestUnfetchedSSH(t *testing.T) {
	for name, row := range map[string]struct {
		change func(a *app, server *remotetest.SSH)
		kind   deploy.Kind
		says   string // SERVER and HOST stand for the server's address and its key's fingerprint
	}{
		"another host": {func(a *app, _ *remotetest.SSH) {
			other, _ := remotetest.NewKey(a.t)
			a.Source.HostKeys = []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other.PublicKey())))}
		}, deploy.Invalid, "source.host_keys: SERVER shows another key, ssh-ed25519 HOST; want one of those given"},
		"another key": {func(a *app, _ *remotetest.SSH) {
			_, private := remotetest.NewKey(a.t)
			keep(a.t, a.name+"/other", private)
			a.Source.SSHKey = "secretsmanager:other"
		}, deploy.Invalid, "source.ssh_key: SERVER refuses it"},
		"no key": {func(a *app, server *remotetest.SSH) {
			keep(a.t, a.name+"/half", server.Key[:len(server.Key)/2])
			a.Source.SSHKey = "secretsmanager:half"
		}, deploy.Invalid, "source.ssh_key: what it names is no private key without a passphrase"},
		"no secret":     {func(a *app, _ *remotetest.SSH) { a.Source.SSHKey += "/none" }, deploy.NotFound, "source.ssh_key: look up: there is no secret"},
		"no repository": {func(a *app, _ *remotetest.SSH) { a.Source.URL += "x" }, deploy.NotFound, "source.url: SERVER has no such repository, or doesn't show it to this key"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.write("live", "zero")
			repo, sha := a.fetched()
			server := a.overSSH(repo)
			right := a.Source
			row.change(a, server)
			a.apply()
			r := a.deploy(sha)
			d, out := r.wants(deploy.Failed), r.ended()
			says := strings.NewReplacer("SERVER", server.Address, "HOST", fingerprint(t, server.HostKey)).Replace(row.says)
			if d.ErrorKind != row.kind || !strings.HasPrefix(d.Error, says) || deref(out.Error) != string(row.kind) || !strings.Contains(deref(out.Cause), says) {
				t.Errorf("%s: %q; the execution %s: %s; want %s: %s", d.ErrorKind, d.Error, deref(out.Error), deref(out.Cause), row.kind, says)
			}
			if got := r.states(); got != wayUnfetched || d.Changed != nil {
				t.Errorf("states:\n%s, want\n%s; changed %v", got, wayUnfetched, d.Changed)
			}
			if all := fmt.Sprintf("%+v %s", d, deref(out.Cause)); strings.Contains(all, "PRIVATE KEY") || strings.Contains(all, firstLine(server.Key)) {
				t.Errorf("the key is told: %s", all)
			}
			a.serves("zero")
			a.Source = right
			a.apply()
			a.deploy(sha).wants(deploy.Success)
			a.serves("one")
		})
	}
}

// firstLine is the first line of a private key that tells of it.
func firstLine(key string) string { return strings.Split(key, "\n")[1] }

func fingerprint(t *testing.T, line string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}
