package settings

import (
	"errors"
	"strings"

	"lockstep/internal/origin"
)

// Proxies say which proxies a server believes, and by which names it is reached.
type Proxies struct {
	TrustedProxies Networks
	Hosts          Names
	Origins        Origins
	BasePath       string // "": the root, or what a proxy says
}

func (p *Proxies) define(fs *Set, validBasePath func(string) bool) {
	p.TrustedProxies = Networks{words: "none"}
	fs.Group("Proxies and names")
	fs.List(&p.TrustedProxies, "trusted-proxies", "`addresses` of the proxies whose X-Forwarded-For, -Proto, -Host and -Prefix, or Forwarded, are believed: addresses, networks such as 10.0.0.0/8, or the words loopback and private, by comma. The replicas of -replicas believe their balancer without it")
	fs.List(&p.Hosts, "hosts", "`names` that this server answers to, by comma, without ports. Default: any")
	fs.List(&p.Origins, "origins", "`origins` whose pages may connect and send forms beside those of the host that is asked, by comma, as in https://counter.example or https://*.counter.example: for a proxy that changes the Host header")
	fs.List(&basePath{&p.BasePath, validBasePath}, "base-path", "`path` below which this server is reached, as in /counter; a proxy may leave it on or take it off. Default: the root, or the X-Forwarded-Prefix of a trusted proxy")
}

// An Origins is a flag that lists origins.
type Origins struct{ Patterns []string }

// String implements flag.Value.
func (o *Origins) String() string { return strings.Join(o.Patterns, ",") }

// Set implements flag.Value.
func (o *Origins) Set(text string) error {
	o.Patterns = nil
	for word := range strings.SplitSeq(text, ",") {
		pattern, err := origin.ParsePattern(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		o.Patterns = append(o.Patterns, pattern)
	}
	return nil
}

// A basePath is a flag that is a path.
type basePath struct {
	path  *string
	valid func(string) bool
}

// String implements flag.Value.
func (b *basePath) String() string {
	if b.path == nil {
		return "" // package flag asks a zero value
	}
	return *b.path
}

// Set implements flag.Value.
func (b *basePath) Set(text string) error {
	path := strings.TrimSuffix(text, "/")
	if !b.valid(path) {
		return errors.New("it is a path of letters, digits and -._, as in /shop/counter, and no address of the server's own")
	}
	*b.path = path
	return nil
}
