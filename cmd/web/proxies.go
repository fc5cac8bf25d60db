package main

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"lockstep/app/web"
	"lockstep/internal/limit"
	"lockstep/internal/origin"
)

// proxyFlags say which proxies a server believes, and by which names it is reached.
type proxyFlags struct {
	TrustedProxies networks
	Hosts          hostNames
	Origins        originList
	BasePath       string // "" or as in web.ValidBasePath
}

func (p *proxyFlags) define(fs *flagSet) {
	p.TrustedProxies = networks{words: "none"}
	fs.group("Proxies and names")
	fs.list(&p.TrustedProxies, "trusted-proxies", "`addresses` of the proxies whose X-Forwarded-For, -Proto, -Host and -Prefix, or Forwarded, are believed: addresses, networks such as 10.0.0.0/8, or the words loopback and private, by comma. The replicas of -replicas believe their balancer without it")
	fs.list(&p.Hosts, "hosts", "`names` that this server answers to, by comma, without ports. Default: any")
	fs.list(&p.Origins, "origins", "`origins` whose pages may connect and send forms beside those of the host that is asked, by comma, as in https://counter.example or https://*.counter.example: for a proxy that changes the Host header")
	fs.list((*basePath)(&p.BasePath), "base-path", "`path` below which this server is reached, as in /counter; a proxy may leave it on or take it off. Default: the root, or the X-Forwarded-Prefix of a trusted proxy")
}

// An originList is a flag that lists origins.
type originList struct{ patterns []string }

// String implements flag.Value.
func (o *originList) String() string { return strings.Join(o.patterns, ",") }

// Set implements flag.Value.
func (o *originList) Set(text string) error {
	o.patterns = nil
	for word := range strings.SplitSeq(text, ",") {
		pattern, err := origin.ParsePattern(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		o.patterns = append(o.patterns, pattern)
	}
	return nil
}

// A basePath is a flag that is a path.
type basePath string

// String implements flag.Value.
func (b *basePath) String() string { return string(*b) }

// Set implements flag.Value.
func (b *basePath) Set(text string) error {
	path := strings.TrimSuffix(text, "/")
	if !web.ValidBasePath(path) {
		return errors.New("it is a path of letters, digits and -._, as in /shop/counter, and no address of the server's own")
	}
	*b = basePath(path)
	return nil
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
