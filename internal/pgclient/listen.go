package pgclient

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"
)

// errListen is what is wrong with the option "listen" of a URL.
var errListen = errors.New("listen: host:port of the server itself, or several of them with commas between")

// SplitListen takes the option "listen" out of a URL: host:port of the server where a pooler stands
// at the URL's own address, as in postgres://u@pooler:6432/d?listen=db:5432. listen is the URL with
// that address instead, and "" where there is no such option. Whether the URL is a good one is for
// Parse to say. The error contains no part of the URL.
func SplitListen(raw string) (rest, listen string, err error) {
	before, query, _ := strings.Cut(raw, "?")
	q, err := url.ParseQuery(query)
	if err != nil || !q.Has("listen") {
		return raw, "", nil
	}
	hosts := q.Get("listen")
	q.Del("listen")
	rest = join(before, q)
	if !areHosts(hosts) {
		return "", "", errListen
	}
	scheme, place, found := strings.Cut(before, "://")
	if !found {
		return rest, "", errListen
	}
	place, path, _ := strings.Cut(place, "/")
	user := place[:strings.LastIndexByte(place, '@')+1]
	for _, name := range []string{"host", "hostaddr", "port"} { // they would count, and not the address
		q.Del(name)
	}
	return rest, join(scheme+"://"+user+hosts+"/"+path, q), nil
}

// join puts a query behind a URL.
func join(before string, q url.Values) string {
	if len(q) == 0 {
		return before
	}
	return before + "?" + q.Encode()
}

// areHosts reports whether a text is host, host:port, or several with commas between.
func areHosts(text string) bool {
	for host := range strings.SplitSeq(text, ",") {
		u, err := url.Parse("x://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" {
			return false
		}
	}
	return true
}

// KeepAlive has the system find out that the other side of a silent connection has gone without a
// word, half a minute after the last one. It is for sessions that listen: nothing is sent on them
// of which they would learn it. Connections of a dialler's own kind are left as they are.
func KeepAlive(c net.Conn) error {
	tcp, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if !ok {
		return nil
	}
	return tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3})
}
