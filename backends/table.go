package backends

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/natspubsub"
	"lockstep/pubsub/pgpubsub"
	"lockstep/pubsub/rabbitpubsub"
	"lockstep/pubsub/redispubsub"
	"lockstep/state"
	"lockstep/state/boltstate"
	"lockstep/state/memstate"
	"lockstep/state/natsstate"
	"lockstep/state/pgstate"
	"lockstep/state/redisstate"
)

// A backend is what URLs of some schemes lead to. All that programs know of a backend is here:
// flags, their texts, errors and variables come from the table.
type backend struct {
	name    string   // for people
	schemes []string // what its URLs begin with; one that ends in // is followed by a host, others by a path
	// variable is what platforms put its URL into; "": none.
	variable string
	// own: no other process can use it.
	own bool
	// broker makes a driver. Nil: it is no broker.
	broker func(url string, o *Options) (driver.Driver, error)
	// store opens a store that knows lanes for a lifetime. Nil: it keeps nothing.
	store func(ctx context.Context, url string, lifetime time.Duration, o *Options) (state.Store, error)
}

// table returns all backends. A new one is a line here, and its module in go.mod.
func table() []backend {
	return []backend{
		{
			name: "this process", own: true,
			schemes: []string{"mem:"},
			broker:  func(string, *Options) (driver.Driver, error) { return mempubsub.NewBus(), nil },
			store: func(_ context.Context, _ string, lifetime time.Duration, _ *Options) (state.Store, error) {
				return memstate.New(&memstate.Options{Lifetime: lifetime}), nil
			},
		},
		{
			name: "a file", own: true,
			schemes: []string{"file:"},
			store: func(_ context.Context, url string, lifetime time.Duration, o *Options) (state.Store, error) {
				return boltstate.Open(File(url), &boltstate.Options{Lifetime: lifetime, Counter: o.Counter})
			},
		},
		{
			name: "Redis", variable: "REDIS_URL",
			schemes: []string{"redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "redis+sentinel://", "rediss+sentinel://"},
			broker:  overRedis,
			store: func(ctx context.Context, url string, lifetime time.Duration, o *Options) (state.Store, error) {
				return redisstate.Open(ctx, url, &redisstate.Options{
					Prefix: o.Prefix, Lifetime: lifetime, Preconditions: o.StoreUnmet, Counter: o.Counter,
				})
			},
		},
		{
			name: "Postgres", variable: "DATABASE_URL",
			schemes: []string{"postgres://", "postgresql://"},
			broker: func(url string, o *Options) (driver.Driver, error) {
				return pgpubsub.NewDriver(url, &pgpubsub.Options{Channel: o.Prefix})
			},
			store: func(ctx context.Context, url string, lifetime time.Duration, o *Options) (state.Store, error) {
				return pgstate.Open(ctx, url, &pgstate.Options{
					Prefix: o.Prefix, Lifetime: lifetime, Preconditions: o.StoreUnmet, Counter: o.Counter,
				})
			},
		},
		{
			name: "NATS", variable: "NATS_URL",
			schemes: []string{"nats://", "tls://"},
			broker:  func(url string, _ *Options) (driver.Driver, error) { return natspubsub.NewDriver(url) },
			store: func(ctx context.Context, url string, lifetime time.Duration, o *Options) (state.Store, error) {
				return natsstate.Open(ctx, url, &natsstate.Options{Prefix: o.Prefix, Lifetime: lifetime, Preconditions: o.StoreUnmet})
			},
		},
		{
			name:    "NATS within the replicas",
			schemes: []string{"nats-embedded:"},
			broker:  func(string, *Options) (driver.Driver, error) { return nil, errNoEmbedded },
			store: func(context.Context, string, time.Duration, *Options) (state.Store, error) {
				return nil, errNoEmbedded
			},
		},
		{
			name: "RabbitMQ", variable: "AMQP_URL",
			schemes: []string{"amqp://", "amqps://"},
			broker: func(url string, o *Options) (driver.Driver, error) {
				return rabbitpubsub.NewDriver(url, &rabbitpubsub.Options{Exchange: strings.TrimRight(o.Prefix, ":")})
			},
		},
		{
			name:    "SNS with SQS",
			schemes: []string{"snssqs://"},
			broker: func(string, *Options) (driver.Driver, error) {
				return nil, errors.New("this program has no driver for snssqs://; it is snssqspubsub.NewDriver, in backends.Options.Brokers")
			},
		},
	}
}

var errNoEmbedded = errors.New("this program has no server for nats-embedded:; it is natsembedded.Start, in backends.Options.Brokers and Stores")

func overRedis(url string, o *Options) (driver.Driver, error) {
	d, err := redispubsub.NewDriver(url)
	if err != nil {
		return nil, err
	}
	d.Preconditions = o.BrokerUnmet
	return d, nil
}

// backendOf returns what a URL leads to, by its scheme.
func backendOf(url string) (backend, bool) {
	scheme := schemeOf(url)
	for _, b := range table() {
		if slices.ContainsFunc(b.schemes, func(s string) bool { return strings.TrimSuffix(s, "//") == scheme }) {
			return b, true
		}
	}
	return backend{}, false
}

// schemes returns those of some backends.
func schemes(of func(b *backend) bool) (all []string) {
	for _, b := range table() {
		if of(&b) {
			all = append(all, b.schemes...)
		}
	}
	return all
}

// BrokerSchemes returns what URLs of brokers begin with. Of these snssqs:// and nats-embedded: need
// Options.Brokers.
func BrokerSchemes() []string { return schemes(func(b *backend) bool { return b.broker != nil }) }

// StoreSchemes returns what URLs of stores begin with. Of these nats-embedded: needs
// Options.Stores.
func StoreSchemes() []string { return schemes(func(b *backend) bool { return b.store != nil }) }

// Variables returns the names of environment variables in which platforms put URLs of brokers, in
// the order in which programs look at them.
func Variables() (all []string) {
	for _, b := range table() {
		if b.broker != nil && b.variable != "" {
			all = append(all, b.variable)
		}
	}
	return all
}
