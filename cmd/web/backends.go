package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
	"lockstep/counter/memcounter"
	"lockstep/counter/pgcounter"
	"lockstep/counter/rediscounter"
	"lockstep/internal/redisclient"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pgpubsub"
	"lockstep/pubsub/redispubsub"
)

// pubsubSchemes are the brokers of this build.
func pubsubSchemes() []string {
	return []string{"mem:", "redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "postgres://"}
}

// storeSchemes are the stores of this build.
func storeSchemes() []string {
	return []string{"mem:", "file:", "redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "postgres://"}
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

// storeFor is the store for a broker when none is given: the same backend
// where it can store.
func storeFor(pubsub string) string {
	if shared(pubsub) {
		return pubsub
	}
	return defaultStore
}

// openDriver returns the driver for a broker's URL. It does not connect.
func openDriver(raw, prefix string) (driver.Driver, error) {
	switch schemeOf(raw) {
	case "mem:":
		return mempubsub.NewBus(), nil
	case "redis:", "rediss:", "redis+cluster:", "rediss+cluster:":
		redisclient.Silence()
		return redispubsub.NewDriver(raw)
	case "postgres:":
		return pgpubsub.NewDriver(raw, &pgpubsub.Options{Channel: prefix})
	}
	return nil, fmt.Errorf("no broker for %s", schemeOf(raw))
}

// openStore connects to the store.
func openStore(ctx context.Context, raw, prefix string) (counter.Store, error) {
	switch schemeOf(raw) {
	case "mem:":
		return memcounter.New(nil), nil
	case "file:":
		return boltcounter.Open(filePath(raw), nil)
	case "redis:", "rediss:", "redis+cluster:", "rediss+cluster:":
		redisclient.Silence()
		return rediscounter.Open(ctx, raw, &rediscounter.Options{Prefix: prefix})
	case "postgres:":
		return pgcounter.Open(ctx, raw, &pgcounter.Options{Prefix: prefix})
	}
	return nil, fmt.Errorf("no store for %s", schemeOf(raw))
}

// storeFlag is the flag that chose the store.
func storeFlag(c config) string {
	if c.Store == c.PubSub && shared(c.Store) {
		return "-pubsub"
	}
	return "-store"
}

// unreachable says that a backend can't be used, and why, without its password
// and without the layers that an error has gone through.
func unreachable(flag, raw string, err error) error {
	if !shared(raw) {
		return fmt.Errorf("%s: %w", flag, err)
	}
	var network *net.OpError
	var refusal *pgconn.PgError
	var stranger *tls.CertificateVerificationError
	switch {
	case errors.As(err, &stranger):
		err = stranger
	case errors.As(err, &network):
		err = network
	case errors.As(err, &refusal):
		err = errors.New(refusal.Message)
	}
	return fmt.Errorf("%s: %s can't be used: %w", flag, placeOf(raw), err)
}

// placeOf is a URL that checkURL has let pass, without user, password, path and
// options.
func placeOf(raw string) string {
	scheme, rest, _ := strings.Cut(raw, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}

// filePath is the path in a file: URL; both file:a/b and file:///a/b are
// understood.
func filePath(raw string) string {
	return strings.TrimPrefix(strings.TrimPrefix(raw, "file:"), "//")
}
