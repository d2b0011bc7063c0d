package deploy

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
)

// Source says where an app's commits come from. What a commit's bundle is fetched with is only named here: Token and SSHKey
// are secretsmanager:NAME or ssm:NAME.
type Source struct {
	Type       SourceType `json:"type"`
	Bucket     string     `json:"bucket,omitempty"`     // of a bundle: where it is uploaded to; the API fills it in
	Repository string     `json:"repository,omitempty"` // whose pushes are this app's: owner/name on GitHub, or CodeCommit's name
	URL        string     `json:"url,omitempty"`        // of git: https:// or ssh://
	Token      string     `json:"token,omitempty"`      // for https: TOKEN, or USER:TOKEN
	SSHKey     string     `json:"ssh_key,omitempty"`    // for ssh: a private key without a passphrase
	HostKeys   []string   `json:"host_keys,omitempty"`  // for ssh: the host's public keys, "TYPE BASE64"; no other is trusted
}

// SourceType is a way in which commits come.
type SourceType string

const (
	SourceBundle     SourceType = "bundle"     // whoever deploys a commit uploads it
	SourceGit        SourceType = "git"        // it is fetched from a git server
	SourceCodeCommit SourceType = "codecommit" // it is fetched from CodeCommit, in Slipway's account and region
)

// Bounds on a source's settings.
const (
	maxURL      = 1024
	maxHostKeys = 10
)

var (
	codeCommitPattern = lazily(`^[A-Za-z0-9_.-]{1,100}$`)
	referencePattern  = lazily(`^(ssm|secretsmanager):/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	sshUserPattern    = lazily(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)
)

// Uploaded tells whether whoever deploys a commit uploads its bundle first.
func (s Source) Uploaded() bool { return s.Type == "" || s.Type == SourceBundle }

func (s *Source) validate() error {
	if s.Type == "" {
		s.Type = SourceBundle
	}
	if s.Repository != "" && !ValidRepository(s.Repository) {
		return FieldErrorf("source.repository", "%q is no repository; want owner/name of GitHub, or the name of one in CodeCommit", Cut(s.Repository, 80))
	}
	switch s.Type {
	case SourceBundle:
		return s.none("a bundle is uploaded", "url", "token", "ssh_key", "host_keys")
	case SourceGit:
		return s.validateGit()
	case SourceCodeCommit:
		if !codeCommitPattern(s.Repository) {
			return FieldErrorf("source.repository", "%q is not a CodeCommit repository's name; want 1 to 100 letters, digits, . _ or -", Cut(s.Repository, 80))
		}
		return s.none("CodeCommit is asked with the function's own role", "url", "token", "ssh_key", "host_keys")
	}
	return FieldErrorf("source.type", "%q is unknown; want %s, %s or %s", Cut(string(s.Type), 80), SourceBundle, SourceGit, SourceCodeCommit)
}

// none refuses fields that the type has no use for.
func (s *Source) none(why string, fields ...string) error {
	set := map[string]bool{"url": s.URL != "", "token": s.Token != "", "ssh_key": s.SSHKey != "", "host_keys": len(s.HostKeys) > 0}
	for _, field := range fields {
		if set[field] {
			return FieldErrorf("source."+field, "is of no use here: %s", why)
		}
	}
	return nil
}

func (s *Source) validateGit() error {
	u, err := gitURL(s.URL)
	if err != nil {
		return err
	}
	if s.Repository == "" && u.Hostname() == "github.com" { // events from other hosts are matched only where the owner says by what
		if name := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git"); ValidRepository(name) {
			s.Repository = name
		}
	}
	if u.Scheme == "ssh" {
		return s.validateSSH()
	}
	if s.Token != "" && !referencePattern(s.Token) {
		return notReference("source.token")
	}
	return s.none("the URL is no ssh:// one", "ssh_key", "host_keys")
}

// notReference doesn't repeat what may be a secret.
func notReference(field string) error {
	return FieldErrorf(field, "is not a reference; want secretsmanager:NAME or ssm:NAME, never the secret itself")
}

// gitURL reads a repository's URL. Credentials in it would be in logs. Plain http is for a server on this machine.
func gitURL(text string) (*url.URL, error) {
	want := "want https://HOST/PATH or ssh://USER@HOST/PATH"
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || strings.ContainsAny(text, "\x00\r\n\t ") {
		return nil, FieldErrorf("source.url", "is not a URL; %s", want)
	}
	_, password := u.User.Password()
	switch {
	case text == "":
		return nil, FieldErrorf("source.url", "is missing; %s", want)
	case password || u.User != nil && u.Scheme != "ssh":
		return nil, FieldErrorf("source.url", "holds credentials; put them into a secret and name it in source.token")
	case u.Scheme == "http" && u.Hostname() != "127.0.0.1":
		return nil, FieldErrorf("source.url", "http:// has no protection; want https://")
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh":
		return nil, FieldErrorf("source.url", "scheme %q can't be fetched from; %s", Cut(u.Scheme, 40), want)
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.Trim(u.Path, "/") == "":
		return nil, FieldErrorf("source.url", "names no host or no repository; %s", want)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, FieldErrorf("source.url", "has a query or a fragment; %s", want)
	case u.Scheme == "ssh" && u.User != nil && !sshUserPattern(u.User.Username()):
		return nil, FieldErrorf("source.url", "its user is no user's name; %s", want)
	}
	return u, nil
}

func (s *Source) validateSSH() error {
	if !referencePattern(s.SSHKey) {
		return notReference("source.ssh_key")
	}
	if len(s.HostKeys) == 0 || len(s.HostKeys) > maxHostKeys {
		return FieldErrorf("source.host_keys", "%d of them; want 1 to %d, as ssh-keyscan prints them behind the host's name", len(s.HostKeys), maxHostKeys)
	}
	for i, key := range s.HostKeys {
		if !hostKey(key) {
			return FieldErrorf(fmt.Sprintf("source.host_keys[%d]", i), "%q is no public key; want TYPE BASE64, as ssh-keyscan prints it behind the host's name", Cut(key, 80))
		}
	}
	return s.none("ssh has a key", "token")
}

// hostKey tells whether text is a public key in OpenSSH's form: the type, and in Base64 what begins with the type again.
func hostKey(text string) bool {
	kind, blob, ok := strings.Cut(text, " ")
	raw, err := base64.StdEncoding.DecodeString(blob)
	if !ok || err != nil || len(raw) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(raw)
	return uint64(n) <= uint64(len(raw)-4) && kind != "" && string(raw[4:4+n]) == kind
}
