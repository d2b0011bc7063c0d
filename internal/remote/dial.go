package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
		if err != nil || !f.allowed(at.Addr()) {
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

// Ranges that net/netip has no word for.
var (
	awsServices = netip.MustParsePrefix("fd00:ec2::/32")  // metadata, DNS, time and credentials of AWS, as 169.254.0.0/16 (EC2 User Guide, "Instance metadata")
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")      // RFC 1122, section 3.2.1.3; Linux takes 0.0.0.0 for the machine itself
	broadcast   = netip.MustParseAddr("255.255.255.255")  //
	compatible  = netip.MustParsePrefix("::/96")          // RFC 4291, section 2.5.5.1
	nat64       = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052, section 2.1
	nat64Local  = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour   = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")      // RFC 4380, section 4
	isatap      = []byte{0, 0, 0x5e, 0xfe}                // RFC 5214, section 6.1: bytes 8 to 11, the universal bit aside
)

// allowed reports whether a git server may be at an address, and at each IPv4 address that an IPv6 address holds. Private networks are
// fine: a function is in one only where its owner put it there.
func (f *Fetcher) allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return f.allowedAsIs(a) && !slices.ContainsFunc(inside(a), func(v4 netip.Addr) bool { return !f.allowedAsIs(v4) })
}

func (f *Fetcher) allowedAsIs(a netip.Addr) bool {
	switch {
	case a.IsLoopback():
		return f.Local
	case !a.IsValid(), a.IsLinkLocalUnicast(), a.IsUnspecified(), a.IsMulticast():
		return false
	}
	return !awsServices.Contains(a) && !thisNetwork.Contains(a) && a != broadcast
}

// inside returns the IPv4 addresses that an IPv6 address may lead to: by a gateway that translates, or through a tunnel.
func inside(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.IsLoopback() || a.IsUnspecified() {
		return nil
	}
	b := a.As16()
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	switch {
	case compatible.Contains(a), nat64.Contains(a), bytes.Equal([]byte{b[8] &^ 2, b[9], b[10], b[11]}, isatap):
		return []netip.Addr{at(12, 13, 14, 15)}
	case nat64Local.Contains(a): // by a prefix of 48 or of 96 bits (RFC 6052, section 2.2); the other place is zero then
		short, long := at(6, 7, 9, 10), at(12, 13, 14, 15)
		if long.IsUnspecified() {
			return []netip.Addr{short}
		}
		if short.IsUnspecified() {
			return []netip.Addr{long}
		}
		return []netip.Addr{short, long}
	case sixToFour.Contains(a):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(a): // the server's, and the client's with its bits turned over
		client := [4]byte{^b[12], ^b[13], ^b[14], ^b[15]}
		return []netip.Addr{at(4, 5, 6, 7), netip.AddrFrom4(client)}
	}
	return nil
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
