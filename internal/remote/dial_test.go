package remote

import (
	"net/netip"
	"testing"
)

// TestAllowed: an address is judged by what it leads to, in each form.
func TestAllowed(t *testing.T) {
	for address, want := range map[string]bool{
		"203.0.113.7":                    true,
		"10.1.2.3":                       true, // a private network
		"192.168.1.1":                    true,
		"2001:db8::1":                    true,
		"fd12:3456::1":                   true,
		"127.0.0.1":                      false,
		"127.8.9.10":                     false,
		"::1":                            false,
		"0.0.0.0":                        false,
		"0.1.2.3":                        false,
		"::":                             false,
		"255.255.255.255":                false,
		"224.0.0.1":                      false,
		"ff02::1":                        false,
		"169.254.169.254":                false,
		"169.254.170.2":                  false,
		"169.254.0.1":                    false,
		"fe80::1":                        false,
		"fe80::1%eth0":                   false,
		"fd00:ec2::254":                  false,
		"fd00:ec2::254%eth0":             false,
		"fd00:ec2::23":                   false,
		"fd00:ec2::253":                  false,
		"fd00:ec3::254":                  true,
		"::ffff:169.254.169.254":         false, // mapped
		"::ffff:203.0.113.7":             true,
		"::ffff:127.0.0.1%eth0":          false,
		"::169.254.169.254":              false, // compatible
		"::203.0.113.7":                  true,
		"::2":                            false, // 0.0.0.2
		"64:ff9b::169.254.169.254":       false, // NAT64
		"64:ff9b::127.0.0.1":             false,
		"64:ff9b::203.0.113.7":           true,
		"64:ff9b:1:a9fe:a9:fe00::":       false, // NAT64 of one's own, /48
		"64:ff9b:1::169.254.169.254":     false, // /96
		"64:ff9b:1:cb00:71:700::":        true,
		"64:ff9b:1::203.0.113.7":         true,
		"64:ff9b:1::":                    false,
		"64:ff9b:1:cb00:71:700:0808:808": true,
		"2002:a9fe:a9fe::1":              false, // 6to4
		"2002:7f00:1::":                  false,
		"2002:cb00:7107::1":              true,
		"2001:0:cb00:7107:0:0:5601:5601": false, // Teredo: 169.254.169.254 turned over
		"2001:0:a9fe:a9fe:0:0:34ff:8ef8": false, // its server
		"2001:0:cb00:7107:0:0:34ff:8ef8": true,
		"2001:db8::5efe:169.254.169.254": false, // ISATAP
		"2001:db8::200:5efe:203.0.113.7": true,
		"2001:db8::200:5efe:127.0.0.1":   false,
	} {
		if got := (&Fetcher{}).allowed(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	local := &Fetcher{Local: true}
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "::ffff:127.0.0.1": true, "169.254.169.254": false} {
		if got := local.allowed(netip.MustParseAddr(address)); got != want {
			t.Errorf("on the local cloud, %s: %v, want %v", address, got, want)
		}
	}
	if (&Fetcher{}).allowed(netip.Addr{}) {
		t.Error("an address that is none")
	}
}
