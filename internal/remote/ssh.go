package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// shell is a repository over ssh.
type shell struct {
	client *ssh.Client
	host   string
	path   string
}

// dialSSH connects with a deploy key to a host that shows one of its keys. There is no trust on first use: each fetch is one.
func (f *Fetcher) dialSSH(ctx context.Context, u *url.URL, key string, hostKeys []string, limits Limits) (server, error) {
	signer, err := ssh.ParsePrivateKey([]byte(strings.TrimSpace(key) + "\n"))
	if err != nil { // its text says nothing of the key
		return nil, deploy.FieldErrorf("source.ssh_key", "what it names is no private key without a passphrase: %w", err)
	}
	trusted, algorithms, err := trust(hostKeys)
	if err != nil {
		return nil, err
	}
	user := "git"
	if u.User.Username() != "" {
		user = u.User.Username()
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	config := &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: trusted, HostKeyAlgorithms: algorithms, Timeout: 10 * time.Second,
	}
	client, err := patiently(ctx, limits.Pause, func(ctx context.Context) (*ssh.Client, error) {
		return f.connect(ctx, net.JoinHostPort(u.Hostname(), port), config, limits)
	})
	if err != nil {
		return nil, err
	}
	return &shell{client: client, host: u.Host, path: u.Path}, nil
}

func (f *Fetcher) connect(ctx context.Context, address string, config *ssh.ClientConfig, limits Limits) (*ssh.Client, error) {
	conn, err := f.dialer(limits)(ctx, "tcp", address)
	if err != nil {
		return nil, explain(address, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		stop()
		conn.Close()
		if strings.Contains(err.Error(), "unable to authenticate") { // ssh has no type for it
			return nil, deploy.FieldErrorf("source.ssh_key", "%s refuses it", address)
		}
		if kinds := (*ssh.AlgorithmNegotiationError)(nil); errors.As(err, &kinds) && kinds.What == "host key" {
			return nil, deploy.FieldErrorf("source.host_keys", "%s has a key of no type among those given; it has %s", address, strings.Join(kinds.RequestedAlgorithms, ", "))
		}
		return nil, explain(address, err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

// trust accepts the given host keys, and asks for no other sort.
func trust(lines []string) (ssh.HostKeyCallback, []string, error) {
	var keys [][]byte
	var algorithms []string
	for i, line := range lines {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, nil, deploy.FieldErrorf(fmt.Sprintf("source.host_keys[%d]", i), "is no public key: %w", err)
		}
		keys = append(keys, key.Marshal())
		if key.Type() == ssh.KeyAlgoRSA {
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			algorithms = append(algorithms, key.Type())
		}
	}
	return func(host string, _ net.Addr, key ssh.PublicKey) error {
		if slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key.Marshal()) }) {
			return nil
		}
		return deploy.FieldErrorf("source.host_keys", "%s shows another key, %s %s; want one of those given", host, key.Type(), ssh.FingerprintSHA256(key))
	}, algorithms, nil
}

func (s *shell) close() { s.client.Close() }

// call is one run of git-upload-pack there.
type call struct {
	*ssh.Session
	in  io.WriteCloser
	out io.Reader
	err bytes.Buffer
}

// open starts git-upload-pack and reads the list that it begins with.
func (s *shell) open() (*call, *packp.AdvRefs, error) {
	session, err := s.client.NewSession()
	if err != nil {
		return nil, nil, explain(s.host, err)
	}
	c := &call{Session: session}
	session.Stderr = &limited{w: &c.err, left: 2000}
	c.in, err = session.StdinPipe()
	if err == nil {
		c.out, err = session.StdoutPipe()
	}
	if err == nil {
		err = session.Start("git-upload-pack " + quote(s.path))
	}
	if err != nil {
		session.Close()
		return nil, nil, explain(s.host, err)
	}
	refs, err := readRefs(c.out)
	if err != nil {
		session.Close() // what it printed is there by then
		return nil, nil, s.refusal(c, err)
	}
	return c, refs, nil
}

// refusal tells a server that says in words what is wrong from one that can't be reached.
func (s *shell) refusal(c *call, err error) error {
	if errors.Is(err, packp.ErrEmptyInput) {
		_ = c.Wait()
		return &deploy.Error{Kind: deploy.NotFound, Field: "source.url",
			Err: fmt.Errorf("%s has no such repository, or doesn't show it to this key: %s", s.host, deploy.Cut(strings.TrimSpace(c.err.String()), 300))}
	}
	return explain(s.host, err)
}

func (s *shell) refs(context.Context) (*packp.AdvRefs, error) {
	c, refs, err := s.open()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = pktline.NewEncoder(c.in).Flush() // nothing more is wanted, so that it may be gone already
	return refs, nil
}

func (s *shell) pack(_ context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	c, _, err := s.open()
	if err != nil {
		return nil, err
	}
	pack, err := exchange(c.in, c.out, req)
	if err != nil {
		c.Close()
		return nil, explain(s.host, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{pack, c}, nil
}

// quote is the one place where text becomes part of a shell's line: the server's, which gets a path as git quotes it.
func quote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// limited keeps the beginning of what a server says.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	l.left -= len(keep)
	_, err := l.w.Write(keep)
	return len(p), err
}
