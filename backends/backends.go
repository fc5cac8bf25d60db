// Package backends opens brokers and stores by their URLs, and applications over them. It is the
// one package that knows all of them, but for clients that are as large as all others together,
// which Options.Brokers adds: who needs only one, and none of the others' clients in the
// program, calls its constructor, such as redispubsub.NewDriver, and lockstep.New.
//
//	app := backends.MustOpen(os.Getenv("LOCKSTEP_URL"), nil)
//
// One URL says where broker and store are:
//
//	(empty), mem:                  in this process; it forgets
//	file:data/app.db               states in a file, the broker in this process: for one replica
//	redis://user:password@host/0   broker and store in Redis or Valkey; rediss:// with TLS,
//	                               redis+cluster://a:6379,b:6379 a cluster,
//	                               redis+sentinel://a,b,c/mymaster/0 what Sentinel says
//	postgres://user@host/database  broker and store in PostgreSQL; postgresql:// is the same
//	nats://user:password@a,b       broker and store on NATS, with JetStream; tls:// with TLS
//	amqp://user:password@a/vhost   a broker alone: RabbitMQ; amqps:// with TLS
//	snssqs://eu-central-1          a broker alone: Amazon SNS and SQS, with Options.Brokers
//	nats-embedded:data/nats        broker and store in the replicas themselves, a server of NATS in
//	                               each, with Options.Brokers and Options.Stores
//
// OpenBoth takes one for each. Two URLs of brokers with a space between them are both used at once,
// while replicas move from one to the other: docs/moving-brokers.md. Replicas that share a broker
// need the same secret: see Options.Secret.
package backends

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lockstep/internal/pgclient"
	"lockstep/internal/redisclient"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/signedpubsub"
	"lockstep/state"
	"lockstep/state/natsstate"
)

// DefaultPrefix is Options.Prefix where there is none.
const DefaultPrefix = "lockstep:"

// lifetimeMargin is how much longer than ops are taken for stores know who has sent them: more than
// two clocks ever differ, or a message can wait unseen.
const lifetimeMargin = 24 * time.Hour

// Options of brokers and stores. Zero values are the defaults.
type Options struct {
	// Prefix begins all names at broker and store: only replicas with the same one see each other.
	// It has no braces. Default DefaultPrefix.
	Prefix string
	// OpLifetime is how old an op may be, the same for all replicas; stores know for a day longer
	// who has sent it. Default state.OpLifetime.
	OpLifetime time.Duration
	// Secret is the keys that sign what replicas say to each other on a broker that others may
	// reach: the first signs, all are believed, so that they can be replaced one after the other.
	// Driver without any does not sign. Open and OpenBoth take those of the environment variable
	// LOCKSTEP_SECRET, one in each line and at least 32 bytes each, as package serve does.
	Secret [][]byte
	// Unsigned sends without signatures all the same: see signedpubsub.Options.
	Unsigned bool
	// BrokerUnmet and StoreUnmet are told what the servers of either do not meet. Nil: nobody is.
	// Open and OpenBoth have it logged.
	BrokerUnmet, StoreUnmet *precondition.Part
	// Brokers are drivers that this package does not have, by the schemes of their URLs: whoever
	// imports it would download their clients. For "snssqs" it is a function that calls
	// snssqspubsub.NewDriver, with Options.Prefix as the name. They win over those that it has.
	Brokers map[string]func(url string, o Options) (driver.Driver, error)
	// Stores are stores that this package does not have, by the schemes of their URLs, each of which
	// is to know lanes for a lifetime. For "nats-embedded" it is a function that calls Open of a
	// natsembedded.Server, whose Driver is in Brokers. They win over those that it has.
	Stores map[string]func(ctx context.Context, url string, lifetime time.Duration, o Options) (state.Store, error)
	// Counter says what becomes of the counters that the first version of this program has left in
	// a store: it gives each a topic, and the data that it begins with. Nil: they are an error.
	Counter func(name string, n int64) (topic string, data []byte)
}

// withDefaults returns the options with what is missing in them; nil is no options.
func (o *Options) withDefaults() Options {
	var all Options
	if o != nil {
		all = *o
	}
	if all.Prefix == "" {
		all.Prefix = DefaultPrefix
	}
	if all.OpLifetime == 0 {
		all.OpLifetime = state.OpLifetime
	}
	return all
}

// Driver returns the driver of the broker at a URL, one of BrokerSchemes, or of two. It does not
// connect: that is done by the application's Start. What goes to a broker that others may reach is
// signed with Options.Secret. Each call with mem: is a broker of its own. Nil options are the
// defaults. An error is an *Error, about the URL.
func Driver(url string, opts *Options) (driver.Driver, error) {
	o := opts.withDefaults()
	if err := CheckBroker(url); err != nil {
		return nil, err
	}
	d, err := newDriver(url, &o)
	if err != nil {
		return nil, &Error{ofURL: true, reason: err.Error(), err: err}
	}
	return d, nil
}

// newDriver returns the driver over one broker, or over two.
func newDriver(url string, o *Options) (driver.Driver, error) {
	if first, second, ok := pairOf(url); ok {
		return dual(first, second, o)
	}
	return single(url, o)
}

// single returns the driver over one broker.
func single(url string, o *Options) (driver.Driver, error) {
	b, ok := backendOf(url)
	if !ok || b.broker == nil {
		return nil, fmt.Errorf("there is no broker for %s", schemeOf(url))
	}
	open := b.broker
	if given := o.Brokers[strings.TrimSuffix(schemeOf(url), ":")]; given != nil {
		open = func(url string, o *Options) (driver.Driver, error) { return given(url, *o) }
	}
	d, err := open(url, o)
	if err != nil {
		return nil, err
	}
	return sign(d, url, o)
}

// sign makes replicas sign what they say to each other on a broker that others may reach, and
// believe nothing else.
func sign(d driver.Driver, url string, o *Options) (driver.Driver, error) {
	if !Shared(url) || len(o.Secret) == 0 {
		return d, nil
	}
	return signedpubsub.NewDriver(d, o.Secret, &signedpubsub.Options{Prefix: o.Prefix, Unsigned: o.Unsigned})
}

// Store opens the store at a URL, one of StoreSchemes, which the caller closes. While its server is
// slow or has not come up yet it asks again, until ctx ends. Each call with mem: is a store of its
// own; a file can be opened once at a time. Nil options are the defaults. An error is an *Error,
// without any password.
func Store(ctx context.Context, url string, opts *Options) (state.Store, error) {
	o := opts.withDefaults()
	if err := CheckStore(url); err != nil {
		return nil, err
	}
	store, err := Patiently(ctx, func() (state.Store, error) { return openStore(ctx, url, &o) })
	if err != nil {
		return nil, Explain(url, err)
	}
	return store, nil
}

// openStore tries once.
func openStore(ctx context.Context, url string, o *Options) (state.Store, error) {
	b, ok := backendOf(url)
	if !ok || b.store == nil {
		return nil, fmt.Errorf("there is no store for %s", schemeOf(url))
	}
	open := b.store
	if given := o.Stores[strings.TrimSuffix(schemeOf(url), ":")]; given != nil {
		open = func(ctx context.Context, url string, lifetime time.Duration, o *Options) (state.Store, error) {
			return given(ctx, url, lifetime, *o)
		}
	}
	return open(ctx, url, o.OpLifetime+lifetimeMargin, o)
}

// starting reports whether an error of a broker or a store says that its server does not take
// connections yet.
func starting(err error) bool {
	return pgclient.Starting(err) || redisclient.Starting(err) || natsstate.Starting(err)
}
