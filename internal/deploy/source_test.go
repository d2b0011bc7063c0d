package deploy_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/internal/deploy"
)

const (
	github  = "https://github.com/acme/shop.git"
	overSSH = "ssh://git@git.example.com/acme/shop.git"
	hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
)

// sourced is an app with that source, and nothing else that could be wrong.
func sourced(s deploy.Source) *deploy.App {
	return &deploy.App{Name: "shop", Source: s, Environments: map[string]deploy.Settings{
		"production": {Target: deploy.Target{Type: deploy.TargetScript}, URL: "https://shop.example.com"}}}
}

func TestSources(t *testing.T) {
	for name, s := range map[string]deploy.Source{
		"none":       {},
		"bundle":     {Type: deploy.SourceBundle},
		"public":     {Type: deploy.SourceGit, URL: github},
		"token":      {Type: deploy.SourceGit, URL: github, Token: "secretsmanager:github"},
		"parameter":  {Type: deploy.SourceGit, URL: "https://git.example.com:8443/a/b/c", Token: "ssm:/slipway/git/token", Repository: "a/b"},
		"ssh":        {Type: deploy.SourceGit, URL: overSSH, SSHKey: "secretsmanager:slipway/deploy-key", HostKeys: []string{hostKey}},
		"ssh, port":  {Type: deploy.SourceGit, URL: "ssh://git.example.com:2222/shop", SSHKey: "ssm:key", HostKeys: []string{hostKey, hostKey}},
		"here":       {Type: deploy.SourceGit, URL: "http://127.0.0.1:8080/shop.git"},
		"codecommit": {Type: deploy.SourceCodeCommit, Repository: "shop"},
	} {
		if err := sourced(s).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSourcesRefused(t *testing.T) {
	ssh := func(change func(s *deploy.Source)) deploy.Source {
		s := deploy.Source{Type: deploy.SourceGit, URL: overSSH, SSHKey: "ssm:key", HostKeys: []string{hostKey}}
		change(&s)
		return s
	}
	git := func(url string) deploy.Source { return deploy.Source{Type: deploy.SourceGit, URL: url} }
	for _, row := range []struct {
		field string
		s     deploy.Source
	}{
		{"source.type", deploy.Source{Type: "svn"}},
		{"source.url", deploy.Source{URL: github}},
		{"source.repository", deploy.Source{Type: deploy.SourceCodeCommit}},
		{"source.repository", deploy.Source{Type: deploy.SourceCodeCommit, Repository: "a/b"}},
		{"source.token", deploy.Source{Type: deploy.SourceCodeCommit, Repository: "shop", Token: "ssm:x"}},
		{"source.url", git("")},
		{"source.url", git("https://token@github.com/acme/shop")},
		{"source.url", git("https://user:token@github.com/acme/shop")},
		{"source.url", git("ssh://git:password@github.com/acme/shop")},
		{"source.url", git("ssh://-oProxyCommand=x@github.com/acme/shop")},
		{"source.url", git("ssh://-oProxyCommand=x/acme/shop")},
		{"source.url", git("http://github.com/acme/shop")},
		{"source.url", git("http://127.0.0.1.example.com/acme/shop")},
		{"source.url", git("http://localhost/acme/shop")},
		{"source.url", git("file:///etc/passwd")},
		{"source.url", git("git://github.com/acme/shop")},
		{"source.url", git("git@github.com:acme/shop.git")},
		{"source.url", git("/srv/git/shop.git")},
		{"source.url", git("https://github.com/")},
		{"source.url", git("https:///acme/shop")},
		{"source.url", git("https://github.com/acme/shop?token=x")},
		{"source.url", git("https://github.com/acme/shop#main")},
		{"source.url", git("https://github.com/acme/shop\r\nX: y")},
		{"source.url", git("https://github.com/" + strings.Repeat("a", 1100))},
		{"source.repository", deploy.Source{Type: deploy.SourceGit, URL: github, Repository: "a b"}},
		{"source.ssh_key", deploy.Source{Type: deploy.SourceGit, URL: github, SSHKey: "ssm:key"}},
		{"source.host_keys", deploy.Source{Type: deploy.SourceGit, URL: github, HostKeys: []string{hostKey}}},
		{"source.ssh_key", ssh(func(s *deploy.Source) { s.SSHKey = "" })},
		{"source.host_keys", ssh(func(s *deploy.Source) { s.HostKeys = nil })},
		{"source.host_keys[0]", ssh(func(s *deploy.Source) { s.HostKeys[0] = "git.example.com " + hostKey })},
		{"source.host_keys[0]", ssh(func(s *deploy.Source) { s.HostKeys[0] = "ssh-rsa" + strings.TrimPrefix(hostKey, "ssh-ed25519") })},
		{"source.host_keys[0]", ssh(func(s *deploy.Source) { s.HostKeys[0] = "ssh-ed25519 /////w==" })},
		{"source.token", ssh(func(s *deploy.Source) { s.Token = "ssm:x" })},
	} {
		err := sourced(row.s).Validate()
		if deploy.KindOf(err) != deploy.Invalid || deploy.FieldOf(err) != row.field {
			t.Errorf("%+v: %v, want %s", row.s, err, row.field)
		}
	}
}

// TestSecretsAreNotRepeated: whoever writes the secret itself where its name belongs doesn't read it in an error.
func TestSecretsAreNotRepeated(t *testing.T) {
	for _, s := range []deploy.Source{
		{Type: deploy.SourceGit, URL: github, Token: "ghp_secret"},
		{Type: deploy.SourceGit, URL: overSSH, SSHKey: "ghp_secret", HostKeys: []string{hostKey}},
		{Type: deploy.SourceGit, URL: "https://x:ghp_secret@github.com/acme/shop"},
		{Type: deploy.SourceGit, URL: "https://x:ghp_secret@github.com:port/acme/shop"},
	} {
		if err := sourced(s).Validate(); err == nil || strings.Contains(err.Error(), "ghp_secret") {
			t.Errorf("%v", err)
		}
	}
}

// TestRepositoryOfGitHub: events name the repository as the URL does.
func TestRepositoryOfGitHub(t *testing.T) {
	for url, want := range map[string]string{github: "acme/shop", "https://github.com/acme/shop": "acme/shop", "https://git.example.com/acme/shop": ""} {
		a := sourced(deploy.Source{Type: deploy.SourceGit, URL: url})
		if err := a.Validate(); err != nil || a.Source.Repository != want {
			t.Errorf("%s: %q, %v; want %q", url, a.Source.Repository, err, want)
		}
	}
}
