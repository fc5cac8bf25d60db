package main

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"lockstep/app/web"
	"lockstep/internal/limit"
)

// limits are what visitors may take, and whom a server believes. A limit of 0
// is none, but for MaxConns.
type limits struct {
	TrustedProxies networks
	Hosts          hostNames
	MaxConns       int // 0: derived from the limit of open files
	ConnsPerAddr   int
	Exempt         networks
	TabRate        float64 // messages a second
	TabBurst       int
	AddrRate       float64 // messages a second
	AddrBurst      int
	RequestRate    float64 // requests a second
	RequestBurst   int

	HeaderTimeout time.Duration
	BodyTimeout   time.Duration
	WriteTimeout  time.Duration
	IdleTimeout   time.Duration
	PingInterval  time.Duration
	PongTimeout   time.Duration
}

// define adds the flags of the limits.
func (l *limits) define(fs *flagSet) {
	d := web.DefaultLimits()
	l.TrustedProxies = networks{words: "none"}
	l.Exempt = networks{words: "loopback", prefixes: d.Exempt}

	fs.group("Proxies and names")
	fs.list(&l.TrustedProxies, "trusted-proxies", "`addresses` of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks such as 10.0.0.0/8, or the words loopback and private, by comma. The replicas of -replicas believe their balancer without it")
	fs.list(&l.Hosts, "hosts", "`names` that this server answers to, by comma, without ports. Default: any")

	fs.group("Limits (0 is no limit)")
	fs.count(&l.MaxConns, "max-conns", 0, "`number` of connections in all, tabs included, of all listeners of the process together; tabs may be nine tenths of them. With -replicas one that comes through the balancer counts as three. 0: nine tenths of the process's limit of open files")
	fs.count(&l.ConnsPerAddr, "max-conns-per-addr", d.SocketsPerAddr, "`number` of tabs of one address, and of its other connections; at each replica")
	fs.list(&l.Exempt, "exempt", "`addresses` for which no limit of one address holds, written as those of -trusted-proxies; \"none\" for none")
	fs.rate(&l.TabRate, "tab-rate", d.TabRate, "`messages` a second that one tab may send")
	fs.count(&l.TabBurst, "tab-burst", d.TabBurst, "`messages` that it may send at once")
	fs.rate(&l.AddrRate, "addr-rate", d.AddrRate, "`messages` a second of all tabs of one address")
	fs.count(&l.AddrBurst, "addr-burst", d.AddrBurst, "`messages` that they may send at once")
	fs.rate(&l.RequestRate, "request-rate", d.RequestRate, "HTTP `requests` a second of one address, those for websockets included")
	fs.count(&l.RequestBurst, "request-burst", d.RequestBurst, "`requests` that it may send at once")

	fs.group("Time limits")
	fs.span(&l.HeaderTimeout, "header-timeout", 5*time.Second, "`time` for the head of a request, and for the handshake of TLS")
	fs.span(&l.BodyTimeout, "body-timeout", 15*time.Second, "`time` for a whole request")
	fs.span(&l.WriteTimeout, "write-timeout", d.WriteTimeout, "longest `time` for which a client may take nothing of an answer")
	fs.span(&l.IdleTimeout, "idle-timeout", time.Minute, "`time` that a connection may be kept without a request")
	fs.span(&l.PingInterval, "ping-interval", d.PingInterval, "`time` after which a silent tab is asked whether it is there; 0: never")
	fs.span(&l.PongTimeout, "pong-timeout", d.PongTimeout, "`time` that it may take to answer")
}

func (l *limits) check() error {
	for name, n := range map[string]int{"max-conns": l.MaxConns, "max-conns-per-addr": l.ConnsPerAddr} {
		if n < 0 {
			return usageError("-%s: %d is negative", name, n)
		}
	}
	for _, b := range []struct {
		name  string
		rate  float64
		burst int
	}{{"tab", l.TabRate, l.TabBurst}, {"addr", l.AddrRate, l.AddrBurst}, {"request", l.RequestRate, l.RequestBurst}} {
		if !(b.rate >= 0) { // nor is it a NaN
			return usageError("-%s-rate: %g is not a rate", b.name, b.rate)
		}
		if b.rate > 0 && b.burst < 1 {
			return usageError("-%s-burst: at least 1, or -%s-rate 0 for no limit", b.name, b.name)
		}
	}
	return l.checkTimes()
}

// checkTimes refuses a server that anybody could hold up for ever.
func (l *limits) checkTimes() error {
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"header-timeout", l.HeaderTimeout}, {"body-timeout", l.BodyTimeout}, {"write-timeout", l.WriteTimeout},
		{"idle-timeout", l.IdleTimeout}, {"pong-timeout", l.PongTimeout},
	} {
		if t.d <= 0 {
			return usageError("-%s: %s is not a time limit", t.name, t.d)
		}
	}
	if l.PingInterval < 0 {
		return usageError("-ping-interval: %s is negative", l.PingInterval)
	}
	return nil
}

// forWeb returns the limits of one of several replicas, of which all together
// may have a number of connections; 0 is no limit.
func (l *limits) forWeb(conns, replicas int) web.Limits {
	exempt := l.Exempt.prefixes
	if exempt == nil {
		exempt = []netip.Prefix{} // nil would be the default
	}
	return web.Limits{
		Sockets: share(conns, replicas), SocketsPerAddr: orNone(l.ConnsPerAddr), Exempt: exempt,
		TabRate: orNone(l.TabRate), TabBurst: l.TabBurst, AddrRate: orNone(l.AddrRate), AddrBurst: l.AddrBurst,
		RequestRate: orNone(l.RequestRate), RequestBurst: l.RequestBurst,
		WriteTimeout: l.WriteTimeout, PingInterval: orNone(l.PingInterval), PongTimeout: l.PongTimeout,
	}
}

// tabsOf is how many of a number of connections tabs may take. The rest is
// for requests, those of probes among them.
func tabsOf(conns int) int { return conns - conns/10 }

// share is how many tabs one of several replicas may have, as package web
// wants to hear it; 0 connections is no limit.
func share(conns, replicas int) int {
	if conns == 0 {
		return -1
	}
	return max(1, tabsOf(conns)/replicas)
}

// orNone says no limit as package web wants to hear it: there 0 is the default.
func orNone[T int | float64 | time.Duration](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// networks is a flag that lists addresses.
type networks struct {
	words    string
	prefixes []netip.Prefix
}

// String implements flag.Value.
func (n *networks) String() string { return n.words }

// Set implements flag.Value.
func (n *networks) Set(text string) error {
	n.words, n.prefixes = text, nil
	for word := range strings.SplitSeq(text, ",") {
		more, err := parseNetwork(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		n.prefixes = append(n.prefixes, more...)
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
			return nil, errors.New("it lists addresses and networks such as 192.0.2.1, 10.0.0.0/8 and 2001:db8::/32, and the words loopback, private and none")
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

// hostNames is a flag that lists host names.
type hostNames struct{ names []string }

// String implements flag.Value.
func (h *hostNames) String() string { return strings.Join(h.names, ",") }

// Set implements flag.Value.
func (h *hostNames) Set(text string) error {
	h.names = nil
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
		h.names = append(h.names, name)
	}
	return nil
}
