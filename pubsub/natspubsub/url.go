package natspubsub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"

	"lockstep/internal/tlsoptions"
)

var errURL = errors.New("not a valid NATS URL (nats://[user:password@]host:port,host:port)")

// parse reads a URL. No server of its result has a user: their errors may be
// shown.
func parse(raw string) (nats.Options, error) {
	var o nats.Options
	scheme, rest, _ := strings.Cut(raw, "://")
	if scheme != "nats" && scheme != "tls" {
		return o, errURL
	}
	rest, query, _ := strings.Cut(rest, "?")
	at := strings.LastIndexByte(rest, '@') + 1
	if err := addServers(&o, scheme, strings.TrimSuffix(rest[at:], "/")); err != nil {
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
	return o, addUser(&o, rest[:at], q)
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
