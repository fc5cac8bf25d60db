package main

import (
	"net/url"
	"slices"
	"strings"
)

// pubsubSchemes are the brokers of this build.
func pubsubSchemes() []string {
	return []string{"mem:", "redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "postgres://", "postgresql://"}
}

// storeSchemes are the stores of this build.
func storeSchemes() []string {
	return []string{"mem:", "file:", "redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "postgres://", "postgresql://"}
}

// schemeOf returns a URL's scheme with its colon.
func schemeOf(raw string) string {
	scheme, _, _ := strings.Cut(raw, ":")
	return scheme + ":"
}

// shared reports whether other processes can use the same broker or store.
func shared(raw string) bool {
	s := schemeOf(raw)
	return s != "mem:" && s != "file:"
}

// filePath is the path in a file: URL; both file:a/b and file:///a/b are understood.
func filePath(raw string) string {
	return strings.TrimPrefix(strings.TrimPrefix(raw, "file:"), "//")
}

// placeOf is a URL that checkURL has let pass, without user, password, path and options.
func placeOf(raw string) string {
	scheme, rest, _ := strings.Cut(raw, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}

// checkURL checks a URL's form and scheme. Its errors never contain the URL, which may hold a
// password.
func checkURL(name, raw string, schemes []string) error {
	scheme, rest, _ := strings.Cut(raw, ":")
	i := slices.IndexFunc(schemes, func(s string) bool { known, _, _ := strings.Cut(s, ":"); return known == scheme })
	switch {
	case i >= 0 && strings.HasSuffix(schemes[i], "//") && !strings.HasPrefix(rest, "//"):
		return usageError("%s: not a valid %s URL", name, schemes[i])
	case i >= 0:
		return checkRest(name, schemes[i], strings.TrimPrefix(rest, "//"))
	case strings.HasPrefix(rest, "//"): // else what stands before the colon may be anything
		return usageError("%s: unknown scheme %q; this build has %s", name, scheme, strings.Join(schemes, ", "))
	}
	return usageError("%s: not a URL; it must start with one of %s", name, strings.Join(schemes, ", "))
}

// checkRest checks what follows the scheme. An @ outside of its place means that a password has a /
// or another sign in it: its rest would be taken for a name, and shown.
func checkRest(name, scheme, rest string) error {
	if !shared(scheme) {
		return nil // a path
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[end:], "@") {
		return usageError("%s: not a valid %s URL; signs such as / ? # %% @ in a password are written with %%, as %%2F", name, scheme)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[at:end]
	if strings.Contains(hosts, ",") { // of a cluster; package url knows one
		hosts = "host"
	}
	if _, err := url.Parse("x://" + rest[:at] + hosts + rest[end:]); err != nil {
		return usageError("%s: not a valid %s URL", name, scheme)
	}
	return nil
}
