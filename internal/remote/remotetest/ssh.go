package remotetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"golang.org/x/crypto/ssh"
)

// SSH is an ssh server that lets one key in, to run git-upload-pack.
type SSH struct {
	Address string // host:port
	HostKey string // as host_keys wants it
	Key     string // the private key that it lets in
}

// Hasty, before a repository's path, makes the server refuse whatever is wanted of it and hang up before it has heard what.
const Hasty = "hasty/"

// Serve serves the repositories in a folder over ssh on 127.0.0.1.
func Serve(t testing.TB, root string) *SSH {
	t.Helper()
	host, _ := NewKey(t)
	client, private := NewKey(t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || string(key.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn, config, root)
		}
	}()
	return &SSH{Address: l.Addr().String(), HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey()))), Key: private}
}

// NewKey makes a key, and its private part as OpenSSH writes it.
func NewKey(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func serve(conn net.Conn, config *ssh.ServerConfig, root string) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests)
	for wanted := range channels {
		if wanted.ChannelType() != "session" {
			_ = wanted.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := wanted.Accept()
		if err != nil {
			return
		}
		go session(channel, requests, root)
	}
}

// session runs one command: git-upload-pack, with the path below root.
func session(channel ssh.Channel, requests <-chan *ssh.Request, root string) {
	for req := range requests {
		var line struct{ Text string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &line) != nil {
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		go func() {
			defer channel.Close()
			path, ok := strings.CutPrefix(line.Text, "git-upload-pack '/")
			code := uint32(127)
			if ok {
				path, hasty := strings.CutPrefix(strings.TrimSuffix(path, "'"), Hasty)
				cmd := exec.Command("git-upload-pack", path)
				if hasty {
					cmd.Args = []string{cmd.Args[0], "--advertise-refs", path}
				}
				cmd.Dir, cmd.Stdout, cmd.Stderr = root, channel, channel.Stderr()
				code = run(cmd, channel)
				if hasty {
					_ = pktline.NewEncoder(channel).EncodeString("ERR upload-pack: not our ref")
				}
			} else {
				fmt.Fprintln(channel.Stderr(), "only git-upload-pack")
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		}()
	}
}

// run runs a command to its end, and waits for no more of what it reads.
func run(cmd *exec.Cmd, in io.Reader) (code uint32) {
	stdin, err := cmd.StdinPipe()
	if err == nil {
		go func() {
			_, _ = io.Copy(stdin, in)
			stdin.Close()
		}()
		err = cmd.Run()
	}
	if err != nil {
		return 128
	}
	return 0
}
