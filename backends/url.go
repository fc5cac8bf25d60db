package backends

import (
	"net/url"
	"slices"
	"strings"
)

// schemeOf returns a URL's scheme with its colon.
func schemeOf(raw string) string {
	scheme, _, _ := strings.Cut(raw, ":")
	return scheme + ":"
}

// Shared reports whether other processes can use the broker or store at a URL.
func Shared(raw string) bool {
	b, known := backendOf(raw)
	return !known || !b.own
}

// File returns the path in a file: URL, and "" for all others; both file:a/b and file:///a/b are
// understood.
func File(raw string) string {
	if schemeOf(raw) != "file:" {
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(raw, "file:"), "//")
}

// placeOf is a URL that checkURL has let pass, without user, password, path and options.
func placeOf(raw string) string {
	if first, second, ok := pairOf(raw); ok {
		return placeOf(first) + " and " + placeOf(second)
	}
	scheme, rest, host := strings.Cut(raw, "://")
	if !host {
		return raw // a path
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}

// CheckBroker returns what is wrong with the URL of a broker, or with two, or nil: an *Error. It
// does not connect.
func CheckBroker(url string) error {
	if first, second, ok := pairOf(url); ok {
		return checkPair(first, second)
	}
	return checkURL(url, BrokerSchemes())
}

// CheckStore returns what is wrong with the URL of a store, or nil: an *Error. It does not connect.
func CheckStore(url string) error {
	if _, _, ok := pairOf(url); ok {
		return wrongURL("two brokers are not a store; say which store it is, so that it stays when the brokers change")
	}
	if b, known := backendOf(url); known && b.store == nil {
		return wrongURL("%s is a broker that keeps nothing; give a store that several replicas can share, a redis:// or postgres:// URL", b.name)
	}
	return checkURL(url, StoreSchemes())
}

// CheckBoth returns why a broker and a store can't be used together, or nil: an *Error. Replicas
// that share a broker must share the store, too.
func CheckBoth(broker, store string) error {
	if Shared(broker) && !Shared(store) {
		return wrongURL("%s is this process's own, but %s is shared by several replicas; give them a store that they can share", schemeOf(store), schemeOf(broker))
	}
	return nil
}

// checkURL checks a URL's form and scheme. Its errors never contain the URL, which may hold a
// password.
func checkURL(raw string, schemes []string) error {
	scheme, rest, _ := strings.Cut(raw, ":")
	i := slices.IndexFunc(schemes, func(s string) bool { known, _, _ := strings.Cut(s, ":"); return known == scheme })
	switch {
	case i >= 0 && strings.HasSuffix(schemes[i], "//") && !strings.HasPrefix(rest, "//"):
		return wrongURL("not a valid %s URL", schemes[i])
	case i >= 0:
		return checkRest(schemes[i], strings.TrimPrefix(rest, "//"))
	case strings.HasPrefix(rest, "//"): // else what stands before the colon may be anything
		return wrongURL("unknown scheme %q; this build has %s", scheme, strings.Join(schemes, ", "))
	}
	return wrongURL("not a URL; it must start with one of %s", strings.Join(schemes, ", "))
}

// checkRest checks what follows the scheme. An @ outside of its place means that a password has a /
// or another sign in it: its rest would be taken for a name, and shown.
func checkRest(scheme, rest string) error {
	if !strings.HasSuffix(scheme, "//") {
		return nil // a path
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[end:], "@") {
		return wrongURL("not a valid %s URL; signs such as / ? # %% @ in a password are written with %%, as %%2F", scheme)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[at:end]
	if strings.Contains(hosts, ",") { // of a cluster, or sentinels; package url knows one
		hosts = "host"
	}
	if _, err := url.Parse("x://" + rest[:at] + hosts + rest[end:]); err != nil {
		return wrongURL("not a valid %s URL", scheme)
	}
	return nil
}
