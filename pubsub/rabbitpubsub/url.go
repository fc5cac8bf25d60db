package rabbitpubsub

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"

	"lockstep/internal/tlsoptions"
)

var errURL = errors.New("not a valid RabbitMQ URL (amqp://[user:password@]host:port[,host:port]/vhost)")

// A place is what a URL says.
type place struct {
	addrs          []string // host:port, one at least
	user, password string
	vhost          string
	tls            *tls.Config // nil: none. The server's name is not in it
}

// parse reads a URL. Its errors have no part of it but names of files.
func parse(raw string) (place, error) {
	p := place{user: "guest", password: "guest", vhost: "/"}
	scheme, rest, _ := strings.Cut(raw, "://")
	port := "5672"
	switch scheme {
	case "amqp":
	case "amqps":
		port, p.tls = "5671", &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return p, errURL
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(hosts, '@') + 1
	if err := p.addUser(hosts[:at]); err != nil {
		return p, err
	}
	if err := p.addServers(hosts[at:], port); err != nil {
		return p, err
	}
	if err := p.addVhost(path); err != nil {
		return p, err
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return p, errURL
	}
	o := tlsoptions.Take(q)
	if len(q) > 0 {
		return p, errURL
	}
	return p, o.Apply(p.tls, "amqps://")
}

// addUser reads user:password@, or nothing.
func (p *place) addUser(before string) error {
	u, err := url.Parse("x://" + before + "host")
	if err != nil || u.Host != "host" {
		return errURL
	}
	if u.User == nil {
		return nil
	}
	p.user = u.User.Username()
	p.password, _ = u.User.Password()
	return nil
}

// addServers reads host:port,host:port.
func (p *place) addServers(hosts, port string) error {
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse("x://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" {
			return errURL
		}
		at := u.Port()
		if at == "" {
			at = port
		}
		p.addrs = append(p.addrs, net.JoinHostPort(u.Hostname(), at))
	}
	return nil
}

// addVhost reads a path. As in other clients none at all is the virtual host "/", whose own name is
// written as %2F. An @ would be the end of a password that has a / in it.
func (p *place) addVhost(path string) error {
	name, err := url.PathUnescape(path)
	if err != nil || strings.ContainsAny(path, "/#@") || len(name) > 255 {
		return errURL
	}
	if name != "" {
		p.vhost = name
	}
	return nil
}
