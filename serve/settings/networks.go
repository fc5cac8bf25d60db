package settings

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"lockstep/internal/limit"
)

// Networks is a flag that lists addresses.
type Networks struct {
	words    string
	Prefixes []netip.Prefix
}

// String implements flag.Value.
func (n *Networks) String() string { return n.words }

// Set implements flag.Value.
func (n *Networks) Set(text string) error {
	n.words, n.Prefixes = text, nil
	for word := range strings.SplitSeq(text, ",") {
		more, err := parseNetwork(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		n.Prefixes = append(n.Prefixes, more...)
	}
	return nil
}

func parseNetwork(word string) ([]netip.Prefix, error) {
	switch word {
	case "none", "":
		return nil, nil
	case "loopback":
		return limit.Loopback(), nil
	case "private": // RFC 1918, RFC 4193
		return prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"), nil
	}
	p, err := netip.ParsePrefix(word)
	if err != nil {
		a, addrErr := netip.ParseAddr(word)
		if addrErr != nil || a.Zone() != "" {
			return nil, errors.New("it lists addresses and Networks such as 192.0.2.1, 10.0.0.0/8 and 2001:db8::/32, and the words loopback, private and none")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return []netip.Prefix{unmapped(p).Masked()}, nil
}

// unmapped returns a network of IPv4 addresses in IPv6 clothes as what it is:
// addresses are compared without them.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

var errHosts = errors.New("it lists host names, as in counter.example,localhost")

// Names is a flag that lists host names.
type Names struct{ Names []string }

// String implements flag.Value.
func (h *Names) String() string { return strings.Join(h.Names, ",") }

// Set implements flag.Value.
func (h *Names) Set(text string) error {
	h.Names = nil
	for word := range strings.SplitSeq(text, ",") {
		name := strings.TrimSpace(word)
		if strings.ContainsAny(name, "/@*? \t") {
			return errHosts
		}
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		name = strings.Trim(name, "[]")
		if name == "" {
			return errHosts
		}
		h.Names = append(h.Names, name)
	}
	return nil
}
