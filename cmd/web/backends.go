package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"lockstep/app"
	"lockstep/backends"
	"lockstep/natsembedded"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/snssqspubsub"
	"lockstep/serve/settings"
	"lockstep/state"
)

const (
	defaultStore = "file:data/lockstep.db"
	maxPrefix    = 128 // bytes

	day           = 24 * time.Hour
	minOpLifetime = time.Hour
	maxOpLifetime = 60 * day
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

func (b *backendFlags) define(fs *settings.Set) {
	fs.Group("Backends")
	fs.Text(&b.PubSub, "pubsub", "", "broker `URL`: "+strings.Join(backends.BrokerSchemes(), ", ")+"; or two of them with a space between, to move from one to the other: docs/moving-brokers.md. Default: "+strings.Join(backends.Variables(), ", ")+" if set, else mem:")
	fs.Text(&b.Store, "store", "", "store `URL`: "+strings.Join(backends.StoreSchemes(), ", ")+". Default: the broker's backend where it can store, else "+defaultStore+". mem: forgets. URLs of both may end in ?sslrootcert=FILE&sslcert=FILE&sslkey=FILE, for an authority and a certificate of one's own, and in sslmode=require, for a server whose certificate can't be checked; those of NATS in ?creds=FILE or ?nkey=FILE, and ?replicas=3&sync=always says how its stream is kept; those of SNS and SQS in ?endpoint=URL; Postgres needs sslmode=verify-full to check it")
	fs.Env["pubsub"], fs.Env["store"] = "PUBSUB_URL", "STORE_URL"
	fs.Text(&b.Prefix, "channel-prefix", "lockstep:", "`prefix` of all names at broker and store; only replicas with the same one see each other")
	fs.Span(&b.OpLifetime, "op-lifetime", state.OpLifetime, "`time` for which a click that waits in a browser still counts, and counts once however often it is sent: 1h to 1440h, the same for all replicas. The store keeps 80 to 220 bytes, for a day more, of each page load that clicks: see docs/operations.md")
	fs.Text(&b.Uploads, "uploads", "", "`folder` for files that people send; replicas share it. Default: uploads beside the file of -store, and no files are taken where there is none; \"none\" for none at all")
}

// complete chooses a broker where no flag names one, by the variables that platforms set; and as
// the store the broker's backend, where it can store.
func (b *backendFlags) complete(getenv func(string) string) {
	for _, variable := range backends.Variables() {
		if b.PubSub == "" {
			b.PubSub = getenv(variable)
		}
	}
	if b.PubSub == "" {
		b.PubSub = "mem:"
	}
	switch {
	case b.Store != "":
	case backends.Shared(b.PubSub):
		b.Store = b.PubSub
	default:
		b.Store = defaultStore
	}
}

func (b *backendFlags) check() error {
	if err := backends.CheckBroker(b.PubSub); err != nil {
		return settings.Wrong("-pubsub: %s", reason(err))
	}
	if err := backends.CheckStore(b.Store); err != nil {
		return settings.Wrong("-store: %s", reason(err))
	}
	if len(b.Prefix) > maxPrefix || !utf8.ValidString(b.Prefix) || strings.ContainsAny(b.Prefix, "{}\x00") {
		return settings.Wrong("-channel-prefix: at most %d bytes of text without braces", maxPrefix)
	}
	if b.OpLifetime < minOpLifetime || b.OpLifetime > maxOpLifetime {
		return settings.Wrong("-op-lifetime: %s is not between 1h and 1440h, which are 60 days", b.OpLifetime)
	}
	if err := backends.CheckBoth(b.PubSub, b.Store); err != nil {
		return settings.Wrong("-store: %s", reason(err))
	}
	return nil
}

// options returns what broker and store have in common; signing is of the broker. A server of NATS
// in this process may be nil.
func (b *backendFlags) options(embedded *natsembedded.Server) *backends.Options {
	o := &backends.Options{
		Prefix: b.Prefix, OpLifetime: b.OpLifetime, Counter: app.FormerCounter,
		Brokers: map[string]func(string, backends.Options) (driver.Driver, error){"snssqs": newSNSSQS},
	}
	withEmbedded(o, embedded)
	return o
}

// newSNSSQS returns a driver for SNS and SQS, whose client package backends leaves out.
func newSNSSQS(url string, o backends.Options) (driver.Driver, error) {
	return snssqspubsub.NewDriver(url, &snssqspubsub.Options{Name: o.Prefix})
}

// openDriver returns the broker's driver, which signs with keys. It does not connect. seen is told
// what the broker's servers do not meet.
func (b *backendFlags) openDriver(k *keyFlags, keys [][]byte, embedded *natsembedded.Server, seen *precondition.Part) (driver.Driver, error) {
	o := b.options(embedded)
	o.Secret, o.Unsigned, o.BrokerUnmet = keys, k.Unsigned, seen
	d, err := backends.Driver(b.PubSub, o)
	if err != nil {
		return nil, settings.Wrong("-pubsub: %s", reason(err))
	}
	return d, nil
}

// openStore connects to the store. seen is told what its servers do not meet.
func (b *backendFlags) openStore(ctx context.Context, embedded *natsembedded.Server, seen *precondition.Part) (state.Store, error) {
	o := b.options(embedded)
	o.StoreUnmet = seen
	return backends.Store(ctx, b.Store, o)
}

// brokerFailed and storeFailed say that a backend can't be used, and why.

func (b *backendFlags) brokerFailed(err error) error { return unreachable("-pubsub", b.PubSub, err) }

func (b *backendFlags) storeFailed(err error) error {
	flag := "-store"
	if b.Store == b.PubSub && backends.Shared(b.Store) {
		flag = "-pubsub" // it has chosen both
	}
	return unreachable(flag, b.Store, err)
}

// unreachable says that the backend of a flag can't be used, and why.
func unreachable(flag, raw string, err error) error {
	err = backends.Explain(raw, err)
	if !backends.Shared(raw) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return fmt.Errorf("%s: %s; try another place, -store file:PATH, or -store mem: to keep nothing", flag, reason(err))
	}
	return fmt.Errorf("%s: %s", flag, reason(err))
}

// reason is what an error of package backends says, without its name.
func reason(err error) string {
	if e, ok := errors.AsType[*backends.Error](err); ok {
		return e.Reason()
	}
	return err.Error()
}
