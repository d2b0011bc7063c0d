package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/slipway-cd/slipway/internal/deploy"
)

// dialer connects to a git server.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dialer refuses addresses where no git server is, whatever name led to them: the machine's own, and those of its metadata. It is
// asked with the address that is connected to, after the name was looked up, so that no second look-up can differ.
func (f *Fetcher) dialer(limits Limits) dialer {
	d := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !f.public(at.Addr().Unmap()) {
			return deploy.FieldErrorf("source.url", "leads to %s, where no git server may be", address)
		}
		return nil
	}}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &restless{Conn: c, idle: limits.Idle}, nil
	}
}

// metadataV6 is where EC2's metadata is besides its link-local address.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")

// public tells whether a git server may be at an address. Private networks are fine: a function is in one only where its owner
// put it there.
func (f *Fetcher) public(a netip.Addr) bool {
	if a.IsLoopback() {
		return f.Local
	}
	return a.IsValid() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsInterfaceLocalMulticast() && a != metadataV6
}

// restless is a connection that ends when nothing moves on it.
type restless struct {
	net.Conn
	idle time.Duration
}

func (c *restless) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	return n, c.silence(err)
}

func (c *restless) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	return n, c.silence(err)
}

// silence says what ran out.
func (c *restless) silence(err error) error {
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		return fmt.Errorf("nothing moved for %s: %w", c.idle, err)
	}
	return err
}
