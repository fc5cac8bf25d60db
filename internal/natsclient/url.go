// Package natsclient has what the broker and the store on NATS have in common:
// URLs, and how topics are written as subjects.
package natsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"lockstep/internal/tlsoptions"
)

var errURL = errors.New("not a valid NATS URL (nats://[user:password@]host:port,host:port)")

// Parse reads a URL. It does not connect. The error is about the URL and does not
// contain it; errors of servers may be shown, too: none has a user in its address.
//
//	nats://user:password@a:4222,b:4222   one of these servers; the port is 4222 by default
//	nats://token@a                       a token
//	nats://a?creds=FILE                  a JWT and its key, as "nsc" writes them
//	nats://a?nkey=FILE                   the seed of an NKey
//	nats://a?replicas=3&sync=always      Config.Replicas, 1 to 5, and Config.Synced
//	tls://a?sslrootcert=FILE             TLS; sslmode, sslcert and sslkey as for PostgreSQL
//
// Files are read again for each connection, so that they can be replaced.
// A server that wants TLS gets it with nats://, too; tls:// insists.
func Parse(url string) (Config, error) {
	c, err := parse(url)
	if err != nil {
		return c, err
	}
	prepare(&c.Options)
	c.dial = (&net.Dialer{Timeout: openTimeout}).DialContext
	return c, nil
}

// parse reads a URL.
func parse(raw string) (o Config, err error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	if scheme != "nats" && scheme != "tls" {
		return o, errURL
	}
	rest, query, _ := strings.Cut(rest, "?")
	at := strings.LastIndexByte(rest, '@') + 1
	if err := addServers(&o.Options, scheme, strings.TrimSuffix(rest[at:], "/")); err != nil {
		return o, err
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return o, errURL
	}
	if scheme == "tls" {
		o.Secure, o.TLSConfig = true, &tls.Config{MinVersion: tls.VersionTLS12} // nats.go adds the server's name
	}
	if err := tlsoptions.Take(q).Apply(o.TLSConfig, "tls://"); err != nil {
		return o, err
	}
	if err := addStream(&o, q); err != nil {
		return o, err
	}
	return o, addUser(&o.Options, rest[:at], q)
}

// addServers reads host:port,host:port.
func addServers(o *nats.Options, scheme, hosts string) error {
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse(scheme + "://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" {
			return errURL
		}
		o.Servers = append(o.Servers, u.String())
	}
	return nil
}

// addStream reads how a stream is to be.
func addStream(o *Config, q url.Values) (err error) {
	if n := q.Get("replicas"); n != "" {
		if o.Replicas, err = strconv.Atoi(n); err != nil || o.Replicas < 1 || o.Replicas > 5 {
			return errors.New("replicas: 1 to 5 servers can keep a stream")
		}
	}
	switch q.Get("sync") {
	case "always":
		o.Synced = true
	case "":
	default:
		return errors.New("sync: always is the only word for it")
	}
	q.Del("replicas")
	q.Del("sync")
	return nil
}

// addUser reads who we are: user:password@ or token@, or a file that the query
// names. Nothing else may be left in the query.
func addUser(o *nats.Options, before string, q url.Values) error {
	u, err := url.Parse("nats://" + before + "host")
	if err != nil || u.Host != "host" { // there is a / in the password
		return errURL
	}
	creds, nkey := q.Get("creds"), q.Get("nkey")
	q.Del("creds")
	q.Del("nkey")
	if len(q) > 0 {
		return errURL
	}
	ways := 0
	for _, is := range []bool{u.User != nil, creds != "", nkey != ""} {
		if is {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("user or token, creds, nkey: more than one of them")
	}
	if password, has := u.User.Password(); has {
		o.User, o.Password = u.User.Username(), password
	} else {
		o.Token = u.User.Username()
	}
	return errors.Join(addCreds(o, creds), addNKey(o, nkey))
}

// addCreds takes a file with a JWT and its key; "" is none.
func addCreds(o *nats.Options, file string) error {
	if file == "" {
		return nil
	}
	if err := nats.UserCredentials(file)(o); err != nil {
		return fmt.Errorf("creds: %w", err)
	}
	// Once now: what is wrong with the file must not wait for a connection.
	_, err := o.UserJWT()
	if err == nil {
		_, err = o.SignatureCB(nil)
	}
	if err != nil {
		return fmt.Errorf("creds: %w", err)
	}
	return nil
}

// addNKey takes a file with a seed; "" is none.
func addNKey(o *nats.Options, file string) error {
	if file == "" {
		return nil
	}
	option, err := nats.NkeyOptionFromSeed(file)
	if _, missing := errors.AsType[*os.PathError](err); err != nil && !missing {
		return fmt.Errorf("nkey: there is no seed of a user in %s", file)
	}
	if err != nil {
		return fmt.Errorf("nkey: %w", err)
	}
	return option(o)
}
