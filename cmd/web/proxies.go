package main

import (
	"net"
	"net/netip"
	"slices"

	"lockstep/internal/limit"
)

// proxyFlags say which proxies a server believes, and by which names it is reached.
type proxyFlags struct {
	TrustedProxies networks
	Hosts          hostNames
}

func (p *proxyFlags) define(fs *flagSet) {
	p.TrustedProxies = networks{words: "none"}
	fs.group("Proxies and names")
	fs.list(&p.TrustedProxies, "trusted-proxies", "`addresses` of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks such as 10.0.0.0/8, or the words loopback and private, by comma. The replicas of -replicas believe their balancer without it")
	fs.list(&p.Hosts, "hosts", "`names` that this server answers to, by comma, without ports. Default: any")
}

// behindBalancer returns whose word about clients a replica takes that listens at addr behind the
// balancer of its process: that of the proxies, and of the balancer, which comes from this machine.
func (p *proxyFlags) behindBalancer(addr net.Addr) []netip.Prefix {
	trusted := slices.Concat(p.TrustedProxies.prefixes, limit.Loopback())
	if ap, err := netip.ParseAddrPort(addr.String()); err == nil && !ap.Addr().IsUnspecified() {
		a := ap.Addr().Unmap().WithZone("")
		trusted = append(trusted, netip.PrefixFrom(a, a.BitLen()))
	}
	return trusted
}
