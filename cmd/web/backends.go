package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/app"
	"lockstep/internal/pgclient"
	"lockstep/internal/redisclient"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pgpubsub"
	"lockstep/pubsub/redispubsub"
	"lockstep/state"
	"lockstep/state/boltstate"
	"lockstep/state/memstate"
	"lockstep/state/pgstate"
	"lockstep/state/redisstate"
)

const (
	defaultStore = "file:data/lockstep.db"
	maxPrefix    = 128 // bytes

	minOpLifetime = time.Hour
	maxOpLifetime = 60 * day
	// lifetimeMargin is how much longer than ops are taken for stores know who has sent them: more
	// than two clocks ever differ, or a message can wait unseen.
	lifetimeMargin = day
	day            = 24 * time.Hour
)

// backendFlags choose the broker and the store.
type backendFlags struct {
	PubSub string // URL
	Store  string // URL
	Prefix string // of all names at both
	// OpLifetime is how old an op may be.
	OpLifetime time.Duration
	Uploads    string // folder; "": beside the store's file, and none where there is no file
}

func (b *backendFlags) define(fs *flagSet) {
	fs.group("Backends")
	fs.text(&b.PubSub, "pubsub", "", "broker `URL`: "+strings.Join(pubsubSchemes(), ", ")+". Default: REDIS_URL, DATABASE_URL if set, else mem:")
	fs.text(&b.Store, "store", "", "store `URL`: "+strings.Join(storeSchemes(), ", ")+". Default: the broker's backend where it can store, else "+defaultStore+". mem: forgets. URLs of both may end in ?sslrootcert=FILE&sslcert=FILE&sslkey=FILE, for an authority and a certificate of one's own, and in sslmode=require, for a server whose certificate can't be checked; Postgres needs sslmode=verify-full to check it")
	fs.env["pubsub"], fs.env["store"] = "PUBSUB_URL", "STORE_URL"
	fs.text(&b.Prefix, "channel-prefix", "lockstep:", "`prefix` of all names at broker and store; only replicas with the same one see each other")
	fs.span(&b.OpLifetime, "op-lifetime", state.OpLifetime, "`time` for which a click that waits in a browser still counts, and counts once however often it is sent: 1h to 1440h, the same for all replicas. The store keeps 80 to 220 bytes, for a day more, of each page load that clicks: see docs/operations.md")
	fs.text(&b.Uploads, "uploads", "", "`folder` for files that people send; replicas share it. Default: uploads beside the file of -store, and no files are taken where there is none; \"none\" for none at all")
}

// complete chooses a broker where no flag names one, by the variables that platforms set; and as
// the store the broker's backend, where it can store.
func (b *backendFlags) complete(getenv func(string) string) {
	for _, variable := range []string{"REDIS_URL", "DATABASE_URL", "NATS_URL"} {
		if b.PubSub == "" {
			b.PubSub = getenv(variable)
		}
	}
	if b.PubSub == "" {
		b.PubSub = "mem:"
	}
	switch {
	case b.Store != "":
	case shared(b.PubSub):
		b.Store = b.PubSub
	default:
		b.Store = defaultStore
	}
}

func (b *backendFlags) check() error {
	if err := checkURL("-pubsub", b.PubSub, pubsubSchemes()); err != nil {
		return err
	}
	if err := checkURL("-store", b.Store, storeSchemes()); err != nil {
		return err
	}
	if len(b.Prefix) > maxPrefix || !utf8.ValidString(b.Prefix) || strings.ContainsAny(b.Prefix, "{}\x00") {
		return usageError("-channel-prefix: at most %d bytes of text without braces", maxPrefix)
	}
	if b.OpLifetime < minOpLifetime || b.OpLifetime > maxOpLifetime {
		return usageError("-op-lifetime: %s is not between 1h and 1440h, which are 60 days", b.OpLifetime)
	}
	if shared(b.PubSub) && !shared(b.Store) {
		return usageError("-store: %s is this process's own, but %s is shared by several replicas; give them a store that they can share", schemeOf(b.Store), schemeOf(b.PubSub))
	}
	return nil
}

// openDriver returns the broker's driver. It does not connect. seen is told
// what the broker's servers do not meet.
func (b *backendFlags) openDriver(seen *precondition.Part) (driver.Driver, error) {
	switch schemeOf(b.PubSub) {
	case "mem:":
		return mempubsub.NewBus(), nil
	case "redis:", "rediss:", "redis+cluster:", "rediss+cluster:":
		redisclient.Silence()
		d, err := redispubsub.NewDriver(b.PubSub)
		if err != nil {
			return nil, err
		}
		d.Preconditions = seen
		return d, nil
	case "postgres:", "postgresql:":
		return pgpubsub.NewDriver(b.PubSub, &pgpubsub.Options{Channel: b.Prefix})
	}
	return nil, fmt.Errorf("no broker for %s", schemeOf(b.PubSub))
}

// openStore connects to the store. seen is told what its servers do not meet.
func (b *backendFlags) openStore(ctx context.Context, seen *precondition.Part) (state.Store, error) {
	lifetime := b.OpLifetime + lifetimeMargin
	switch schemeOf(b.Store) {
	case "mem:":
		return memstate.New(&memstate.Options{Lifetime: lifetime}), nil
	case "file:":
		return boltstate.Open(filePath(b.Store), &boltstate.Options{Lifetime: lifetime, Counter: app.FormerCounter})
	case "redis:", "rediss:", "redis+cluster:", "rediss+cluster:":
		redisclient.Silence()
		return redisstate.Open(ctx, b.Store, &redisstate.Options{
			Prefix: b.Prefix, Lifetime: lifetime, Preconditions: seen, Counter: app.FormerCounter,
		})
	case "postgres:", "postgresql:":
		return pgstate.Open(ctx, b.Store, &pgstate.Options{
			Prefix: b.Prefix, Lifetime: lifetime, Preconditions: seen, Counter: app.FormerCounter,
		})
	}
	return nil, fmt.Errorf("no store for %s", schemeOf(b.Store))
}

// brokerFailed and storeFailed say that a backend can't be used, and why.

func (b *backendFlags) brokerFailed(err error) error { return unreachable("-pubsub", b.PubSub, err) }

func (b *backendFlags) storeFailed(err error) error {
	flag := "-store"
	if b.Store == b.PubSub && shared(b.Store) {
		flag = "-pubsub" // it has chosen both
	}
	return unreachable(flag, b.Store, err)
}

// unreachable says that the backend of a flag can't be used, and why, without its password and
// without the layers that an error has gone through.
func unreachable(flag, raw string, err error) error {
	if !shared(raw) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return fmt.Errorf("%s: %w; try another place, -store file:PATH, or -store mem: to keep nothing", flag, err)
	}
	if !shared(raw) {
		return fmt.Errorf("%s: %w", flag, err)
	}
	var network *net.OpError
	var refusal *pgconn.PgError
	var stranger *tls.CertificateVerificationError
	switch {
	case errors.Is(err, pgclient.ErrReadOnly):
		err = pgclient.ErrReadOnly
	case errors.As(err, &stranger):
		err = stranger
	case errors.As(err, &network):
		err = network
	case errors.As(err, &refusal):
		err = errors.New(refusal.Message)
	}
	return fmt.Errorf("%s: %s can't be used: %w", flag, placeOf(raw), err)
}
